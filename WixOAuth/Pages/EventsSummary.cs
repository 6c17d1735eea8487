using WixOAuth.Events;

namespace WixOAuth.Pages;

/// <summary>A parked event.</summary>
internal sealed record ParkedEvent(string Type, string InstanceId, string Ago);

/// <summary>The events to the user's apps that are stored.</summary>
/// <param name="Waiting">How many wait for delivery.</param>
/// <param name="Since">Since when, as the end of a sentence.</param>
/// <param name="Parked">How many are parked.</param>
/// <param name="IsAnyParked">Whether there are any of these.</param>
/// <param name="SomeParked">The first of them.</param>
/// <param name="MoreParked">How many there are besides; null where that are all.</param>
/// <param name="IsSent">Whether <c>Events__Url</c> is set.</param>
internal sealed record EventsSummary(
    string Waiting, string Since, string Parked, bool IsAnyParked, IReadOnlyList<ParkedEvent> SomeParked, string? MoreParked, bool IsSent)
{
    /// <summary>Null where events are not in use.</summary>
    public static EventsSummary? Of(StoredEvents? stored, bool isSent, DateTimeOffset now) => stored is null ? null : new(
        CountOf(stored, stored.Waiting),
        stored.WaitingSince is { } since ? $", the first since {Figures.Age(now - since)}" : "",
        CountOf(stored, stored.Parked),
        stored.Parked > 0,
        [.. stored.SomeParked.Select(each => new ParkedEvent(InstanceEventTypes.NameOf(each.Type), each.InstanceId.ToString(), Figures.Ago(now - each.ParkedAt!.Value)))],
        stored.Parked > stored.SomeParked.Count ? Figures.N(stored.Parked - stored.SomeParked.Count) : null,
        isSent);

    private static string CountOf(StoredEvents stored, int count) => stored.IsPartial ? $"{Figures.N(count)} or more" : Figures.N(count);
}
