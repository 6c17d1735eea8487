using WixOAuth.Instances;

namespace WixOAuth.Events;

internal enum OutboxPart
{
    Waiting,
    Parked,
    All,
}

/// <summary>
/// Where events wait for their delivery. Events are added by the transaction that writes their instance, never by
/// themselves. Every method raises <see cref="StorageUnavailableException"/> when the storage fails.
/// </summary>
internal interface IOutbox
{
    /// <summary>A part of the events. Those that wait, and those that are parked, come instance by instance and in order for each.</summary>
    IAsyncEnumerable<OutboxEvent> ReadAsync(OutboxPart part, CancellationToken cancellationToken);

    IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(InstanceId id, CancellationToken cancellationToken);

    /// <summary>
    /// Saves <paramref name="changed"/> in place of <paramref name="read"/>. Moves the row when only one of the two is parked.
    /// </summary>
    /// <returns>What is stored now; null when another process changed or removed the event.</returns>
    Task<OutboxEvent?> TrySaveAsync(OutboxEvent read, OutboxEvent changed, CancellationToken cancellationToken);

    /// <summary>Removes an event. One that is already gone is fine.</summary>
    Task RemoveAsync(OutboxEvent delivered, CancellationToken cancellationToken);
}
