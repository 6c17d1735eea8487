using WixOAuth.Events;

namespace WixOAuth.Pages;

/// <summary>
/// What the operators' page shows, as words and figures. Everything is computed beforehand; rendering only copies text.
/// <c>Troubles</c> without a banner are not shown; <c>Events</c> is null when events are not in use.
/// </summary>
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

internal sealed record StatusLine(string? Css, string Words);
