using Azure;
using Azure.Data.Tables;
using WixOAuth.Events;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>The outbox in the table of the instances. Saving and removing are one storage request each.</summary>
internal sealed class TableOutbox(TableGateway gateway) : IOutbox
{
    /// <remarks>
    /// The shards come in random order, so that an event that a receiver cannot take is not always tried first. One request
    /// for each shard, and one for each further 1,000 events.
    /// </remarks>
    public IAsyncEnumerable<OutboxEvent> ReadAsync(OutboxPart part, CancellationToken cancellationToken) =>
        InstanceRows.Shards.OrderBy(_ => Random.Shared.Next()).ToAsyncEnumerable()
            .SelectMany(shard => QueryAsync(OutboxRows.Filter(part, shard), cancellationToken));

    public IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(InstanceId id, CancellationToken cancellationToken) =>
        QueryAsync(OutboxRows.WaitingFilter(id), cancellationToken);

    public async Task<OutboxEvent?> TrySaveAsync(OutboxEvent read, OutboxEvent changed, CancellationToken cancellationToken)
    {
        var (row, match) = (OutboxRows.ToRow(changed), new ETag(read.ETag));
        var saving = OutboxRows.Key(read) == row.RowKey
            ? gateway.AskAsync(() => gateway.Table.UpdateEntityAsync(row, match, TableUpdateMode.Replace, cancellationToken), cancellationToken)
            : MoveAsync();
        return await TableGateway.UnlessConflictAsync(saving) is { } saved ? changed with { ETag = TableGateway.ETagOf(saved) } : null;

        async Task<Response> MoveAsync() => (await gateway.SubmitAsync(
            [
                new(TableTransactionActionType.UpsertReplace, row),
                new(TableTransactionActionType.Delete, new TableEntity(row.PartitionKey, OutboxRows.Key(read)), match),
            ],
            cancellationToken))[0];
    }

    public Task RemoveAsync(OutboxEvent delivered, CancellationToken cancellationToken)
    {
        var (shard, key) = (InstanceRows.ShardOf(delivered.InstanceId), OutboxRows.Key(delivered));
        return gateway.AskAsync(() => gateway.Table.DeleteEntityAsync(shard, key, ETag.All, cancellationToken), cancellationToken);
    }

    private IAsyncEnumerable<OutboxEvent> QueryAsync(string filter, CancellationToken cancellationToken) =>
        gateway.QueryAsync(filter, properties: null, pageSize: null, cancellationToken).Select(OutboxRows.ToEvent).OfType<OutboxEvent>();
}
