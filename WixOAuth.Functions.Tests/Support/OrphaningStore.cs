using System.Runtime.CompilerServices;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>A store with rows in the due index that no instance stands behind, or whose index cannot be read.</summary>
internal sealed class OrphaningStore(IInstanceStore store) : IInstanceStore
{
    public List<DueInstance> Orphans { get; } = [];

    public bool Fails { get; init; }

    public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null) =>
        store.ListAsync(status, after, limit, cancellationToken, customer);

    public IAsyncEnumerable<InstanceSummary> ReadSummariesAsync(CancellationToken cancellationToken) => store.ReadSummariesAsync(cancellationToken);

    public async IAsyncEnumerable<DueInstance> ReadDueAsync(
        DateTimeOffset now, [EnumeratorCancellation] CancellationToken cancellationToken, InstanceShard? shard = null)
    {
        if (Fails)
        {
            throw new StorageUnavailableException("The storage is down.");
        }

        foreach (var orphan in Orphans.Where(orphan => orphan.DueAt <= now && InstanceShard.Of(orphan.Id) == (shard ?? InstanceShard.Of(orphan.Id))).ToList())
        {
            yield return orphan;
        }

        await foreach (var due in store.ReadDueAsync(now, cancellationToken, shard))
        {
            yield return due;
        }
    }

    public async Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken)
    {
        lock (Orphans)
        {
            Orphans.Remove(due);
        }

        await store.RemoveDueAsync(due, cancellationToken);
    }

    public Task InitializeAsync(CancellationToken cancellationToken) => store.InitializeAsync(cancellationToken);

    public Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken) => store.FindAsync(id, cancellationToken);

    public Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken) =>
        store.TryWriteAsync(previous, instance, cancellationToken);

    public Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken) => store.TryRemoveAsync(previous, cancellationToken);

    public Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) => store.FindLastUseAsync(id, cancellationToken);

    public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken) =>
        store.SaveLastUseAsync(id, usedAt, cancellationToken);
}
