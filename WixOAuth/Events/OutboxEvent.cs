using System.Runtime.CompilerServices;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>
/// An event that waits for its delivery, as a row beside the instance that it is about. It holds no customer and no
/// site: these are read when the event is sent, so that erasing an instance needs no search in the outbox. Its sequence orders
/// the events of an instance: UTC ticks, greater than those of the event before, and the time when it occurred.
/// </summary>
internal sealed record OutboxEvent(InstanceId InstanceId, long Sequence, InstanceEventType Type, string Reason, DateTimeOffset OccurredAt)
{
    /// <summary>The CloudEvents <c>id</c> and the <c>webhook-id</c>: the same in every delivery of this event.</summary>
    public string Id => $"{InstanceId}-{Sequence}";

    /// <summary>From when on delivery is retried: its occurrence, or the moment when it was made due again.</summary>
    public DateTimeOffset WaitingSince { get; init; } = OccurredAt;

    public int Attempts { get; init; }

    public DateTimeOffset? LastAttemptAt { get; init; }

    /// <summary>When delivery is tried again; null means now.</summary>
    public DateTimeOffset? RetryAt { get; init; }

    /// <summary>The process that is sending it, and until when others leave it alone.</summary>
    public Lease? Lease { get; init; }

    /// <summary>When delivery was given up. A parked event holds back no later one.</summary>
    public DateTimeOffset? ParkedAt { get; init; }

    public string ETag { get; init; } = "";
}

internal static class OutboxEvents
{
    /// <summary>Events that come instance by instance, as one list for each instance.</summary>
    public static async IAsyncEnumerable<IReadOnlyList<OutboxEvent>> ByInstanceAsync(
        this IAsyncEnumerable<OutboxEvent> events, [EnumeratorCancellation] CancellationToken cancellationToken)
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
