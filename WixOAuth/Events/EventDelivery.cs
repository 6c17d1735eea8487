using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Events;

/// <summary>
/// Delivers the events of the outbox: at once when this process wrote one, and all that wait with each sweep. The events of an
/// instance are sent in order, one at a time; different instances are sent in parallel. An event is removed after the
/// receiver took it, so it is delivered at least once.
/// </summary>
internal sealed class EventDelivery : BackgroundService
{
    /// <summary>A pass takes up nothing new after this time, so that it ends before the next sweep.</summary>
    public static readonly TimeSpan LongestPass = TimeSpan.FromSeconds(40);

    private const int Concurrency = 16;

    private readonly IOutbox _outbox;
    private readonly IInstanceStore _store;
    private readonly EventSender _sender;
    private readonly OutboxSignal _signal;
    private readonly EventMetrics _metrics;
    private readonly TimeProvider _time;
    private readonly ILogger<EventDelivery> _logger;
    private readonly ReceiverCircuit _receiver;
    private readonly string _process = Guid.NewGuid().ToString("N");

    // Instances whose events this process is sending now: a pass and a signal must not both send them.
    private readonly ConcurrentDictionary<InstanceId, byte> _sending = new();

    internal EventDelivery(
        IOutbox outbox,
        IInstanceStore store,
        EventSender sender,
        OutboxSignal signal,
        EventMetrics metrics,
        TimeProvider time,
        ILogger<EventDelivery> logger)
    {
        (_outbox, _store, _sender, _signal) = (outbox, store, sender, signal);
        (_metrics, _time, _logger) = (metrics, time, logger);
        _receiver = new ReceiverCircuit(time);
    }

    /// <summary>Delivers everything that waits and may be tried now.</summary>
    /// <exception cref="StorageUnavailableException">The outbox cannot be read.</exception>
    public async Task DeliverWaitingAsync(CancellationToken cancellationToken)
    {
        // The end of the pass cancels no attempt: an event whose delivery is not recorded would be sent twice.
        using var inTime = new CancellationTokenSource(LongestPass, _time);
        var recoveredAt = _receiver.RecoveredAt;
        var waiting = await DeliverOnceAsync(inTime.Token, cancellationToken);
        if (_receiver.RecoveredAt != recoveredAt)
        {
            // While one attempt found out that the receiver is back, the others were skipped.
            waiting = await DeliverOnceAsync(inTime.Token, cancellationToken);
        }

        _metrics.CountedEvents("waiting", waiting);
    }

    /// <returns>How many events still wait.</returns>
    private async Task<int> DeliverOnceAsync(CancellationToken noMore, CancellationToken cancellationToken)
    {
        var waiting = 0;
        await Parallel.ForEachAsync(
            ByInstanceAsync(_outbox.ReadWaitingAsync(cancellationToken), cancellationToken),
            new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
            async (events, token) => Interlocked.Add(ref waiting, await DeliverGuardedAsync(events, noMore, token)));
        return waiting;
    }

    /// <summary>Delivers the events of instances that this process has just written.</summary>
    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Parallel.ForEachAsync(
        _signal.Written.ReadAllAsync(stoppingToken),
        new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = stoppingToken },
        async (id, token) =>
        {
            try
            {
                await DeliverGuardedAsync(await _outbox.ReadWaitingAsync(id, token).ToListAsync(token), CancellationToken.None, token);
            }
            catch (StorageUnavailableException)
            {
                _logger.OutboxUnavailable();
            }
        });

    /// <summary>One instance's failure must not end the delivery for the others.</summary>
    /// <returns>How many events still wait.</returns>
    private async Task<int> DeliverGuardedAsync(IReadOnlyList<OutboxEvent> events, CancellationToken noMore, CancellationToken cancellationToken)
    {
        if (events.Count == 0 || !_sending.TryAdd(events[0].InstanceId, 0))
        {
            return events.Count;
        }

        var delivered = 0;
        try
        {
            foreach (var each in events)
            {
                if (noMore.IsCancellationRequested || !await DeliverAsync(each, cancellationToken))
                {
                    break;
                }

                delivered++;
            }
        }
        catch (StorageUnavailableException)
        {
            _logger.OutboxUnavailable();
        }
        catch (SecretUnavailableException)
        {
            _logger.EventSecretUnavailable();
        }
        finally
        {
            _sending.TryRemove(events[0].InstanceId, out _);
        }

        return events.Count - delivered;
    }

    /// <summary>Takes the lease, sends, and records the result.</summary>
    /// <returns>Whether the instance's next event may be sent.</returns>
    private async Task<bool> DeliverAsync(OutboxEvent waiting, CancellationToken cancellationToken)
    {
        var now = _time.GetUtcNow();
        var step = DeliveryPolicy.Next(waiting, _receiver.RecoveredAt, now);
        if (step == DeliveryStep.Park)
        {
            return await RecordAsync(waiting, waiting with { ParkedAt = now, RetryAt = null, Lease = null });
        }

        if (step == DeliveryStep.Wait || cancellationToken.IsCancellationRequested || !_receiver.TryEnter())
        {
            return false;
        }

        var leased = await _outbox.TrySaveAsync(
            waiting, waiting with { Lease = new Lease(_process, now + DeliveryPolicy.LeaseTime) }, cancellationToken);
        if (leased is null)
        {
            return false;
        }

        var instance = await FindAsync(leased.InstanceId, cancellationToken);
        var result = await _sender.SendAsync(leased, instance, cancellationToken);
        _metrics.SentEvent(result.Outcome);
        return await RecordAsync(leased, result);
    }

    // After an attempt nothing is cancelled: a delivery that is not recorded is a second delivery.
    private async Task<bool> RecordAsync(OutboxEvent leased, SendResult result)
    {
        if (result.Outcome == SendOutcome.Delivered)
        {
            _receiver.Succeeded();
            await _outbox.RemoveAsync(leased, CancellationToken.None);
            return true;
        }

        if (result.Outcome == SendOutcome.Gone)
        {
            _receiver.Succeeded();
        }
        else if (_receiver.Failed(leased.InstanceId))
        {
            _logger.ReceiverUnavailable();
        }

        return await RecordAsync(leased, DeliveryPolicy.AfterFailure(leased, result, Random.Shared.NextDouble(), _time.GetUtcNow()));
    }

    private async Task<bool> RecordAsync(OutboxEvent read, OutboxEvent changed)
    {
        if (await _outbox.TrySaveAsync(read, changed, CancellationToken.None) is null || changed.ParkedAt is null)
        {
            return false;
        }

        _logger.EventParked(changed.InstanceId, changed.Type, changed.Attempts);
        return true;
    }

    private async Task<Instance?> FindAsync(InstanceId id, CancellationToken cancellationToken)
    {
        try
        {
            return (await _store.FindAsync(id, cancellationToken))?.Instance;
        }
        catch (InvalidDataException)
        {
            // The event is true although its instance cannot be read; the receiver learns the id.
            return null;
        }
    }

    private static async IAsyncEnumerable<IReadOnlyList<OutboxEvent>> ByInstanceAsync(
        IAsyncEnumerable<OutboxEvent> events, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var group = new List<OutboxEvent>();
        await foreach (var each in events.WithCancellation(cancellationToken))
        {
            if (group.Count > 0 && group[0].InstanceId != each.InstanceId)
            {
                yield return group;
                group = [];
            }

            group.Add(each);
        }

        if (group.Count > 0)
        {
            yield return group;
        }
    }
}
