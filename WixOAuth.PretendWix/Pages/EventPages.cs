namespace WixOAuth.PretendWix.Pages;

/// <summary>
/// A receiver of the service's events, in the place of the user's own app, and what it got. The pages look again each second,
/// so that an event is seen when it arrives.
/// </summary>
internal sealed class EventPages(ReceivedEvents received, WixState wix, PretendWixControl control)
{
    public const string Path = "/events";

    private const int Shown = 10;

    /// <summary>The table of the latest events.</summary>
    public const string ListPath = "/events/list";

    /// <summary>The table of the latest events of one site.</summary>
    public static string ListPathOf(Guid instanceId) => $"{ListPath}?instance={instanceId}";

    public void Map(WebApplication app)
    {
        app.MapPost(Path, TakeAsync);
        app.MapGet(ListPath, context => Page.WritePartAsync(context, new EventsTable { Model = List(context.Request.Query["instance"]) }));
    }

    private async Task TakeAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body, context.RequestAborted);
        context.Response.StatusCode = received.Take(context.Request.Headers, body.GetBuffer().AsSpan(0, (int)body.Length), control.Switches.ReceiverStatus);
    }

    private List<EventRow> List(string? instance) =>
    [
        .. received.Latest.Reverse()
            .Where(each => string.IsNullOrEmpty(instance) || each.InstanceId?.ToString() == instance)
            .Take(Shown)
            .Select(each => new EventRow(
                SiteParts.Time(each.At),
                each.Type ?? "no event",
                wix.NameOf(each.InstanceId) + (each.IsRepeated ? ", received before" : ""),
                each.Problem,
                each.Status)),
    ];
}

/// <summary>An event that was received.</summary>
/// <param name="At">The time.</param>
/// <param name="Type">Its type.</param>
/// <param name="Site">The site's name, and whether the event was received before.</param>
/// <param name="Problem">Why the signature was not verified; null when it was.</param>
/// <param name="Answer">The status of the answer.</param>
internal sealed record EventRow(string At, string Type, string Site, string? Problem, int Answer);
