using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>The events whose delivery was given up: counted, made due again, and removed after <see cref="DeliveryPolicy.ParkedFor"/>.</summary>
internal sealed class ParkedEvents
{
    // Bounds what is held in memory at once.
    private const int Batch = 10_000;

    private const int Concurrency = 16;

    private static readonly TimeSpan KeptFor = TimeSpan.FromMinutes(1);

    private readonly IOutbox _outbox;
    private readonly TimeProvider _time;
    private readonly EventMetrics _metrics;
    private readonly ILogger<ParkedEvents> _logger;
    private Finding? _last;

    public ParkedEvents(IOutbox outbox, TimeProvider time, EventMetrics metrics, ILogger<ParkedEvents> logger) =>
        (_outbox, _time, _metrics, _logger) = (outbox, time, metrics, logger);

    /// <summary>Makes all parked events due; the next pass sends them.</summary>
    /// <returns>How many.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; some may be due already.</exception>
    public async Task<int> RedeliverAsync(CancellationToken cancellationToken)
    {
        var (count, now) = (0, _time.GetUtcNow());
        int before;
        IReadOnlyList<OutboxEvent> parked;
        do
        {
            (before, parked) = (count, await _outbox.ReadParkedAsync(Batch, cancellationToken));

            // In order for each instance, so that no later event is sent while an earlier one is still parked. An event that
            // waits since now was made due before, sent and parked again.
            await Parallel.ForEachAsync(
                parked.Where(each => each.WaitingSince != now).GroupBy(each => each.InstanceId),
                new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
                async (events, token) =>
                {
                    foreach (var each in events)
                    {
                        Interlocked.Add(ref count, await TryMakeDueAsync(each, now, token) ? 1 : 0);
                    }
                });
        }
        while (parked.Count == Batch && count > before);

        _last = null;
        _logger.EventsRedelivered(count);
        return count;
    }

    /// <summary>How many events are parked, at most 10,000.</summary>
    /// <exception cref="StorageUnavailableException">The storage fails.</exception>
    public async Task<int> CountAsync(CancellationToken cancellationToken)
    {
        var count = (await _outbox.ReadParkedAsync(Batch, cancellationToken)).Count;
        _metrics.CountedEvents("parked", count);
        return count;
    }

    /// <summary>Whether any event is parked, as of a minute ago at most.</summary>
    /// <exception cref="StorageUnavailableException">The storage fails.</exception>
    public async Task<bool> IsAnyAsync(CancellationToken cancellationToken)
    {
        if (_last is not { } last || _time.GetElapsedTime(last.At) >= KeptFor)
        {
            _last = last = new Finding(_time.GetTimestamp(), (await _outbox.ReadParkedAsync(1, cancellationToken)).Count > 0);
        }

        return last.IsAny;
    }

    /// <summary>Removes the events that have been parked for longer than they are kept.</summary>
    /// <returns>How many.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; what is left is removed the next time.</exception>
    public async Task<int> RemoveOldAsync(CancellationToken cancellationToken)
    {
        var before = _time.GetUtcNow() - DeliveryPolicy.ParkedFor;
        var old = (await _outbox.ReadParkedAsync(Batch, cancellationToken)).Where(each => each.ParkedAt < before).ToList();
        foreach (var each in old)
        {
            await _outbox.RemoveAsync(each, cancellationToken);
        }

        return old.Count;
    }

    private async Task<bool> TryMakeDueAsync(OutboxEvent parked, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var due = parked with { ParkedAt = null, Attempts = 0, RetryAt = null, Lease = null, WaitingSince = now };
        return await _outbox.TrySaveAsync(parked, due, cancellationToken) is not null;
    }

    private sealed record Finding(long At, bool IsAny);
}
