using WixOAuth.Events;

namespace WixOAuth.Pages;

/// <summary>
/// What the operators' page shows, as words and figures. All of it is computed before a page is made of it: rendering
/// only copies text, and cannot fail.
/// </summary>
/// <param name="At">The time.</param>
/// <param name="Troubles">The troubles of the whole service, as words. Each has a banner, or nothing is shown of it.</param>
/// <param name="Totals">How many instances there are of which kind.</param>
/// <param name="Life">How long tokens live on.</param>
/// <param name="Hour">The refreshes of the last hour.</param>
/// <param name="Events">The events to the user's apps; null where events are not in use.</param>
/// <param name="Found">The instances that were asked for.</param>
internal sealed record StatusModel(
    string At, IReadOnlyCollection<string> Troubles, StatusTotals Totals, IReadOnlyList<LifePart> Life, HourChart Hour, EventsSummary? Events, InstancesFound Found)
{
    /// <summary>The app secret or the protection keys cannot be used.</summary>
    public const string SecretsTrouble = "secrets";

    private const string EventsParked = "events_parked";

    /// <summary>
    /// The troubles to show. Whether events are parked is counted: what health says of it may be a minute old, and the button
    /// is to show its effect.
    /// </summary>
    public static IReadOnlyCollection<string> TroublesOf(IEnumerable<string> found, StoredEvents? events) =>
    [
        .. found.Where(trouble => trouble != EventsParked),
        .. events is { Parked: > 0 } ? [EventsParked] : Array.Empty<string>(),
    ];
}

/// <summary>A line of text.</summary>
/// <param name="Css">The class of its paragraph; null without one.</param>
/// <param name="Words">The text.</param>
internal sealed record StatusLine(string? Css, string Words);
