using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace WixOAuth.PretendWix.Pages;

/// <summary>What several pages show of a site.</summary>
internal static class SiteParts
{
    public static Html Face(string name) =>
        Html.Of($"""<span class="face" aria-hidden="true">{StringInfo.GetNextTextElement(name.TrimStart() is { Length: > 0 } text ? text : "?")}</span>""");

    public static Html StatusPill(PretendSite site) => site switch
    {
        { Status: PretendSiteStatus.NotInstalled } => Html.Of($"""<span class="pill">Not installed</span>"""),
        { Status: PretendSiteStatus.Removed } => Html.Of($"""<span class="pill bad">Removed</span>"""),
        { SetupComplete: true } => Html.Of($"""<span class="pill ok">Setup complete</span>"""),
        _ => Html.Of($"""<span class="pill warn">Setup incomplete</span>"""),
    };

    /// <summary>The site whose instance id is in the route.</summary>
    public static bool TryGetSite(this WixState wix, HttpContext context, [NotNullWhen(true)] out Site? site)
    {
        site = null;
        return Guid.TryParseExact(context.Request.RouteValues["instanceId"]?.ToString(), "D", out var id) && wix.TryGetSite(id, out site);
    }
}
