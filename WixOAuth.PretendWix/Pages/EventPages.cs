using System.Globalization;

namespace WixOAuth.PretendWix.Pages;

/// <summary>
/// A receiver of the service's events, in the place of the user's own app, and what it got. The pages look again each second,
/// so that an event is seen when it arrives.
/// </summary>
internal sealed class EventPages(ReceivedEvents received, WixState wix, PretendWixControl control)
{
    public const string Path = "/events";

    private const int Shown = 10;

    /// <summary>The section that shows the latest events.</summary>
    public static Html Section { get; } = SectionOf("/events/list");

    /// <summary>The section that shows the latest events of one site.</summary>
    public static Html SectionOf(Guid instanceId) => SectionOf($"/events/list?instance={instanceId}");

    public void Map(WebApplication app)
    {
        app.MapPost(Path, TakeAsync);
        app.MapGet("/events/list", context => Page.WritePartAsync(context, List(context.Request.Query["instance"])));
    }

    private static Html SectionOf(string list) => Html.Of($"""
        <h2>Events that your app received</h2>
        <div class="card" data-live="{list}" aria-live="polite"><p class="muted">One arrives in a moment.</p></div>
        """);

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        context.Response.StatusCode = received.Take(context.Request.Headers, body.GetBuffer().AsSpan(0, (int)body.Length), control.Switches.ReceiverStatus);
    }

    private Html List(string? instance)
    {
        var shown = received.Latest.Reverse().Where(each => string.IsNullOrEmpty(instance) || each.InstanceId?.ToString() == instance).Take(Shown).ToList();
        return shown.Count == 0
            ? Html.Of($"""<p class="muted">None yet. One arrives when the app is added to a site or removed from it.</p>""")
            : Html.Of($"""
                <table>
                <thead><tr><th scope="col">UTC</th><th scope="col">Event, of which site</th><th scope="col">Answer</th></tr></thead>
                <tbody>{Html.Join(shown.Select(Row))}</tbody></table>
                """);
    }

    private Html Row(PretendWixEvent each)
    {
        var verified = each.Problem is null ? Html.Of($"""<span class="pill ok">signature verified</span>""") : Html.Of($"""<span class="pill bad">{each.Problem}</span>""");
        var site = each.InstanceId is { } id && wix.TryGetSite(id, out var known) ? known.Name : "unknown";
        return Html.Of($"""
            <tr><td><time>{each.At.UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture)}</time></td>
            <td>{each.Type ?? "no event"}<span class="of">{site}{(each.IsRepeated ? ", received before" : "")}</span>{verified}</td><td class="number">{each.Status}</td></tr>
            """);
    }
}
