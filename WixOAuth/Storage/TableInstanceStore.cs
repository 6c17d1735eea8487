using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Azure;
using Azure.Data.Tables;
using Azure.Data.Tables.Models;
using WixOAuth.Events;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// Keeps instances in Azure Table Storage; see <see cref="InstanceRows"/> for the layout. Safe for concurrent use.
/// </summary>
/// <remarks>
/// <para>
/// Finding, writing, and adding or saving a consumed state are one storage request each. A write is two when the row of
/// the due index it would move has gone.
/// </para>
/// <para>
/// An instance or consumed state that this version cannot read raises <see cref="InvalidDataException"/>, which names row
/// and property and never a value: it is the trouble of that one row, so whoever walks over many goes on with the
/// next. Reading the due index never raises it.
/// </para>
/// <para>A site of which nothing at all is known is read as none.</para>
/// </remarks>
/// <param name="table">The table; <see cref="InitializeAsync"/> creates it.</param>
/// <param name="events">Adds the events that a write causes; null where none are sent.</param>
public sealed partial class TableInstanceStore(TableClient table, EventRecorder? events = null) : IInstanceStore, IRefreshTallyStore, ISweepStateStore
{
    // Azure's limit for one transaction.
    private const int TransactionLimit = 100;

    // A transaction names each row once, so no more than the deletes beside the instance's own row can be in the way.
    private const int MostDeletes = 3;

    private const int ReadsAtOnce = 16;
    private const int ShardsAtOnce = 4;
    private const int GlancesAhead = 2_000;

    private static readonly string[] s_keysOnly = [nameof(ITableEntity.PartitionKey), nameof(ITableEntity.RowKey)];

