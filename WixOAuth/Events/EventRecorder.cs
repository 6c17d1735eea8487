using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>
/// Makes the outbox events of a write. A store adds them to the transaction that writes the instance, so that neither is
/// there without the other.
/// </summary>
internal sealed class EventRecorder
{
    private readonly OutboxSignal _signal;
    private readonly TimeProvider _time;
    private readonly ILogger<EventRecorder> _logger;

    internal EventRecorder(OutboxSignal signal, TimeProvider time, ILogger<EventRecorder> logger) =>
        (_signal, _time, _logger) = (signal, time, logger);

    /// <summary>The instance to write, and the events to write with it.</summary>
    /// <param name="before">The stored record; null when the instance was not known.</param>
    /// <param name="after">The record that replaces it.</param>
    public (Instance Instance, IReadOnlyList<OutboxEvent> Events) Record(Instance? before, Instance after)
    {
        var now = _time.GetUtcNow();
        var sequence = after.EventSequence ?? 0;
        List<OutboxEvent> events =
        [
            .. InstanceEvents.Between(before, after).Select(change =>
                new OutboxEvent(after.Id, sequence = Math.Max(now.UtcTicks, sequence + 1), change.Type, change.Reason, now)),
        ];
        return events.Count == 0 ? (after, events) : (after with { EventSequence = sequence }, events);
    }

    /// <summary>An instance was written with events.</summary>
    public void Written(InstanceId id) => _signal.Set(id);

    /// <summary>The table does not take the row of an event; the instance is written without it.</summary>
    /// <param name="rowKey">The row's key, which holds the instance's id.</param>
    internal void Lost(string rowKey) => _logger.EventLost(rowKey);
}
