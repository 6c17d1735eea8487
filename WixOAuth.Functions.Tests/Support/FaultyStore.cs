using System.Runtime.CompilerServices;
using WixOAuth.Events;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>What a refresh asks of the store.</summary>
internal enum StoreStep
{
    Read,
    Lease,
    Commit,
    Other,
}

/// <summary>What becomes of a call.</summary>
internal enum StoreFault
{
    None,

    /// <summary>Nothing was done.</summary>
    Refused,

    /// <summary>It was done, and the connection broke before the answer.</summary>
    AnswerLost,

    /// <summary>It was done, the answer was lost, and the client's own retry met what it had written itself.</summary>
    AnswerLostThenConflict,
}

/// <summary>A call of the store. <paramref name="Previous"/> and <paramref name="Instance"/> are those of a write.</summary>
internal sealed record StoreCall(StoreStep Step, InstanceId Id, Instance? Previous, Instance? Instance);

/// <summary>A store whose calls a test can hold, fail, and look at once they are done.</summary>
internal sealed class FaultyStore(IInstanceStore inner) : IInstanceStore, IConsumedStateStore, IKeyCheckStore, IOutbox
{
    private static readonly AsyncLocal<Holder?> s_attempt = new();
    private int _underWay;

    /// <summary>The attempt that the code which asks this belongs to: the owner of the lease it wrote last.</summary>
    public static string? Attempt => s_attempt.Value?.Owner;

    /// <summary>Asked before each call.</summary>
    public Func<StoreCall, Task<StoreFault>> Before { get; set; } = _ => Task.FromResult(StoreFault.None);

    /// <summary>Told of what was done, before anyone else can know.</summary>
    public Action<StoreCall> Done { get; set; } = _ => { };

    /// <summary>Asked before each answer.</summary>
    public Func<StoreCall, Task> Answering { get; set; } = _ => Task.CompletedTask;

    /// <summary>Whether calls are with the store itself, so that no fake time should pass.</summary>
    public bool IsBusy => Volatile.Read(ref _underWay) > 0;

    public void FailAll() => Before = _ => Task.FromResult(StoreFault.Refused);

    public void FailNone() => Before = _ => Task.FromResult(StoreFault.None);

    /// <summary>The next call of that kind, and no other, goes wrong.</summary>
    public void FailNext(StoreStep step, StoreFault fault)
    {
        var failed = 0;
        Before = call => Task.FromResult(call.Step == step && Interlocked.Exchange(ref failed, 1) == 0 ? fault : StoreFault.None);
    }

    public Task InitializeAsync(CancellationToken cancellationToken) => inner.InitializeAsync(cancellationToken);