    /// <inheritdoc />
    /// <remarks>The role Storage Table Data Contributor suffices; on the table alone, where the deployment has created it.</remarks>
    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        try
        {
            await AskAsync(() => table.CreateIfNotExistsAsync(cancellationToken), cancellationToken);
        }
        catch (StorageUnavailableException exception) when (exception.InnerException is RequestFailedException { Status: 403 })
        {
            // A role on the table alone does not allow creating it. No instance has the empty id: this asks whether the table is there.
            await FindAsync(default, cancellationToken);
        }
    }

    /// <inheritdoc />
    public async Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken) =>
        await FindRowAsync(InstanceRows.ShardOf(id), InstanceRows.InstanceKey(id), cancellationToken) is { } row
            ? new StoredInstance(InstanceRows.ToInstance(id, row), row.ETag.ToString())
            : null;

    /// <inheritdoc />
    public async Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(instance);
        if (previous is not null && previous.Instance.Id != instance.Id)
        {
            throw new ArgumentException("An instance is made from an earlier state of its own.", nameof(previous));
        }

        IReadOnlyList<OutboxEvent> caused = [];
        if (events is not null)
        {
            (instance, caused) = events.Record(previous?.Instance, instance);
        }

        var write = Write(previous, instance);
        write.AddRange(caused.Select(each => new TableTransactionAction(TableTransactionActionType.UpsertReplace, OutboxRows.ToRow(each))));
        try
        {
            var etag = write is [{ ActionType: TableTransactionActionType.UpdateReplace, Entity: var row, ETag: var match }]
                ? (await AskAsync(() => table.UpdateEntityAsync(row, match, TableUpdateMode.Replace, cancellationToken), cancellationToken)).Headers.ETag
                : await SubmitWriteAsync(write, cancellationToken);
            if (caused.Count > 0)
            {
                events!.Written(instance.Id);
            }

            return new StoredInstance(instance, etag?.ToString() ?? throw new StorageUnavailableException("The table service answered a write without an ETag."));
        }
        catch (StorageUnavailableException exception) when (IsConflict(exception))
        {
            return null;
        }
    }

    /// <inheritdoc />
    /// <remarks>One request more for each row that should be there and is not.</remarks>
    public async Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(previous);
        var (id, shard) = (previous.Instance.Id, InstanceRows.ShardOf(previous.Instance.Id));
        List<TableTransactionAction> removal =
        [
            new(TableTransactionActionType.Delete, new TableEntity(shard, InstanceRows.InstanceKey(id)), new ETag(previous.ETag)),
            Delete(InstanceRows.StatusKey(previous.Instance.Status, id)),
            Delete(InstanceRows.LastUseKey(id)),
        ];
        if (previous.Instance.DueAt is { } due)
        {
            removal.Add(Delete(InstanceRows.DueKey(due, id)));
        }

        try
        {
            await SubmitWriteAsync(removal, cancellationToken);
            return true;
        }
        catch (StorageUnavailableException exception) when (IsConflict(exception))
        {
            return false;
        }

        TableTransactionAction Delete(string rowKey) => new(TableTransactionActionType.Delete, new TableEntity(shard, rowKey), ETag.All);
    }

    /// <inheritdoc />
    /// <remarks>
    /// The shards take turns in random order, so that whoever does not read to the end does not always see the same
    /// ones. A key that is not of this layout is passed over.
    /// </remarks>
    public IAsyncEnumerable<InstanceId> ReadByStatusAsync(InstanceStatus status, CancellationToken cancellationToken) =>
        ReadKeysAsync(InstanceRows.Shards.OrderBy(_ => Random.Shared.Next()), shard => InstanceRows.StatusFilter(shard, status), cancellationToken)
            .Select(InstanceRows.ReadStatusKey)
            .Where(id => id is not null)
            .Select(id => id!.Value);

    /// <inheritdoc />
    /// <remarks>One request for each thousand instances, and seven of their properties; several shards at once.</remarks>
    public async IAsyncEnumerable<InstanceGlance> ReadGlancesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var glances = Channel.CreateBounded<InstanceGlance>(new BoundedChannelOptions(GlancesAhead) { SingleReader = true });
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reading = ReadShardsAsync(glances.Writer, left.Token);
        try
        {
            await foreach (var glance in glances.Reader.ReadAllAsync(cancellationToken))
            {
                yield return glance;
            }
        }
        finally
        {
            // Whoever has seen enough waits for no shard.
            await left.CancelAsync();
            await reading;
        }
    }

    /// <inheritdoc />
    /// <remarks>
    /// <para>
    /// Shard by shard, in each by id. Without a status a page is one request for each shard that it reaches into. With
    /// one, the status index tells which instances, and a second request for each shard reads them together with what
    /// lies between them; where they lie so thin that this would read more than twice as many, the rest is read one by
    /// one. Nothing that is asked for grows with the table.
    /// </para>
    /// <para>A row that this version cannot read is left out.</para>
    /// </remarks>
    public async Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, IInstanceStore.MaxPage);
        var (found, last, left) = (new List<Instance>(), after, limit);
        var first = after is { } id ? InstanceRows.ShardOf(id) : "";
        foreach (var shard in InstanceRows.Shards.Where(shard => string.CompareOrdinal(shard, first) >= 0))
        {
            var from = shard == first ? after : null;
            var filter = status is { } only ? InstanceRows.StatusFilter(shard, only, from) : InstanceRows.InstanceFilter(shard, from);

            // One more than asked for tells whether there is more.
            var rows = await AskAsync(() => FirstAsync(filter, left + 1, status is null ? null : s_keysOnly, cancellationToken), cancellationToken);
            var page = rows.Take(left).ToList();
            var ids = page.Select(row => InstanceRows.ReadId(row.RowKey)).OfType<InstanceId>().ToList();
            if (status is not null && ids.Count > 0)
            {
                page = await ReadAsync(shard, ids, cancellationToken);
            }

            found.AddRange(page.Select(ReadOrNull).OfType<Instance>().Where(instance => instance.Status == (status ?? instance.Status)));
            last = ids.Count > 0 ? ids[^1] : last;
            if (rows.Count > left)
            {
                return new InstancePage(found, last);
            }

            left -= rows.Count;
        }

        return new InstancePage(found, null);
    }

    /// <inheritdoc />
    /// <remarks>The table service filters, shard by shard; a row that this version cannot read is left out.</remarks>
    public async Task<InstancePage> ListByCustomerAsync(
        string customer, InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, IInstanceStore.MaxPage);
        var (found, last, left) = (new List<Instance>(), after, limit);
        var first = after is { } id ? InstanceRows.ShardOf(id) : "";
        foreach (var shard in InstanceRows.Shards.Where(shard => string.CompareOrdinal(shard, first) >= 0))
        {
            // One more than asked for tells whether there is more.
            var filter = InstanceRows.CustomerFilter(shard, customer, status, shard == first ? after : null);
            var rows = await AskAsync(() => FirstAsync(filter, left + 1, null, cancellationToken), cancellationToken);
            var page = rows.Take(left).ToList();
            found.AddRange(page.Select(ReadOrNull).OfType<Instance>());
            last = page.Count > 0 ? InstanceRows.ReadId(page[^1].RowKey) ?? last : last;
            if (rows.Count > left)
            {
                return new InstancePage(found, last);
            }

            left -= rows.Count;
        }

        return new InstancePage(found, null);
    }

    /// <inheritdoc />
    /// <remarks>
    /// The shards take turns, each read a page of up to 1,000 keys at a time. A key that is not of this layout is
    /// passed over.
    /// </remarks>
    public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken) =>
        ReadDueAsync(InstanceRows.Shards, now, cancellationToken);

    /// <inheritdoc />
    public IAsyncEnumerable<DueInstance> ReadDueAsync(InstanceShard shard, DateTimeOffset now, CancellationToken cancellationToken) =>
        ReadDueAsync([InstanceRows.Key(shard)], now, cancellationToken);

    /// <inheritdoc />
    public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(due);
        var (shard, rowKey) = (InstanceRows.ShardOf(due.Id), InstanceRows.DueKey(due.DueAt, due.Id));
        return AskAsync(() => table.DeleteEntityAsync(shard, rowKey, ETag.All, cancellationToken), cancellationToken);
    }

    /// <inheritdoc />
    public async Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(consumedState);
        var row = InstanceRows.ToRow(consumedState);
        try
        {
            await AskAsync(() => table.AddEntityAsync(row, cancellationToken), cancellationToken);
            return true;
        }
        catch (StorageUnavailableException exception) when (IsConflict(exception))
        {
            return false;
        }
    }

    /// <inheritdoc />
    public async Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken)
    {
        var (shard, rowKey) = InstanceRows.ConsumedStateKey(nonce, issuedAt);
        return await FindRowAsync(shard, rowKey, cancellationToken) is { } row
            ? InstanceRows.ToConsumedState(nonce, issuedAt, row)
            : null;
    }

    /// <inheritdoc />
    public Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(consumedState);
        var row = InstanceRows.ToRow(consumedState);
        return AskAsync(() => table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellationToken), cancellationToken);
    }

    /// <inheritdoc />
    /// <remarks>
    /// The shards take turns by the hundred, in random order, so that a low limit starves none. Where somebody else is
    /// removing the same ones, the rest of that shard is left to them.
    /// </remarks>
    public Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        RemoveAsync(InstanceRows.Shards, shard => InstanceRows.ConsumedStateFilter(shard, before), limit, cancellationToken);

    /// <inheritdoc />
    public async Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) =>
        await FindRowAsync(InstanceRows.ShardOf(id), InstanceRows.LastUseKey(id), cancellationToken) is { } row
            ? InstanceRows.ToLastUse(row)
            : null;

    /// <inheritdoc />
    /// <remarks>
    /// The last to write wins, without a look at what is there: two processes that write at about the same time may
    /// set it back by the little that their clocks and requests differ.
    /// </remarks>
    public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken)
    {
        var row = InstanceRows.ToLastUseRow(id, usedAt);
        return AskAsync(() => table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellationToken), cancellationToken);
    }

    /// <inheritdoc />
    public Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(tallies);
        return SubmitAsync(
            [.. tallies.Select(tally => new TableTransactionAction(TableTransactionActionType.UpsertReplace, InstanceRows.ToRow(tally)))], cancellationToken);
    }

    /// <inheritdoc />
    /// <remarks>One request for each thousand of them.</remarks>
    public async Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken)
    {
        var rows = table.QueryAsync<TableEntity>(InstanceRows.TalliesSince(from), cancellationToken: cancellationToken);
        return await AskAsync(
            async () => await rows.Select(InstanceRows.ToTally).OfType<RefreshTally>().ToListAsync(cancellationToken), cancellationToken);
    }

    /// <inheritdoc />
    /// <remarks>By the hundred. Where somebody else is removing the same ones, the rest is left to them.</remarks>
    public Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        RemoveAsync([InstanceRows.TallyShard], _ => InstanceRows.TalliesBefore(before), limit, cancellationToken);

    /// <inheritdoc />
    public Task SaveSweepStateAsync(SweepState state, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(state);
        return AskAsync(() => table.UpsertEntityAsync(InstanceRows.ToRow(state), TableUpdateMode.Replace, cancellationToken), cancellationToken);
    }

    /// <inheritdoc />
    public async Task<SweepState?> ReadSweepStateAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await FindRowAsync(InstanceRows.TallyShard, InstanceRows.SweepStateKey, cancellationToken) is { } row ? InstanceRows.ToSweepState(row) : null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    // The instance comes first: what its answer says is what decides.
    private static List<TableTransactionAction> Write(StoredInstance? previous, Instance instance)
    {
        var (id, row) = (instance.Id, InstanceRows.ToRow(instance));
        List<TableTransactionAction> write =
        [
            previous is null
                ? new(TableTransactionActionType.Add, row)
                : new(TableTransactionActionType.UpdateReplace, row, new ETag(previous.ETag)),
        ];
        Move(previous is null ? null : InstanceRows.StatusKey(previous.Instance.Status, id), InstanceRows.StatusKey(instance.Status, id));
        Move(DueKey(previous?.Instance), DueKey(instance));
        return write;

        static string? DueKey(Instance? instance) => instance?.DueAt is { } due ? InstanceRows.DueKey(due, instance.Id) : null;

        void Move(string? from, string? to)
        {
            if (from == to)
            {
                return;
            }

            if (to is not null)
            {
                write.Add(new(TableTransactionActionType.UpsertReplace, new TableEntity(row.PartitionKey, to)));
            }

            if (from is not null)
            {
                write.Add(new(TableTransactionActionType.Delete, new TableEntity(row.PartitionKey, from), ETag.All));
            }
        }
    }

    // A row of an index that has gone already must not keep the instance from being written: its delete is left out.
    private async Task<ETag?> SubmitWriteAsync(List<TableTransactionAction> write, CancellationToken cancellationToken)
    {
        for (var tries = 0; ; tries++)
        {
            try
            {
                return (await SubmitAsync(write, cancellationToken))[0].Headers.ETag;
            }
            catch (StorageUnavailableException exception) when (
                tries < MostDeletes
                && exception.InnerException is TableTransactionFailedException { Status: 404, FailedTransactionActionIndex: { } index and > 0 }
                && write[index].ActionType == TableTransactionActionType.Delete)
            {
                write.RemoveAt(index);
            }
            catch (StorageUnavailableException exception) when (
                exception.InnerException is TableTransactionFailedException { FailedTransactionActionIndex: { } index and > 0 }
                && OutboxRows.IsEvent(write[index].Entity))
            {
                // An event that the table does not take must never keep a token from being saved.
                events!.Lost(write[index].Entity.RowKey);
                write.RemoveAt(index);
            }
        }
    }

    private async Task<IReadOnlyList<Response>> SubmitAsync(List<TableTransactionAction> actions, CancellationToken cancellationToken)
    {
        // Azure would refuse it; Azurite, and so the tests, would not.
        if (actions.Count > TransactionLimit || actions.Any(action => action.Entity.PartitionKey != actions[0].Entity.PartitionKey))
        {
            throw new InvalidOperationException($"A transaction has at most {TransactionLimit} rows, all of one partition.");
        }

        return (await AskAsync(() => table.SubmitTransactionAsync(actions, cancellationToken), cancellationToken)).Value;
    }

    private async Task<TableEntity?> FindRowAsync(string shard, string rowKey, CancellationToken cancellationToken)
    {
        try
        {
            // Not GetEntityIfExists: to that, a table that is missing is only a row that is missing.
            return (await AskAsync(() => table.GetEntityAsync<TableEntity>(shard, rowKey, cancellationToken: cancellationToken), cancellationToken)).Value;
        }
        catch (StorageUnavailableException exception) when (IsConflict(exception) && exception.InnerException is RequestFailedException { Status: 404 })
        {
            return null;
        }
    }

    private async Task<int> RemoveAsync(
        IEnumerable<string> inShards, Func<string, string> filter, int limit, CancellationToken cancellationToken)
    {
        var shards = new Queue<string>(inShards.OrderBy(_ => Random.Shared.Next()));
        var removed = 0;
        while (removed < limit && shards.TryDequeue(out var shard))
        {
            var most = Math.Min(limit - removed, TransactionLimit);
            var rows = await AskAsync(
                () => FirstAsync(filter(shard), most, s_keysOnly, cancellationToken), cancellationToken);
            if (rows.Count == 0)
            {
                continue;
            }

            try
            {
                await SubmitAsync([.. rows.Select(row => new TableTransactionAction(TableTransactionActionType.Delete, row, ETag.All))], cancellationToken);
                removed += rows.Count;
            }
            catch (StorageUnavailableException exception) when (IsConflict(exception))
            {
                continue;
            }

            if (rows.Count == TransactionLimit)
            {
                shards.Enqueue(shard);
            }
        }

        return removed;
    }

    /// <summary>Never raises anything: what went wrong is told to whoever reads.</summary>
    private async Task ReadShardsAsync(ChannelWriter<InstanceGlance> glances, CancellationToken cancellationToken)
    {
        Exception? error = null;
        try
        {
            await Parallel.ForEachAsync(
                InstanceRows.Shards,
                new ParallelOptions { MaxDegreeOfParallelism = ShardsAtOnce, CancellationToken = cancellationToken },
                async (shard, token) =>
                {
                    await using var rows = table
                        .QueryAsync<TableEntity>(InstanceRows.InstanceFilter(shard, after: null), null, InstanceRows.GlanceProperties, token)
                        .GetAsyncEnumerator(token);
                    while (await AskAsync(() => rows.MoveNextAsync().AsTask(), token))
                    {
                        if (InstanceRows.ReadGlance(rows.Current) is { } glance)
                        {
                            await glances.WriteAsync(glance, token);
                        }
                    }
                });
        }
        catch (Exception exception)
        {
            error = exception;
        }

        glances.Complete(error);
    }

    private async IAsyncEnumerable<string> ReadKeysAsync(
        IEnumerable<string> inShards, Func<string, string> filter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var shards = new Queue<IAsyncEnumerator<TableEntity>>(inShards.Select(shard =>
            QueryKeys(filter(shard), null, cancellationToken).GetAsyncEnumerator(cancellationToken)));
        StorageUnavailableException? missed = null;
        try
        {
            while (shards.TryPeek(out var shard))
            {
                bool hasMore;
                try
                {
                    hasMore = await AskAsync(() => shard.MoveNextAsync().AsTask(), cancellationToken);
                }
                catch (StorageUnavailableException exception)
                {
                    // The other shards' instances should not have to wait for this one.
                    (hasMore, missed) = (false, exception);
                }

                if (!hasMore)
                {
                    await shards.Dequeue().DisposeAsync();
                    continue;
                }

                shards.Enqueue(shards.Dequeue());
                yield return shard.Current.RowKey;
            }

            if (missed is not null)
            {
                throw missed;
            }
        }
        finally
        {
            foreach (var shard in shards)
            {
                await shard.DisposeAsync();
            }
        }
    }

    private AsyncPageable<TableEntity> QueryKeys(string filter, int? pageSize, CancellationToken cancellationToken) =>
        table.QueryAsync<TableEntity>(filter, pageSize, s_keysOnly, cancellationToken);

    // The rows of instances of one shard, whose ids are given in order. One that has gone is left out.
    private async Task<List<TableEntity>> ReadAsync(string shard, List<InstanceId> ids, CancellationToken cancellationToken)
    {
        var dense = await AskAsync(
            () => FirstAsync(InstanceRows.InstanceFilter(shard, ids[0], ids[^1]), ids.Count * 2, null, cancellationToken), cancellationToken);
        var rows = dense.ToDictionary(row => row.RowKey);
        foreach (var some in ids.Select(InstanceRows.InstanceKey).Where(key => !rows.ContainsKey(key)).Chunk(ReadsAtOnce))
        {
            foreach (var row in await Task.WhenAll(some.Select(key => FindRowAsync(shard, key, cancellationToken))))
            {
                if (row is not null)
                {
                    rows[row.RowKey] = row;
                }
            }
        }

        return [.. ids.Select(id => rows.GetValueOrDefault(InstanceRows.InstanceKey(id))).OfType<TableEntity>()];
    }

    private static Instance? ReadOrNull(TableEntity row)
    {
        try
        {
            return InstanceRows.ReadId(row.RowKey) is { } id ? InstanceRows.ToInstance(id, row) : null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

    private async Task<List<TableEntity>> FirstAsync(string filter, int count, string[]? properties, CancellationToken cancellationToken)
    {
        var rows = new List<TableEntity>();
        await foreach (var row in table.QueryAsync<TableEntity>(filter, count, properties, cancellationToken))
        {
            rows.Add(row);
            if (rows.Count == count)
            {
                break;
            }
        }

        return rows;
    }

    // Somebody else was there first; as opposed to a table that is missing or is being deleted.
    // One without an error code is not the table service's: something on the way answered in its place.
    internal static bool IsConflict(StorageUnavailableException exception) => exception.InnerException is RequestFailedException { ErrorCode: not null } refused
        && refused.Status switch
        {
            404 => refused.ErrorCode != TableErrorCode.TableNotFound,
            409 => refused.ErrorCode != TableErrorCode.TableBeingDeleted,
            412 => true,
            _ => false,
        };

    // The SDK ends a call with whatever it met last: its own exception, several in one when it tried several times, one
    // of the network's, of the credential's, or of a reader that was given something else than the service's answer.
    private IAsyncEnumerable<DueInstance> ReadDueAsync(IEnumerable<string> shards, DateTimeOffset now, CancellationToken cancellationToken) =>
        ReadKeysAsync(shards, shard => InstanceRows.DueFilter(shard, now), cancellationToken)
            .Select(InstanceRows.ReadDueKey)
            .OfType<DueInstance>();

    internal static async Task<T> AskAsync<T>(Func<Task<T>> ask, CancellationToken cancellationToken)
    {
        try
        {
            return await ask();
        }
        catch (Exception exception)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw new StorageUnavailableException(Describe(exception), exception);
        }
    }

    private static string Describe(Exception exception) => exception switch
    {
        RequestFailedException { Status: > 0 } refused => $"The table service refused with {refused.Status} {refused.ErrorCode}.",
        _ => "The table service could not be asked.",
    };
}
