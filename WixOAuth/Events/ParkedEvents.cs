using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>The events whose delivery was given up: counted, made due again, and removed after <see cref="DeliveryPolicy.ParkedFor"/>.</summary>
internal sealed partial class ParkedEvents(IOutbox outbox, TimeProvider time, EventMetrics metrics, ILogger<ParkedEvents> logger)
{
    private const int MostCounted = 10_000;
    private const int Concurrency = 16;

    private static readonly TimeSpan KeptFor = TimeSpan.FromMinutes(1);

    private Finding? _last;

    /// <summary>Makes all parked events due; the next pass sends them.</summary>
    /// <returns>How many.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; some may be due already.</exception>
    public async Task<int> RedeliverAsync(CancellationToken cancellationToken)
    {
        var (count, now) = (0, time.GetUtcNow());

        // In the order of each instance, so that no later event is sent while an earlier one is still parked. An event that has
        // waited since now was already made due by this call, and was parked again.
        await Parallel.ForEachAsync(
            outbox.ReadAsync(OutboxPart.Parked, cancellationToken).Where(each => each.WaitingSince != now).ByInstanceAsync(cancellationToken),
            new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
            async (events, _) =>
            {
                foreach (var each in events)
                {
                    var due = each with { ParkedAt = null, Attempts = 0, RetryAt = null, Lease = null, WaitingSince = now };
                    Interlocked.Add(ref count, await outbox.TrySaveAsync(each, due, cancellationToken) is null ? 0 : 1);
                }
            });

        _last = null;
        EventsRedelivered(count);
        return count;
    }

    /// <summary>How many events are parked, at most 10,000.</summary>
    public async Task<int> CountAsync(CancellationToken cancellationToken)
    {
        var count = await outbox.ReadAsync(OutboxPart.Parked, cancellationToken).Take(MostCounted).CountAsync(cancellationToken);
        metrics.CountedEvents("parked", count);
        return count;
    }

    /// <summary>Whether any event is parked, as of a minute ago at most.</summary>
    public async Task<bool> IsAnyAsync(CancellationToken cancellationToken)
    {
        if (_last is not { } last || time.GetElapsedTime(last.At) >= KeptFor)
        {
            _last = last = new Finding(time.GetTimestamp(), await outbox.ReadAsync(OutboxPart.Parked, cancellationToken).AnyAsync(cancellationToken));
        }

        return last.IsAny;
    }

    /// <summary>Removes the events of a part that have been parked, or have waited, for longer than parked ones are kept.</summary>
    /// <returns>How many.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; what is left is removed the next time.</exception>
    public async Task<int> RemoveOldAsync(OutboxPart part, CancellationToken cancellationToken)
    {
        var (count, before) = (0, time.GetUtcNow() - DeliveryPolicy.ParkedFor);
        await foreach (var each in outbox.ReadAsync(part, cancellationToken).Where(stored => (stored.ParkedAt ?? stored.WaitingSince) < before))
        {
            await outbox.RemoveAsync(each, cancellationToken);
            count++;
        }

        return count;
    }

    [LoggerMessage(906, LogLevel.Information, "{Count} parked events were made due again")]
    private partial void EventsRedelivered(int count);

    private sealed record Finding(long At, bool IsAny);
}
