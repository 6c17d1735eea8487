using System.Collections.Concurrent;
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
internal sealed partial class EventDelivery(
    IOutbox outbox,
    IInstanceStore store,
    EventSender sender,
    EventRecorder recorder,
    EventMetrics metrics,
    TimeProvider time,
    ILogger<EventDelivery> logger) : BackgroundService
{
    /// <summary>A pass starts nothing new after this time, so that it ends before the next sweep.</summary>
    public static readonly TimeSpan LongestPass = TimeSpan.FromSeconds(40);

    private const int Concurrency = 16;

    private readonly ReceiverCircuit _receiver = new(time);
    private readonly string _process = Guid.NewGuid().ToString("N");

    // Instances whose events this process is sending, so that a pass and a signal do not both send them. The value is true when
    // a second caller came meanwhile: its list may contain a later event.
    private readonly ConcurrentDictionary<InstanceId, bool> _sending = new();

    /// <summary>Delivers everything that waits and may be tried now.</summary>
    /// <exception cref="StorageUnavailableException">The outbox cannot be read.</exception>
    public async Task DeliverWaitingAsync(CancellationToken cancellationToken)
    {
        // Neither this nor a stop cancels an attempt: an event whose delivery is not recorded would be sent twice.
        using var inTime = new CancellationTokenSource(LongestPass, time);
        var recoveredAt = _receiver.RecoveredAt;
        var waiting = await DeliverOnceAsync(inTime.Token, cancellationToken);
        if (_receiver.RecoveredAt != recoveredAt)
        {
            // While one attempt found out that the receiver is back, the others were skipped.
            waiting = await DeliverOnceAsync(inTime.Token, cancellationToken);
        }

        metrics.CountedEvents("waiting", waiting);
    }

    /// <returns>How many events still wait.</returns>
    private async Task<int> DeliverOnceAsync(CancellationToken passEnded, CancellationToken cancellationToken)
    {
        var waiting = 0;
        await Parallel.ForEachAsync(
            outbox.ReadAsync(OutboxPart.Waiting, cancellationToken).ByInstanceAsync(cancellationToken),
            new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },

            // Not the loop's own token: a read that fails ends it, and must cancel no attempt under way.
            async (events, _) => Interlocked.Add(ref waiting, await DeliverGuardedAsync(events, passEnded, cancellationToken)));
        return waiting;
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Parallel.ForEachAsync(
        recorder.Signals.ReadAllAsync(stoppingToken),
        new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = stoppingToken },
        async (id, _) => await DeliverWrittenAsync(id, CancellationToken.None, stoppingToken));

    private async Task<int> DeliverWrittenAsync(InstanceId id, CancellationToken passEnded, CancellationToken cancellationToken)
    {
        try
        {
            var events = await outbox.ReadWaitingAsync(id, cancellationToken).ToListAsync(cancellationToken);
            return await DeliverGuardedAsync(events, passEnded, cancellationToken);
        }
        catch (StorageUnavailableException)
        {
            OutboxUnavailable();
            return 0;
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            // Raised to the host, it would end the program.
            DeliveryFailed(exception.GetType().Name);
            return 0;
        }
    }

    /// <summary>One instance's failure must not end the delivery for the others.</summary>
    /// <returns>How many events still wait.</returns>
    private async Task<int> DeliverGuardedAsync(IReadOnlyList<OutboxEvent> events, CancellationToken passEnded, CancellationToken cancellationToken)
    {
        if (events.Count == 0 || _sending.AddOrUpdate(events[0].InstanceId, false, (_, _) => true))
        {
            return events.Count;
        }

        var (id, delivered, isMore) = (events[0].InstanceId, 0, false);
        try
        {
            foreach (var each in events)
            {
                if (passEnded.IsCancellationRequested || !await DeliverAsync(each, cancellationToken))
                {
                    break;
                }

                delivered++;
            }
        }
        catch (StorageUnavailableException)
        {
            OutboxUnavailable();
        }
        catch (SecretUnavailableException)
        {
            EventSecretUnavailable();
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            DeliveryFailed(exception.GetType().Name);
        }
        finally
        {
            _sending.TryRemove(id, out isMore);
        }

        return isMore && delivered == events.Count ? await DeliverWrittenAsync(id, passEnded, cancellationToken) : events.Count - delivered;
    }

    /// <returns>Whether the instance's next event may be sent.</returns>
    private async Task<bool> DeliverAsync(OutboxEvent waiting, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        if (!DeliveryPolicy.IsDue(waiting, _receiver.RecoveredAt, now) || cancellationToken.IsCancellationRequested || !_receiver.TryEnter())
        {
            return false;
        }

        var leased = await outbox.TrySaveAsync(
            waiting, waiting with { Lease = new Lease(_process, now + DeliveryPolicy.LeaseTime) }, cancellationToken);
        if (leased is null)
        {
            _receiver.NotTried();
            return false;
        }

        // The event is true although its instance cannot be read; the receiver learns the id.
        var instance = await store.FindReadableAsync(leased.InstanceId, CancellationToken.None);
        var result = await SendAsync(leased, instance);
        metrics.SentEvent(result.Outcome);
        return await RecordAsync(leased, result);
    }

    private async Task<SendResult> SendAsync(OutboxEvent leased, Instance? instance)
    {
        try
        {
            return await sender.SendAsync(leased, instance);
        }
        catch (Exception exception) when (exception is not SecretUnavailableException)
        {
            // Counts as a failed attempt. Otherwise the event would be retried with every sweep, for ever.
            DeliveryFailed(exception.GetType().Name);
            return new SendResult(SendOutcome.Unreachable);
        }
    }

    private async Task<bool> RecordAsync(OutboxEvent leased, SendResult result)
    {
        if (result.Outcome == SendOutcome.Delivered)
        {
            _receiver.Succeeded();
            await outbox.RemoveAsync(leased, CancellationToken.None);
            return true;
        }

        if (result.Outcome == SendOutcome.Gone)
        {
            _receiver.Succeeded();
        }
        else if (_receiver.Failed(leased.InstanceId))
        {
            ReceiverUnavailable();
        }

        var failed = DeliveryPolicy.AfterFailure(leased, result, Random.Shared.NextDouble(), time.GetUtcNow());
        if (await outbox.TrySaveAsync(leased, failed, CancellationToken.None) is null || failed.ParkedAt is null)
        {
            return false;
        }

        EventParked(failed.InstanceId, failed.Type, failed.Attempts);
        return true;
    }

    [LoggerMessage(901, LogLevel.Warning, "The receiver of events does not answer; delivery is retried once a minute until it does")]
    private partial void ReceiverUnavailable();

    [LoggerMessage(902, LogLevel.Error, "Event {Type} of instance {InstanceId} is parked after {Attempts} attempts: POST /api/events/redeliver sends it again")]
    private partial void EventParked(InstanceId instanceId, InstanceEventType type, int attempts);

    [LoggerMessage(903, LogLevel.Warning, "The outbox could not be read or written; events wait for the next sweep")]
    private partial void OutboxUnavailable();

    [LoggerMessage(904, LogLevel.Error, "The signing secret of events cannot be read; no event is delivered until it can be")]
    private partial void EventSecretUnavailable();

    [LoggerMessage(907, LogLevel.Error, "The events of an instance could not be delivered ({Error}); they wait for the next sweep")]
    private partial void DeliveryFailed(string error);
}
