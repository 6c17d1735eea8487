using System.Globalization;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WixOAuth.Events;
using WixOAuth.Instances;

namespace WixOAuth.Scale;

/// <summary>
/// Keeps instances in memory, for the simulator and for tests: all is lost when the program ends. Safe for
/// concurrent use.
/// </summary>
internal sealed partial class MemoryInstanceStore(EventRecorder? events = null) : IInstanceStore, IRefreshTallyStore, ISweepStateStore, IConsumedStateStore, IOutbox
{
    private const string AfterAllIds = "g";

    private readonly Lock _lock = new();
    private readonly Dictionary<InstanceId, StoredInstance> _instances = [];
    private readonly SortedSet<string> _ids = new(StringComparer.Ordinal);
    private readonly SortedSet<(DateTimeOffset DueAt, string Id)> _due = [];
    private readonly Dictionary<(string Nonce, DateTimeOffset IssuedAt), ConsumedState> _consumedStates = [];
    private readonly Dictionary<InstanceId, DateTimeOffset> _lastUses = [];
    private readonly Dictionary<(DateTimeOffset From, Guid Process), RefreshTally> _tallies = [];
    private readonly SortedDictionary<(string Id, long Sequence), OutboxEvent> _outbox = [];
    private SweepState? _sweepState;
    private long _version;

    /// <summary>Has the service keep everything in one such store.</summary>
    public static IServiceCollection Use(IServiceCollection services)
    {
        var store = new MemoryInstanceStore();
        return services
            .Replace(ServiceDescriptor.Singleton<IInstanceStore>(store))
            .Replace(ServiceDescriptor.Singleton<IConsumedStateStore>(store))
            .Replace(ServiceDescriptor.Singleton<IRefreshTallyStore>(store))
            .Replace(ServiceDescriptor.Singleton<ISweepStateStore>(store))
            .Replace(ServiceDescriptor.Singleton<IKeyCheckStore>(store));
    }

    /// <inheritdoc />
    public Task InitializeAsync(CancellationToken cancellationToken) => Locked(() => true, cancellationToken);

