using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>
/// Where events wait for their delivery. Events are added by the transaction that writes their instance, never by
/// themselves. Every method raises <see cref="StorageUnavailableException"/> when the storage fails.
/// </summary>
internal interface IOutbox
{
    /// <summary>The events that wait, instance by instance and in order for each. Parked events are left out.</summary>
    IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(CancellationToken cancellationToken);

    /// <summary>The events of one instance that wait, in order.</summary>
    IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(InstanceId id, CancellationToken cancellationToken);

    /// <summary>The events that wait and those that are parked.</summary>
    IAsyncEnumerable<OutboxEvent> ReadAllAsync(CancellationToken cancellationToken);

    /// <summary>The parked events, at most <paramref name="limit"/>.</summary>
    Task<IReadOnlyList<OutboxEvent>> ReadParkedAsync(int limit, CancellationToken cancellationToken);

    /// <summary>Replaces an event that was read by <paramref name="changed"/>; moves it when it was parked or is no longer.</summary>
    /// <returns>What is stored now; null when another process changed or removed the event.</returns>
    Task<OutboxEvent?> TrySaveAsync(OutboxEvent read, OutboxEvent changed, CancellationToken cancellationToken);

    /// <summary>Removes an event. One that is already gone is fine.</summary>
    Task RemoveAsync(OutboxEvent delivered, CancellationToken cancellationToken);
}
