namespace WixOAuth.Instances;

/// <summary>An instance as it was read, with the ETag that a later write of it is checked against.</summary>
internal sealed record StoredInstance(Instance Instance, string ETag);

/// <summary>The few properties of an instance that are counted over all instances. A key id is null where there is no token.</summary>
internal readonly record struct InstanceSummary(
    InstanceId Id,
    InstanceStatus Status,
    DateTimeOffset? AccessTokenExpiresOn,
    DateTimeOffset? DueAt,
    bool IsFailing,
    string? RefreshTokenKeyId,
    string? AccessTokenKeyId)
{
    public Grant CurrentGrant { get; init; }

    /// <summary>When Wix rejected it last; null if its last refresh was not rejected.</summary>
    public DateTimeOffset? RejectedAt { get; init; }

    public DateTimeOffset? MarkedAt { get; init; }

    public RefreshTokenFaultKind? RefreshTokenFault { get; init; }

    public DateTimeOffset? RefreshTokenFaultSince { get; init; }
}

/// <summary>A row of the due index: the sweep processes the instance once <paramref name="DueAt"/> has come.</summary>
internal sealed record DueInstance(InstanceId Id, DateTimeOffset DueAt);

/// <summary>
/// A part of a list of instances: fewer than asked for when some could not be read or have just moved. The next page begins
/// after <paramref name="Last"/>, which is null at the list's end.
/// </summary>
internal sealed record InstancePage(IReadOnlyList<Instance> Instances, InstanceId? Last);

/// <summary>
/// Stores instances. Every implementation passes the same conformance tests.
/// </summary>
/// <remarks>
/// Any method raises <see cref="StorageUnavailableException"/> when the storage could not be reached or refused; a write may
/// then have succeeded or not. <see cref="OperationCanceledException"/> is raised only for the caller's own token. A row that
/// this version cannot read raises <see cref="InvalidDataException"/> when it is read by id or nonce. It concerns that row
/// only.
/// </remarks>
internal interface IInstanceStore
{
    const int MaxPage = 200;

    /// <summary>Creates the table. May be called again.</summary>
    Task InitializeAsync(CancellationToken cancellationToken);

    Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken);

    /// <summary>
    /// Writes an instance together with its rows in the due index and the status index, in one transaction.
    /// <paramref name="previous"/> is what the change was made from; null when the instance was not known. A write that is
    /// cancelled may have succeeded.
    /// </summary>
    /// <returns>
    /// What is now stored; null when <paramref name="previous"/> is no longer what is stored. Null is also answered
    /// when the write itself had succeeded and only its response was lost, so read again and look at
    /// <see cref="Lease.Owner"/> or <see cref="Instance.CommitId"/>.
    /// </returns>
    Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken);

    /// <summary>
    /// Removes an instance for good, with its rows in the due and the status index and its last use, in one transaction. A
    /// removal that is cancelled may have succeeded.
    /// </summary>
    /// <returns>
    /// False when <paramref name="previous"/> is no longer what is stored; also when the removal itself had succeeded and
    /// only its response was lost.
    /// </returns>
    Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken);

    /// <summary>
    /// A part of the list of all instances, or of all with one status, in an order of the store's own that never
    /// changes. Paging returns each instance that exists and keeps the status throughout exactly once.
    /// <paramref name="after"/> is <see cref="InstancePage.Last"/> of the page before, whose instance may be gone by now;
    /// null to begin. There is no index of customers: with <paramref name="customer"/> every instance after
    /// <paramref name="after"/> is looked at until enough are found.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="limit"/> is not 1 to <see cref="MaxPage"/>.</exception>
    Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null);

    /// <summary>The summaries of all instances, in no order that means anything. A row that cannot be read is left out.</summary>
    IAsyncEnumerable<InstanceSummary> ReadSummariesAsync(CancellationToken cancellationToken);

    /// <summary>
    /// The instances that are due, of one shard or of all, the longest due of each shard first. Reads due rows only, so what
    /// it costs depends on how many are due and not on how many there are.
    /// </summary>
    IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken, InstanceShard? shard = null);

    /// <summary>Removes an orphaned row of the due index. One that is already gone is fine.</summary>
    Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken);

    Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken);

    /// <summary>Writes down when an instance was last asked for, without touching its ETag.</summary>
    Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken);
}

internal static class InstanceStores
{
    /// <summary>As <see cref="IInstanceStore.FindAsync"/>; null also where this version cannot read the row.</summary>
    public static async Task<Instance?> FindReadableAsync(this IInstanceStore store, InstanceId id, CancellationToken cancellationToken)
    {
        try
        {
            return (await store.FindAsync(id, cancellationToken))?.Instance;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }
}

/// <summary>The storage could not be reached, or refused. The message contains no secret.</summary>
internal sealed class StorageUnavailableException(string message, Exception? innerException = null) : Exception(message, innerException);
