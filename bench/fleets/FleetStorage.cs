using WixOAuth.Instances;
using WixOAuth.Scale;
using WixOAuth.Storage;

namespace WixOAuth.Fleets;

/// <summary>One table for all processes. As Table Storage does, it dates each row by its own clock when it is written.</summary>
internal sealed class FleetStorage(SimulatedTime time)
{
    private readonly Dictionary<InstanceId, DateTimeOffset> _writtenAt = [];

    /// <summary>What is stored, without the time that a request takes.</summary>
    public MemoryInstanceStore Memory { get; } = new();

    /// <summary>Told of each row that was written.</summary>
    public Action<Instance> Written { get; set; } = _ => { };

    /// <summary>The table as a process sees it.</summary>
    /// <param name="clock">The clock of the process.</param>
    public IInstanceStore SeenBy(TimeProvider clock) => new View(this, time, clock);

    private sealed class View(FleetStorage storage, SimulatedTime time, TimeProvider clock) : IInstanceStore
    {
        private readonly MemoryInstanceStore _memory = storage.Memory;
        private readonly StorageClock _clock = new(clock);

        public Task InitializeAsync(CancellationToken cancellationToken) => _memory.InitializeAsync(cancellationToken);

        public async Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken)
        {
            await time.PassAsync(Model.StorageLatency);
            _clock.Observe(time.GetUtcNow());
            return await _memory.FindAsync(id, cancellationToken) is { } stored
                ? stored with { Instance = _clock.FromStored(stored.Instance, storage._writtenAt[id]) }
                : null;
        }

        public async Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
        {
            await time.PassAsync(Model.StorageLatency);
            if (await _memory.TryWriteAsync(previous, _clock.ToStored(instance), cancellationToken) is not { } written)
            {
                return null;
            }

            storage._writtenAt[instance.Id] = time.GetUtcNow();
            storage.Written(instance);
            return written with { Instance = instance };
        }

        public Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken) => _memory.TryRemoveAsync(previous, cancellationToken);

        public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null) =>
            _memory.ListAsync(status, after, limit, cancellationToken, customer);

        public IAsyncEnumerable<InstanceSummary> ReadSummariesAsync(CancellationToken cancellationToken) => _memory.ReadSummariesAsync(cancellationToken);

        public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken, InstanceShard? shard = null) =>
            _memory.ReadDueAsync(now, cancellationToken, shard);

        public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken) => _memory.RemoveDueAsync(due, cancellationToken);

        public Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) => _memory.FindLastUseAsync(id, cancellationToken);

        public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken) =>
            _memory.SaveLastUseAsync(id, usedAt, cancellationToken);
    }
}
