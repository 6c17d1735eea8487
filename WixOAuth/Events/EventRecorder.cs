using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>
/// Makes the outbox events of a write. A store adds them to the transaction that writes the instance, so that neither is
/// there without the other.
/// </summary>
internal sealed partial class EventRecorder(TimeProvider time, ILogger<EventRecorder> logger)
{
    // Beyond these the oldest is dropped; the sweep finds its event within a minute.
    private const int MostWritten = 1_000;

    private readonly Channel<InstanceId> _written = Channel.CreateBounded<InstanceId>(
        new BoundedChannelOptions(MostWritten) { FullMode = BoundedChannelFullMode.DropOldest });

    public ChannelReader<InstanceId> Signals => _written.Reader;

    public (Instance Instance, IReadOnlyList<OutboxEvent> Events) Record(Instance? before, Instance after)
    {
        var now = time.GetUtcNow();
        var sequence = after.EventSequence ?? 0;
        List<OutboxEvent> events = [];
        foreach (var (type, reason) in InstanceEvents.Between(before, after))
        {
            sequence = Math.Max(now.UtcTicks, sequence + 1);

            // By the sequence, since receivers compare the times of an instance's events: the clock may have been set back.
            events.Add(new OutboxEvent(after.Id, sequence, type, reason, new DateTimeOffset(sequence, TimeSpan.Zero)) { WaitingSince = now });
        }

        return events.Count == 0 ? (after, events) : (after with { EventSequence = sequence }, events);
    }

    public void Written(InstanceId id) => _written.Writer.TryWrite(id);

    /// <summary>The table does not take the row of an event; the instance is written without it.</summary>
    [LoggerMessage(905, LogLevel.Error, "The event {RowKey} could not be stored and is lost; its change was saved")]
    internal partial void EventLost(string rowKey);
}
