using WixOAuth.Hosting;
using WixOAuth.Settings;

namespace WixOAuth.Events;

/// <summary>
/// How many events are stored, and since when the first of the waiting ones waits. Partial where there are more than were
/// counted.
/// </summary>
internal sealed record StoredEvents(
    int Waiting, DateTimeOffset? WaitingSince, int Parked, IReadOnlyList<OutboxEvent> SomeParked, bool IsPartial);

/// <summary>
/// Counts the stored events for the operators' page, at most every half minute: one storage request for each shard and for
/// each further 1,000 events. Without <c>Events__Url</c> there can only be old ones: these are counted once an hour.
/// </summary>
internal sealed class EventOverview(IOutbox outbox, ServiceSettings settings, TimeProvider time)
{
    public const int Limit = 50_000;

    public const int MostNamed = 5;

    private readonly SharedResult<StoredEvents> _counts = new(time, keptFor: settings.Events.Url is null ? TimeSpan.FromHours(1) : TimeSpan.FromSeconds(30));

    /// <summary>The stored events; null where there are none and <c>Events__Url</c> is not set. Cancelling ends the wait; the count goes on for others.</summary>
    public async Task<StoredEvents?> GetAsync(bool forceRefresh, CancellationToken cancellationToken)
    {
        var stored = await _counts.GetAsync(CountAsync, forceRefresh && settings.Events.Url is not null, cancellationToken);
        return settings.Events.Url is null && stored is { Waiting: 0, Parked: 0 } ? null : stored;
    }

    private async Task<StoredEvents> CountAsync()
    {
        var (waiting, parked) = (0, 0);
        DateTimeOffset? waitingSince = null;
        var some = new List<OutboxEvent>();
        await foreach (var each in outbox.ReadAsync(OutboxPart.All, CancellationToken.None).Take(Limit + 1))
        {
            if (waiting + parked == Limit)
            {
                return new StoredEvents(waiting, waitingSince, parked, some, IsPartial: true);
            }

            if (each.ParkedAt is null)
            {
                waiting++;
                waitingSince = waitingSince < each.WaitingSince ? waitingSince : each.WaitingSince;
            }
            else if (++parked <= MostNamed)
            {
                some.Add(each);
            }
        }

        return new StoredEvents(waiting, waitingSince, parked, some, IsPartial: false);
    }
}
