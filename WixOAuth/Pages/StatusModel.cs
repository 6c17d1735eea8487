using WixOAuth.Events;

namespace WixOAuth.Pages;

/// <summary>
/// What the operators' page shows, as words and figures. Everything is computed beforehand; rendering only copies text.
/// </summary>
/// <param name="At">The time.</param>
/// <param name="Troubles">The codes of the service's troubles. Those without a banner are not shown.</param>
/// <param name="Totals">The numbers of instances by status.</param>
/// <param name="Life">The remaining lifetimes of the active instances' tokens.</param>
/// <param name="Hour">The refreshes of the last hour.</param>
/// <param name="Events">The events to the user's apps; null when events are not in use.</param>
/// <param name="Found">The listed instances.</param>
internal sealed record StatusModel(
    string At, IReadOnlyCollection<string> Troubles, StatusTotals Totals, IReadOnlyList<LifePart> Life, HourChart Hour, EventsSummary? Events, InstancesFound Found)
{
    /// <summary>The app secret or the protection keys cannot be used.</summary>
    public const string SecretsTrouble = "secrets";

    private const string EventsParked = "events_parked";

    /// <summary>
    /// The troubles to show. Parked events are taken from the count: health may be a minute old, and the button should show its
    /// effect at once.
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
