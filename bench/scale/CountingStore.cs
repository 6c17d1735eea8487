using System.Runtime.CompilerServices;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Scale;

/// <summary>
/// The memory store, each request to it counted by kind and taking as long as one to Table storage. The due index is
/// read as <see cref="TableInstanceStore"/> reads it: the shards in turns, a page of keys at a time.
/// </summary>
internal sealed class CountingStore(MemoryInstanceStore store, SimulatedTime time, Counts counts) : IInstanceStore, IConsumedStateStore, IRefreshTallyStore, ISweepStateStore
{
    /// <summary>Off while the world is furnished.</summary>
    public bool IsOn { get; set; }

    public async Task SaveSweepStateAsync(SweepState state, CancellationToken cancellationToken)
    {
        await RequestAsync(() => counts.OtherWrites++);
        await store.SaveSweepStateAsync(state, cancellationToken);
    }

    public async Task<SweepState?> ReadSweepStateAsync(CancellationToken cancellationToken)
    {
        await RequestAsync(() => counts.Reads++);
        return await store.ReadSweepStateAsync(cancellationToken);
    }

    public async Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken)
    {
        await RequestAsync(() => counts.Reads++);
        return await store.FindAsync(id, cancellationToken);
    }

    public async Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
    {
        await RequestAsync(() =>
        {
            if (instance.Lease is not null && instance.Lease != previous?.Instance.Lease)
            {
                counts.Leases++;
            }
            else if (instance.Generation > previous?.Instance.Generation)
            {
                counts.Commits++;
            }
            else
            {
                counts.OtherWrites++;
            }
        });
        return await store.TryWriteAsync(previous, instance, cancellationToken);
    }

    public async IAsyncEnumerable<DueInstance> ReadDueAsync(
        DateTimeOffset now, [EnumeratorCancellation] CancellationToken cancellationToken, InstanceShard? shard = null)
    {
        var shards = (shard is { } only ? [only] : InstanceShard.All).ToDictionary(each => each, _ => new Queue<DueInstance>());
        await foreach (var due in store.ReadDueAsync(now, cancellationToken))
        {
            if (shards.TryGetValue(InstanceShard.Of(due.Id), out var mine))
            {
                mine.Enqueue(due);
            }
        }

        var turns = new Queue<(Queue<DueInstance> Rows, int Read)>(shards.Values.Select(rows => (rows, 0)));
        while (turns.TryDequeue(out var turn))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (turn.Read == 0 || (turn.Read % Model.TablePage == 0 && turn.Rows.Count > 0))
            {
                await RequestAsync(() => counts.DueQueries++);
                cancellationToken.ThrowIfCancellationRequested();
            }

            if (turn.Rows.TryDequeue(out var due))
            {
                turns.Enqueue((turn.Rows, turn.Read + 1));
                yield return due;
            }
        }
    }

    public async Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken)
    {
        await RequestAsync(() => counts.OtherWrites++);
        await store.RemoveDueAsync(due, cancellationToken);
    }

    public async Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken)
    {
        await RequestAsync(() => counts.LastUseReads++);
        return await store.FindLastUseAsync(id, cancellationToken);
    }

    public async Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken)
    {
        await RequestAsync(() => counts.LastUseWrites++);
        await store.SaveLastUseAsync(id, usedAt, cancellationToken);
    }

    public async Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken)
    {
        await RequestAsync(() => counts.OtherWrites++);
        await store.SaveTalliesAsync(tallies, cancellationToken);
    }

    public Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken) => throw NotSimulated();

    public Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => throw NotSimulated();

    public Task InitializeAsync(CancellationToken cancellationToken) => store.InitializeAsync(cancellationToken);

    public Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken) => throw NotSimulated();

    public async IAsyncEnumerable<InstanceSummary> ReadSummariesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var read = 0;
        foreach (var _ in InstanceShard.All)
        {
            await RequestAsync(() => counts.CountingReads++);
        }

        await foreach (var summary in store.ReadSummariesAsync(cancellationToken))
        {
            if (++read % Model.TablePage == 0)
            {
                await RequestAsync(() => counts.CountingReads++);
            }

            yield return summary;
        }
    }

    public async Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null)
    {
        await RequestAsync(() => counts.CountingReads++);
        return await store.ListAsync(status, after, limit, cancellationToken, customer);
    }

    public Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken) => throw NotSimulated();

    public Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken) => throw NotSimulated();

    public Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken) => throw NotSimulated();

    public Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) => throw NotSimulated();

    // What nothing here calls would not be counted if something did.
    private static NotSupportedException NotSimulated() => new("Installs, housekeeping and the operators' page are not simulated.");

    private Task RequestAsync(Action count)
    {
        if (!IsOn)
        {
            return Task.CompletedTask;
        }

        count();
        return time.PassAsync(Model.StorageLatency);
    }
}
