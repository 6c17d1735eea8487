using System.Runtime.CompilerServices;
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
    public async IAsyncEnumerable<OutboxEvent> ReadAsync(OutboxPart part, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (var shard in InstanceRows.Shards.OrderBy(_ => Random.Shared.Next()))
        {
            await foreach (var each in QueryAsync(OutboxRows.Filter(part, shard), cancellationToken))
            {
                yield return each;
            }
        }
    }

    public IAsyncEnumerable<OutboxEvent> ReadWaitingAsync(InstanceId id, CancellationToken cancellationToken) =>
        QueryAsync(OutboxRows.WaitingFilter(id), cancellationToken);

    public async Task<OutboxEvent?> TrySaveAsync(OutboxEvent read, OutboxEvent changed, CancellationToken cancellationToken)
    {
        var (row, match) = (OutboxRows.ToRow(changed), new ETag(read.ETag));
        try
        {
            if (OutboxRows.Key(read) == row.RowKey)
            {
                var saved = await gateway.AskAsync(
                    () => gateway.Table.UpdateEntityAsync(row, match, TableUpdateMode.Replace, cancellationToken), cancellationToken);
                return changed with { ETag = ETagOf(saved.Headers.ETag) };
            }

            List<TableTransactionAction> move =
            [
                new(TableTransactionActionType.UpsertReplace, row),
                new(TableTransactionActionType.Delete, new TableEntity(row.PartitionKey, OutboxRows.Key(read)), match),
            ];
            var moved = await gateway.AskAsync(() => gateway.Table.SubmitTransactionAsync(move, cancellationToken), cancellationToken);
            return changed with { ETag = ETagOf(moved.Value[0].Headers.ETag) };
        }
        catch (StorageUnavailableException exception) when (TableGateway.IsConflict(exception))
        {
            return null;
        }
    }

    public async Task RemoveAsync(OutboxEvent delivered, CancellationToken cancellationToken)
    {
        var (shard, key) = (InstanceRows.ShardOf(delivered.InstanceId), OutboxRows.Key(delivered));
        await gateway.AskAsync(() => gateway.Table.DeleteEntityAsync(shard, key, ETag.All, cancellationToken), cancellationToken);
    }

    private async IAsyncEnumerable<OutboxEvent> QueryAsync(string filter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var rows = gateway.Table.QueryAsync<TableEntity>(filter, cancellationToken: cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (await gateway.AskAsync(() => rows.MoveNextAsync().AsTask(), cancellationToken))
        {
            if (OutboxRows.ToEvent(rows.Current) is { } each)
            {
                yield return each;
            }
        }
    }

    private static string ETagOf(ETag? etag) =>
        etag?.ToString() ?? throw new StorageUnavailableException("The table service answered a write without an ETag.");
}
