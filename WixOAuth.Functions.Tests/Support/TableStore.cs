using Azure.Data.Tables;
using WixOAuth.Events;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>All that the service stores in one table, as one store.</summary>
internal sealed class TableStore : IInstanceStore, IConsumedStateStore, IRefreshTallyStore, ISweepStateStore, IKeyCheckStore, IOutbox
{
    private readonly TableInstanceStore _instances;
    private readonly TableConsumedStates _states;
    private readonly TableServiceRows _service;
    private readonly TableOutbox _outbox;

    public TableStore(TableClient table, EventRecorder? events = null, TimeProvider? time = null)
    {
        var gateway = new TableGateway(table);
        (_instances, _states, _service, _outbox) = (new(gateway, events, new StorageClock(time)), new(gateway), new(gateway), new(gateway));
    }

    public Task InitializeAsync(CancellationToken cancellationToken) => _instances.InitializeAsync(cancellationToken);

    public Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken) => _instances.FindAsync(id, cancellationToken);

    public Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken) =>
        _instances.TryWriteAsync(previous, instance, cancellationToken);

    public Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken) => _instances.TryRemoveAsync(previous, cancellationToken);

    public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null) =>
        _instances.ListAsync(status, after, limit, cancellationToken, customer);

    public IAsyncEnumerable<InstanceSummary> ReadSummariesAsync(CancellationToken cancellationToken) => _instances.ReadSummariesAsync(cancellationToken);

    public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken, InstanceShard? shard = null) =>
        _instances.ReadDueAsync(now, cancellationToken, shard);

    public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken) => _instances.RemoveDueAsync(due, cancellationToken);

    public Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) => _instances.FindLastUseAsync(id, cancellationToken);

    public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken) =>
        _instances.SaveLastUseAsync(id, usedAt, cancellationToken);

    public Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken) =>
        _states.TryAddConsumedStateAsync(consumedState, cancellationToken);

    public Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken) =>
        _states.FindConsumedStateAsync(nonce, issuedAt, cancellationToken);

    public Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken) =>
        _states.SaveConsumedStateAsync(consumedState, cancellationToken);

    public Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        _states.RemoveConsumedStatesAsync(before, limit, cancellationToken);

    public Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken) =>
        _service.SaveTalliesAsync(tallies, cancellationToken);

    public Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken) =>
        _service.ReadTalliesAsync(from, cancellationToken);

    public Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        _service.RemoveTalliesAsync(before, limit, cancellationToken);

    public Task SaveSweepStateAsync(SweepState state, CancellationToken cancellationToken) => _service.SaveSweepStateAsync(state, cancellationToken);

    public Task<SweepState?> ReadSweepStateAsync(CancellationToken cancellationToken) => _service.ReadSweepStateAsync(cancellationToken);

    public IAsyncEnumerable<OutboxEvent> ReadAsync(OutboxPart part, CancellationToken cancellationToken) => _outbox.ReadAsync(part, cancellationToken);

    public IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(InstanceId id, CancellationToken cancellationToken) => _outbox.ReadWaitingAsync(id, cancellationToken);

    public Task<OutboxEvent?> TrySaveAsync(OutboxEvent read, OutboxEvent changed, CancellationToken cancellationToken) =>
        _outbox.TrySaveAsync(read, changed, cancellationToken);

    public Task RemoveAsync(OutboxEvent delivered, CancellationToken cancellationToken) => _outbox.RemoveAsync(delivered, cancellationToken);

    Task<StoredKeyCheck?> IKeyCheckStore.FindKeyCheckAsync(CancellationToken cancellationToken) => _service.FindKeyCheckAsync(cancellationToken);

    Task<bool> IKeyCheckStore.TryWriteKeyCheckAsync(StoredKeyCheck? previous, ProtectedText check, CancellationToken cancellationToken) =>
        _service.TryWriteKeyCheckAsync(previous, check, cancellationToken);
}
