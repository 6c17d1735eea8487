using Azure;
using Azure.Data.Tables;
using WixOAuth.Events;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// Keeps instances in Azure Table Storage; see <see cref="InstanceRows"/> for the layout. Safe for concurrent use.
/// </summary>
/// <remarks>
/// <para>
/// Finding and writing take one storage request each. A write takes one more for each index row to remove that is already gone.
/// </para>
/// <para>A site of which nothing at all is known is read as none.</para>
/// <para>Without an <see cref="EventRecorder"/> no events are written; without a clock the times of tokens are stored as they are.</para>
/// </remarks>
internal sealed partial class TableInstanceStore(TableGateway gateway, EventRecorder? events = null, StorageClock? clock = null) : IInstanceStore
{
    // The most deletes beside the instance's own row in a transaction. Each can fail once, because its row is already gone.
    private const int MostDeletes = 3;

    private readonly StorageClock _clock = clock ?? new StorageClock(time: null);

    /// <remarks>The role Storage Table Data Contributor suffices; on the table alone, where the deployment has created it.</remarks>
    public async Task InitializeAsync(CancellationToken cancellationToken)
    {
        try
        {
            await gateway.CreateAsync(cancellationToken);
        }
        catch (StorageUnavailableException exception) when (exception.InnerException is RequestFailedException { Status: 403 })
        {
            // A role on the table alone does not allow creating it. No instance has the empty id: this asks whether the table is there.
            await FindAsync(default, cancellationToken);
        }
    }

    public async Task<StoredInstance?> FindAsync(InstanceId id, CancellationToken cancellationToken)
    {
        if (await gateway.FindRowAsync(InstanceRows.ShardOf(id), InstanceRows.InstanceKey(id), cancellationToken) is not { Value: var row } answer)
        {
            return null;
        }

        _clock.Observe(answer.GetRawResponse().Headers.Date);
        return new StoredInstance(_clock.FromStored(InstanceRow.Read(id, row), row.Timestamp), row.ETag.ToString());
    }

    public async Task<StoredInstance?> TryWriteAsync(StoredInstance? previous, Instance instance, CancellationToken cancellationToken)
    {
        if (previous is not null && previous.Instance.Id != instance.Id)
        {
            throw new ArgumentException("The previous record belongs to another instance.", nameof(previous));
        }

        IReadOnlyList<OutboxEvent> caused = [];
        if (events is not null)
        {
            (instance, caused) = events.Record(previous?.Instance, instance);
        }

        var write = Write(previous, instance);
        write.AddRange(caused.Select(each => new TableTransactionAction(TableTransactionActionType.UpsertReplace, OutboxRows.ToRow(each))));
        var writing = write is [{ ActionType: TableTransactionActionType.UpdateReplace, Entity: var row, ETag: var match }]
            ? gateway.AskAsync(() => gateway.Table.UpdateEntityAsync(row, match, TableUpdateMode.Replace, cancellationToken), cancellationToken)
            : SubmitWriteAsync(write, cancellationToken);
        if (await TableGateway.UnlessConflictAsync(writing) is not { } written)
        {
            return null;
        }

        if (caused.Count > 0)
        {
            events!.Written(instance.Id);
        }

        return new StoredInstance(instance, TableGateway.ETagOf(written));
    }

    /// <remarks>One request more for each row that should be there and is not.</remarks>
    public async Task<bool> TryRemoveAsync(StoredInstance previous, CancellationToken cancellationToken)
    {
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

        return await TableGateway.UnlessConflictAsync(SubmitWriteAsync(removal, cancellationToken)) is not null;

        TableTransactionAction Delete(string rowKey) => new(TableTransactionActionType.Delete, new TableEntity(shard, rowKey), ETag.All);
    }

    public Task RemoveDueAsync(DueInstance due, CancellationToken cancellationToken)
    {
        var (shard, rowKey) = (InstanceRows.ShardOf(due.Id), InstanceRows.DueKey(due.DueAt, due.Id));
        return gateway.AskAsync(() => gateway.Table.DeleteEntityAsync(shard, rowKey, ETag.All, cancellationToken), cancellationToken);
    }

    public async Task<DateTimeOffset?> FindLastUseAsync(InstanceId id, CancellationToken cancellationToken) =>
        await gateway.FindRowAsync(InstanceRows.ShardOf(id), InstanceRows.LastUseKey(id), cancellationToken) is { Value: var row }
            ? InstanceRows.ToLastUse(row)
            : null;

    /// <remarks>
    /// The last write wins. Two concurrent writers may set the time back by the difference of their clocks and latencies.
    /// </remarks>
    public Task SaveLastUseAsync(InstanceId id, DateTimeOffset usedAt, CancellationToken cancellationToken)
    {
        var row = InstanceRows.ToLastUseRow(id, usedAt);
        return gateway.AskAsync(() => gateway.Table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellationToken), cancellationToken);
    }

    // The instance is action 0: its ETag is the result, and a failure at index 0 is a conflict.
    private List<TableTransactionAction> Write(StoredInstance? previous, Instance instance)
    {
        var (id, row) = (instance.Id, InstanceRow.Of(_clock.ToStored(instance)));
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
    private async Task<Response> SubmitWriteAsync(List<TableTransactionAction> write, CancellationToken cancellationToken)
    {
        for (var tries = 0; ; tries++)
        {
            try
            {
                return (await gateway.SubmitAsync(write, cancellationToken))[0];
            }
            catch (StorageUnavailableException exception) when (
                tries < MostDeletes
                && exception.InnerException is TableTransactionFailedException { Status: 404, FailedTransactionActionIndex: { } index and > 0 }
                && write[index].ActionType == TableTransactionActionType.Delete)
            {
                write.RemoveAt(index);
            }
            catch (StorageUnavailableException exception) when (
                exception.InnerException is TableTransactionFailedException { Status: >= 400 and < 500 and not (408 or 429), FailedTransactionActionIndex: { } index and > 0 }
                && OutboxRows.IsEvent(write[index].Entity))
            {
                // An event that the table does not take must never keep a token from being saved.
                events!.EventLost(write[index].Entity.RowKey);
                write.RemoveAt(index);
            }
        }
    }
}