    public Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken)
    {
        // Not in an async method, so that it stays set for the caller.
        s_attempt.Value = new Holder { Owner = s_attempt.Value?.Owner };
        return AskAsync(new StoreCall(StoreStep.Read, id, null, null), () => inner.FindAsync(id, cancellationToken), onConflict: null);
    }

    public Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
    {
        var before = previous?.Instance;
        var step = instance switch
        {
            { Status: InstanceStatus.Removed } => StoreStep.Other,
            _ when instance.Generation != before?.Generation => StoreStep.Commit,
            { Lease: { } lease } when lease != before.Lease => StoreStep.Lease,
            _ => StoreStep.Other,
        };
        if (step == StoreStep.Lease)
        {
            // The holder was made by the read before, so its owner is seen by the code that read.
            (s_attempt.Value ??= new Holder()).Owner = instance.Lease!.Owner;
        }

        return AskAsync(
            new StoreCall(step, instance.Id, before, instance), () => inner.TryWriteAsync(previous, instance, cancellationToken), onConflict: null);
    }

    public Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken) => BusyAsync(() => inner.TryRemoveAsync(previous, cancellationToken));

    public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null) =>
        BusyAsync(() => inner.ListAsync(status, after, limit, cancellationToken, customer));

    public IAsyncEnumerable<InstanceSummary> ReadSummariesAsync(CancellationToken cancellationToken) =>
        BusyAsync(inner.ReadSummariesAsync(cancellationToken), cancellationToken);

    public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken, InstanceShard? shard = null) =>
        BusyAsync(inner.ReadDueAsync(now, cancellationToken, shard), cancellationToken);

    public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken) => AskAsync(
        new StoreCall(StoreStep.Other, due.Id, null, null),
        async () =>
        {
            await inner.RemoveDueAsync(due, cancellationToken);
            return true;
        },
        onConflict: true);

    public Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken) =>
        BusyAsync(() => ((IConsumedStateStore)inner).TryAddConsumedStateAsync(consumedState, cancellationToken));

    public Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken) =>
        BusyAsync(() => ((IConsumedStateStore)inner).FindConsumedStateAsync(nonce, issuedAt, cancellationToken));

    public Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken) =>
        BusyAsync(async () =>
        {
            await ((IConsumedStateStore)inner).SaveConsumedStateAsync(consumedState, cancellationToken);
            return true;
        });

    public Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        BusyAsync(() => ((IConsumedStateStore)inner).RemoveConsumedStatesAsync(before, limit, cancellationToken));

    public Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) =>
        BusyAsync(() => inner.FindLastUseAsync(id, cancellationToken));

    public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken) =>
        BusyAsync(async () =>
        {
            await inner.SaveLastUseAsync(id, usedAt, cancellationToken);
            return true;
        });

    // Events never fail here.
    public IAsyncEnumerable<OutboxEvent> ReadAsync(OutboxPart part, CancellationToken cancellationToken) =>
        BusyAsync(((IOutbox)inner).ReadAsync(part, cancellationToken), cancellationToken);

    public IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(InstanceId id, CancellationToken cancellationToken) =>
        BusyAsync(((IOutbox)inner).ReadWaitingAsync(id, cancellationToken), cancellationToken);

    public Task<OutboxEvent?> TrySaveAsync(OutboxEvent read, OutboxEvent changed, CancellationToken cancellationToken) =>
        BusyAsync(() => ((IOutbox)inner).TrySaveAsync(read, changed, cancellationToken));

    public Task RemoveAsync(OutboxEvent delivered, CancellationToken cancellationToken) => BusyAsync(async () =>
    {
        await ((IOutbox)inner).RemoveAsync(delivered, cancellationToken);
        return true;
    });

    // The key-check row is shared as the instances are, and never fails here.
    Task<StoredKeyCheck?> IKeyCheckStore.FindKeyCheckAsync(CancellationToken cancellationToken) =>
        BusyAsync(() => ((IKeyCheckStore)inner).FindKeyCheckAsync(cancellationToken));

    Task<bool> IKeyCheckStore.TryWriteKeyCheckAsync(StoredKeyCheck? previous, ProtectedText check, CancellationToken cancellationToken) =>
        BusyAsync(() => ((IKeyCheckStore)inner).TryWriteKeyCheckAsync(previous, check, cancellationToken));

    private async IAsyncEnumerable<T> BusyAsync<T>(IAsyncEnumerable<T> rows, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var each = rows.GetAsyncEnumerator(cancellationToken);
        try
        {
            while (await BusyAsync(() => each.MoveNextAsync().AsTask()))
            {
                yield return each.Current;
            }
        }
        finally
        {
            // Waits for what was read ahead.
            await BusyAsync(async () =>
            {
                await each.DisposeAsync();
                return true;
            });
        }
    }

    private async Task<T> BusyAsync<T>(Func<Task<T>> ask)
    {
        Interlocked.Increment(ref _underWay);
        try
        {
            return await ask();
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }
    }

    private async Task<T?> AskAsync<T>(StoreCall call, Func<Task<T>> ask, T? onConflict)
    {
        var fault = await Before(call);
        if (fault == StoreFault.Refused)
        {
            throw new StorageUnavailableException("The storage is down.");
        }

        T answer;
        Task answering;
        Interlocked.Increment(ref _underWay);
        try
        {
            answer = await ask();
            if (answer is not null)
            {
                Done(call);
            }

            answering = Answering(call);
        }
        finally
        {
            Interlocked.Decrement(ref _underWay);
        }

        await answering;
        return fault switch
        {
            StoreFault.AnswerLost => throw new StorageUnavailableException("The storage is down."),
            StoreFault.AnswerLostThenConflict when call.Instance is not null => onConflict,
            _ => answer,
        };
    }

    private sealed class Holder
    {
        public string? Owner { get; set; }
    }
}
