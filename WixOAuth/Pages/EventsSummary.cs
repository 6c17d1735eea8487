using WixOAuth.Events;

namespace WixOAuth.Pages;

/// <summary>A parked event.</summary>
internal sealed record ParkedEvent(string Type, string InstanceId, string Ago);

/// <summary>The stored events to the user's apps.</summary>
/// <param name="Waiting">The number of events that wait for delivery.</param>
/// <param name="Since">How long the oldest of them has waited, as the end of a sentence; empty when none waits.</param>
/// <param name="Parked">The number of parked events.</param>
/// <param name="SomeParked">The first parked events.</param>
/// <param name="MoreParked">The number of parked events that are not listed; null when all are.</param>
/// <param name="IsSent">Whether <c>Events__Url</c> is set.</param>
internal sealed record EventsSummary(
    string Waiting, string Since, string Parked, IReadOnlyList<ParkedEvent> SomeParked, string? MoreParked, bool IsSent)
{
    /// <summary>The summary; null when events are not in use.</summary>
    public static EventsSummary? Of(StoredEvents? stored, bool isSent, DateTimeOffset now) => stored is null ? null : new(
        CountOf(stored, stored.Waiting),
        stored.WaitingSince is { } since ? $", the first since {Figures.Age(now - since)}" : "",
        CountOf(stored, stored.Parked),
        [.. stored.SomeParked.Select(each => new ParkedEvent(InstanceEventTypes.NameOf(each.Type), each.InstanceId.ToString(), Figures.Ago(now - each.ParkedAt!.Value)))],
        stored.Parked > stored.SomeParked.Count ? Figures.N(stored.Parked - stored.SomeParked.Count) : null,
        isSent);

    private static string CountOf(StoredEvents stored, int count) => stored.IsPartial ? $"{Figures.N(count)} or more" : Figures.N(count);
}
