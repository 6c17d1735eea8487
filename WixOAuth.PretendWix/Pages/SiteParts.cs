using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace WixOAuth.PretendWix.Pages;

/// <summary>What several pages show of a site.</summary>
internal static class SiteParts
{
    /// <summary>The first letter of a site's name, in the place of a picture.</summary>
    public static string FaceOf(string name) => StringInfo.GetNextTextElement(name.TrimStart() is { Length: > 0 } text ? text : "?");

    public static SiteStatus StatusOf(PretendSite site) => site switch
    {
        { Status: PretendSiteStatus.NotInstalled } => new("Not installed", null),
        { Status: PretendSiteStatus.Removed } => new("Removed", "bad"),
        { SetupComplete: true } => new("Setup complete", "ok"),
        _ => new("Setup incomplete", "warn"),
    };

    public static string Time(DateTimeOffset at) => at.UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture);

    public static string NameOf(this WixState wix, Guid? instanceId) => instanceId is { } id && wix.TryGetSite(id, out var site) ? site.Name : "unknown";

    /// <summary>The site whose instance id is in the route.</summary>
    public static bool TryGetSite(this WixState wix, HttpContext context, [NotNullWhen(true)] out Site? site)
    {
        site = null;
        return Guid.TryParseExact(context.Request.RouteValues["instanceId"]?.ToString(), "D", out var id) && wix.TryGetSite(id, out site);
    }
}

/// <summary>The status of a site.</summary>
/// <param name="Words">For people.</param>
/// <param name="Css">The class of its colour; null without one.</param>
internal sealed record SiteStatus(string Words, string? Css);
