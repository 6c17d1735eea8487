using System.Collections.Concurrent;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>A store that writes down what is asked of it, and does first what a test says.</summary>
internal sealed class WatchedStore(IInstanceStore store) : IInstanceStore, IConsumedStateStore
{
    /// <summary>The names of the methods, and the instance where there is one.</summary>
    public ConcurrentQueue<(string Method, InstanceId? Id)> Calls { get; } = new();

    /// <summary>Runs before the store is called; may throw instead.</summary>
    public Func<string, InstanceId?, Task> Before { get; set; } = (_, _) => Task.CompletedTask;

    /// <summary>Runs after a conditional write that was done; where it returns true, the caller is told that it was not.</summary>
    public Func<string, Task<bool>> LosesAnswer { get; set; } = _ => Task.FromResult(false);

    public int CallsTo(string method) => Calls.Count(call => call.Method == method);

    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(InitializeAsync), null);
        await store.InitializeAsync(cancellationToken);
    }

    public async Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(FindAsync), id);
        return await store.FindAsync(id, cancellationToken);
    }

    public async Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(TryWriteAsync), instance.Id);
        var written = await store.TryWriteAsync(previous, instance, cancellationToken);
        return written is null || await LosesAnswer(nameof(TryWriteAsync)) ? null : written;
    }

    public async Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(TryRemoveAsync), previous.Instance.Id);
        return await store.TryRemoveAsync(previous, cancellationToken);
    }

    public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null) =>
        store.ListAsync(status, after, limit, cancellationToken, customer);

    public IAsyncEnumerable<InstanceSummary> ReadSummariesAsync(CancellationToken cancellationToken) => store.ReadSummariesAsync(cancellationToken);

    public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken, InstanceShard? shard = null) =>
        store.ReadDueAsync(now, cancellationToken, shard);

    public async Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(RemoveDueAsync), due.Id);
        await store.RemoveDueAsync(due, cancellationToken);
    }

    public async Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(TryAddConsumedStateAsync), consumedState.InstanceId);
        return await ((IConsumedStateStore)store).TryAddConsumedStateAsync(consumedState, cancellationToken)
            && !await LosesAnswer(nameof(TryAddConsumedStateAsync));
    }

    public async Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(FindConsumedStateAsync), null);
        return await ((IConsumedStateStore)store).FindConsumedStateAsync(nonce, issuedAt, cancellationToken);
    }

    public async Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(SaveConsumedStateAsync), consumedState.InstanceId);
        await ((IConsumedStateStore)store).SaveConsumedStateAsync(consumedState, cancellationToken);
    }

    public async Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(RemoveConsumedStatesAsync), null);
        return await ((IConsumedStateStore)store).RemoveConsumedStatesAsync(before, limit, cancellationToken);
    }

    public async Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(FindLastUseAsync), id);
        return await store.FindLastUseAsync(id, cancellationToken);
    }

    public async Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken)
    {
        await NoteAsync(nameof(SaveLastUseAsync), id);
        await store.SaveLastUseAsync(id, usedAt, cancellationToken);
    }

    private async Task NoteAsync(string method, InstanceId? id)
    {
        Calls.Enqueue((method, id));
        await Before(method, id);
    }
}
