using WixOAuth.Events;

namespace WixOAuth.Pages;

/// <summary>The part of the operators' page on events to the user's apps.</summary>
internal static class StatusEvents
{
    /// <summary>How many wait and are parked, and the button that sends parked ones again; nothing where there are no events.</summary>
    /// <param name="stored">The stored events; null where events are not in use.</param>
    /// <param name="isSent">Whether <c>Events__Url</c> is set.</param>
    /// <param name="now">The time.</param>
    public static Html Render(StoredEvents? stored, bool isSent, DateTimeOffset now) => stored is null ? default : Html.Of($"""
        <section class="card" id="events" tabindex="-1" aria-labelledby="events-title"><h2 id="events-title">Events to your apps</h2>
        <dl><dt>waiting for delivery{Since(stored, now)}</dt><dd>{Count(stored, stored.Waiting)}</dd>
        <dt>parked: given up after 72 hours, or refused for good</dt><dd class="{(stored.Parked > 0 ? "bad" : "")}">{Count(stored, stored.Parked)}</dd></dl>
        {Parked(stored, now)}
        {Action(stored, isSent)}
        </section>
        """);

    private static string Since(StoredEvents stored, DateTimeOffset now) =>
        stored.WaitingSince is { } since ? $", the first since {StatusView.Age(now - since)}" : "";

    private static string Count(StoredEvents stored, int count) => stored.IsPartial ? $"{StatusView.N(count)} or more" : StatusView.N(count);

    private static Html Parked(StoredEvents stored, DateTimeOffset now) => stored.Parked == 0 ? default : Html.Of($"""
        <ul class="events">{Html.Concat(stored.SomeParked.Select(each => Html.Of(
            $"<li>{InstanceEventTypes.NameOf(each.Type)} of <code>{each.InstanceId.ToString()}</code>, parked {StatusView.Ago(now - each.ParkedAt!.Value)}</li>")))}</ul>
        {(stored.Parked > stored.SomeParked.Count ? Html.Of($"""<p class="dim">And {StatusView.N(stored.Parked - stored.SomeParked.Count)} more.</p>""") : default)}
        """);

    private static Html Action(StoredEvents stored, bool isSent) => (stored.Parked, isSent) switch
    {
        (_, false) => Html.Of($"""<p class="dim">Events__Url is not set: these are not sent.</p>"""),
        (0, _) => default,
        _ => Html.Of($"""<p class="acts"><button type="button" id="redeliver" data-act="redeliver" data-name="Parked events">Send parked events again</button></p>"""),
    };
}
