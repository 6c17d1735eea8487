using WixOAuth.Events;

namespace WixOAuth.Pages;

internal sealed record ParkedEvent(string Type, string InstanceId, string Ago);

/// <remarks>
/// <c>Since</c> is the end of a sentence, empty when no event waits; <c>MoreParked</c> is the number that is not listed, null
/// when all are; <c>IsSent</c> is whether <c>Events__Url</c> is set.
/// </remarks>
internal sealed record EventsSummary(
    string Waiting, string Since, string Parked, IReadOnlyList<ParkedEvent> SomeParked, string? MoreParked, bool IsSent)
{
    /// <summary>Null when events are not in use.</summary>
    public static EventsSummary? Of(StoredEvents? stored, bool isSent, DateTimeOffset now) => stored is null ? null : new(
        CountOf(stored, stored.Waiting),
        stored.WaitingSince is { } since ? $", the first since {Figures.Age(now - since)}" : "",
        CountOf(stored, stored.Parked),
        [.. stored.SomeParked.Select(each => new ParkedEvent(InstanceEventTypes.NameOf(each.Type), each.InstanceId.ToString(), Figures.Ago(now - each.ParkedAt!.Value)))],
        stored.Parked > stored.SomeParked.Count ? Figures.N(stored.Parked - stored.SomeParked.Count) : null,
        isSent);

    private static string CountOf(StoredEvents stored, int count) => stored.IsPartial ? $"{Figures.N(count)} or more" : Figures.N(count);
}
