using Azure;
using Azure.Data.Tables;
using WixOAuth.Storage;

namespace WixOAuth.Maintenance.Backup;

/// <summary>
/// Writes the rows of one shard in batches of a hundred, each instance together with its index rows. Where another process has
/// written one of them meanwhile, the instances of that transaction are decided again one by one.
/// </summary>
internal sealed class ShardWriter(TableClient table, RestoreCounts counts)
{
    // Azure's limits are 100 rows and 4 MB; an instance is 3 rows, and each row stays below 40 kB.
    private const int MostActions = 97;

    private readonly List<TableTransactionAction> _actions = [];
    private readonly List<TableEntity> _instances = [];

    /// <summary>The keys of all index rows written so far.</summary>
    public HashSet<string> IndexKeysWritten { get; } = [];

    /// <summary>Writes an instance of the copy in place of <paramref name="current"/>, or where there was none.</summary>
    public async Task WriteInstanceAsync(TableEntity copied, TableEntity? current, CancellationToken cancellationToken)
    {
        _instances.Add(copied);
        _actions.AddRange(Actions(copied, current));
        if (_actions.Count >= MostActions)
        {
            await FlushAsync(cancellationToken);
        }
    }

    /// <summary>Adds another row of the copy, if it is not there.</summary>
    public async Task AddAsync(TableEntity copied, CancellationToken cancellationToken)
    {
        _actions.Add(new(TableTransactionActionType.Add, copied));
        if (_actions.Count >= MostActions)
        {
            await FlushAsync(cancellationToken);
        }
    }

    public async Task FlushAsync(CancellationToken cancellationToken)
    {
        if (_actions.Count == 0)
        {
            return;
        }

        try
        {
            await table.SubmitTransactionAsync(_actions, cancellationToken);
            _instances.ForEach(_ => counts.Written());
        }
        catch (RequestFailedException exception) when (IsConflict(exception))
        {
            foreach (var action in _actions.Where(action => action.ActionType == TableTransactionActionType.Add && !InstanceRows.IsInstance(action.Entity.RowKey)))
            {
                await AddAloneAsync((TableEntity)action.Entity, cancellationToken);
            }

            foreach (var instance in _instances)
            {
                await WriteAloneAsync(instance, cancellationToken);
            }
        }

        _actions.Clear();
        _instances.Clear();
    }

    /// <summary>Reads a row; null when there is none.</summary>
    public async Task<TableEntity?> FindAsync(string shard, string rowKey, CancellationToken cancellationToken) =>
        (await new TableGateway(table).FindRowAsync(shard, rowKey, cancellationToken))?.Value;

    private List<TableTransactionAction> Actions(TableEntity copied, TableEntity? current)
    {
        List<TableTransactionAction> actions =
        [
            current is null
                ? new(TableTransactionActionType.Add, copied)
                : new(TableTransactionActionType.UpdateReplace, copied, current.ETag),
        ];
        foreach (var key in InstanceRows.IndexKeys(copied))
        {
            actions.Add(new(TableTransactionActionType.UpsertReplace, new TableEntity(copied.PartitionKey, key)));
            IndexKeysWritten.Add(key);
        }

        return actions;
    }

    private async Task WriteAloneAsync(TableEntity copied, CancellationToken cancellationToken)
    {
        while (true)
        {
            var current = await FindAsync(copied.PartitionKey, copied.RowKey, cancellationToken);
            if (current is not null && !RestoredRow.Read(copied).Replaces(RestoredRow.Read(current)))
            {
                counts.Kept();
                return;
            }

            try
            {
                await table.SubmitTransactionAsync(Actions(copied, current), cancellationToken);
                counts.Written();
                return;
            }
            catch (RequestFailedException exception) when (IsConflict(exception))
            {
                // Written again meanwhile: look once more.
            }
        }
    }

    private async Task AddAloneAsync(TableEntity row, CancellationToken cancellationToken)
    {
        try
        {
            await table.AddEntityAsync(row, cancellationToken);
        }
        catch (RequestFailedException exception) when (IsConflict(exception))
        {
            // What is there is newer.
        }
    }

    private static bool IsConflict(RequestFailedException exception) => exception is { ErrorCode: not "TableBeingDeleted", Status: 409 or 412 };
}