    /// <inheritdoc />
    public Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken) =>
        Locked(() => _instances.GetValueOrDefault(id), cancellationToken);

    /// <inheritdoc />
    public Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(instance);
        if (previous is not null && previous.Instance.Id != instance.Id)
        {
            throw new ArgumentException("The previous record belongs to another instance.", nameof(previous));
        }

        IReadOnlyList<OutboxEvent> caused = [];
        if (events is not null)
        {
            (instance, caused) = events.Record(previous?.Instance, instance);
        }

        return Locked(Write, cancellationToken);

        StoredInstance? Write()
        {
            if (_instances.GetValueOrDefault(instance.Id)?.ETag != previous?.ETag)
            {
                return null;
            }

            if (previous?.Instance.DueAt != instance.DueAt)
            {
                MoveDue(previous?.Instance.DueAt);
            }

            _ids.Add(instance.Id.ToString());
            foreach (var each in caused)
            {
                _outbox[(each.InstanceId.ToString(), each.Sequence)] = each with { ETag = NextETag() };
            }

            if (caused.Count > 0)
            {
                events!.Written(instance.Id);
            }

            return _instances[instance.Id] = new StoredInstance(instance, NextETag());
        }

        void MoveDue(DateTimeOffset? from)
        {
            if (from is { } before)
            {
                _due.Remove((before, instance.Id.ToString()));
            }

            if (instance.DueAt is { } due)
            {
                _due.Add((due, instance.Id.ToString()));
            }
        }
    }

    /// <inheritdoc />
    public Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(previous);
        return Locked(Remove, cancellationToken);

        bool Remove()
        {
            var instance = previous.Instance;
            if (_instances.GetValueOrDefault(instance.Id)?.ETag != previous.ETag)
            {
                return false;
            }

            if (instance.DueAt is { } due)
            {
                _due.Remove((due, instance.Id.ToString()));
            }

            _lastUses.Remove(instance.Id);
            _ids.Remove(instance.Id.ToString());
            return _instances.Remove(instance.Id);
        }
    }

    /// <inheritdoc />
    public async IAsyncEnumerable<InstanceSummary> ReadSummariesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var instance in await Locked(() => _instances.Values.Select(stored => stored.Instance).ToList(), cancellationToken))
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return new InstanceSummary(
                instance.Id,
                instance.Status,
                instance.AccessTokenExpiresOn,
                instance.DueAt,
                instance.Failures is not null,
                instance.RefreshToken?.KeyId,
                instance.AccessToken?.KeyId)
            {
                CurrentGrant = instance.CurrentGrant,
                RejectedAt = instance.Failures is { LastError: TokenError.Rejected } failures ? failures.LastAt : null,
                MarkedAt = instance.MarkedAt,
                RefreshTokenFault = instance.RefreshTokenFault?.Kind,
                RefreshTokenFaultSince = instance.RefreshTokenFault?.Since,
            };
        }
    }

    /// <inheritdoc />
    public Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, IInstanceStore.MaxPage);
        return Locked(
            () =>
            {
                var last = after?.ToString() ?? "";
                List<Instance> all =
                [
                    .. _ids.GetViewBetween(last, AfterAllIds)
                        .SkipWhile(id => id == last)
                        .Select(id => _instances[new InstanceId(Guid.ParseExact(id, "D"))].Instance)
                        .Where(instance => instance.Status == (status ?? instance.Status) && (customer is null || instance.Customer == customer))
                        .Take(limit + 1),
                ];
                return all.Count > limit ? new InstancePage(all[..limit], all[limit - 1].Id) : new InstancePage(all, null);
            },
            cancellationToken);
    }

    /// <inheritdoc />
    public async IAsyncEnumerable<DueInstance> ReadDueAsync(
        DateTimeOffset now, [EnumeratorCancellation] CancellationToken cancellationToken, InstanceShard? shard = null)
    {
        foreach (var (dueAt, id) in await Locked(() => _due.TakeWhile(due => due.DueAt <= now).ToList(), cancellationToken))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var instance = new InstanceId(Guid.ParseExact(id, "D"));
            if (shard is null || InstanceShard.Of(instance) == shard)
            {
                yield return new DueInstance(instance, dueAt);
            }
        }
    }

    /// <inheritdoc />
    public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(due);
        return Locked(() => _due.Remove((due.DueAt, due.Id.ToString())), cancellationToken);
    }

    /// <inheritdoc />
    public Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(consumedState);
        return Locked(() => _consumedStates.TryAdd((consumedState.Nonce, consumedState.IssuedAt), consumedState), cancellationToken);
    }

    /// <inheritdoc />
    public Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken) =>
        Locked(() => _consumedStates.GetValueOrDefault((nonce, issuedAt)), cancellationToken);

    /// <inheritdoc />
    public Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(consumedState);
        return Locked(() => _consumedStates[(consumedState.Nonce, consumedState.IssuedAt)] = consumedState, cancellationToken);
    }

    /// <inheritdoc />
    public Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        Locked(
            () => _consumedStates.Keys.Where(key => key.IssuedAt < before).Take(limit).ToList().Count(key => _consumedStates.Remove(key)),
            cancellationToken);

    /// <inheritdoc />
    public Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) =>
        Locked(() => _lastUses.TryGetValue(id, out var usedAt) ? usedAt : (DateTimeOffset?)null, cancellationToken);

    /// <inheritdoc />
    public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken) =>
        Locked(() => _lastUses[id] = usedAt, cancellationToken);

    /// <inheritdoc />
    public Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(tallies);
        return Locked(() => tallies.Select(tally => _tallies[(tally.From, tally.Process)] = tally).Count(), cancellationToken);
    }

    /// <inheritdoc />
    public Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken) =>
        Locked<IReadOnlyList<RefreshTally>>(() => [.. _tallies.Values.Where(tally => tally.From >= from).OrderBy(tally => tally.From)], cancellationToken);

    /// <inheritdoc />
    public Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        Locked(() => _tallies.Keys.Where(key => key.From < before).Take(limit).ToList().Count(key => _tallies.Remove(key)), cancellationToken);

    /// <inheritdoc />
    public Task SaveSweepStateAsync(SweepState state, CancellationToken cancellationToken) => Locked(() => _sweepState = state, cancellationToken);

    /// <inheritdoc />
    public Task<SweepState?> ReadSweepStateAsync(CancellationToken cancellationToken) => Locked(() => _sweepState, cancellationToken);

    /// <inheritdoc />
    public async IAsyncEnumerable<OutboxEvent> ReadAsync(OutboxPart part, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var each in await Locked(() => _outbox.Values.Where(each => part == OutboxPart.All || (each.ParkedAt is null) == (part == OutboxPart.Waiting)).ToList(), cancellationToken))
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return each;
        }
    }

    /// <inheritdoc />
    public IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(InstanceId id, CancellationToken cancellationToken) =>
        ReadAsync(OutboxPart.Waiting, cancellationToken).Where(each => each.InstanceId == id);

    /// <inheritdoc />
    public Task<OutboxEvent?> TrySaveAsync(OutboxEvent read, OutboxEvent changed, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(read);
        var key = (read.InstanceId.ToString(), read.Sequence);
        return Locked(
            () => _outbox.GetValueOrDefault(key)?.ETag == read.ETag ? _outbox[key] = changed with { ETag = NextETag() } : null,
            cancellationToken);
    }

    /// <inheritdoc />
    public Task RemoveAsync(OutboxEvent delivered, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(delivered);
        return Locked(() => _outbox.Remove((delivered.InstanceId.ToString(), delivered.Sequence)), cancellationToken);
    }

    private string NextETag() => (++_version).ToString(CultureInfo.InvariantCulture);

    private Task<T> Locked<T>(Func<T> work, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return Task.FromCanceled<T>(cancellationToken);
        }

        lock (_lock)
        {
            return Task.FromResult(work());
        }
    }
}
