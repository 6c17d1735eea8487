using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Cli.Restoring;

/// <summary>
/// Writes the rows of one shard in batches of a hundred, each instance together with its index rows. Where another process has
/// written one of them meanwhile, the instances of that transaction are decided again one by one.
/// </summary>
internal sealed class ShardWriter(TableGateway gateway, RestoreCounts counts)
{
    // Azure's limits are 100 rows and 4 MB; an instance is 3 rows, and each row stays below 40 kB.
    private const int MostActions = 97;

    private readonly List<TableTransactionAction> _actions = [];
    private readonly List<(TableEntity Copied, TableEntity? Current)> _instances = [];

    /// <summary>The keys of the index rows that were written together with their instances.</summary>
    public HashSet<string> IndexKeysWritten { get; } = [];

    /// <summary>The keys of the index rows of instances that stay, because another process has written them meanwhile.</summary>
    public HashSet<string> IndexKeysKept { get; } = [];

    /// <summary>Writes an instance of the copy in place of <paramref name="current"/>, or where there was none.</summary>
    public async Task WriteInstanceAsync(TableEntity copied, TableEntity? current, CancellationToken cancellationToken)
    {
        _instances.Add((copied, current));
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
            await gateway.SubmitAsync(_actions, cancellationToken);
            _instances.ForEach(each => Written(each.Copied, each.Current));
        }
        catch (StorageUnavailableException exception) when (TableGateway.IsConflict(exception))
        {
            foreach (var action in _actions.Where(action => action.ActionType == TableTransactionActionType.Add && !InstanceRows.IsInstance(action.Entity.RowKey)))
            {
                await AddAloneAsync((TableEntity)action.Entity, cancellationToken);
            }

            foreach (var (copied, _) in _instances)
            {
                await WriteAloneAsync(copied, cancellationToken);
            }
        }

        _actions.Clear();
        _instances.Clear();
    }

    private static List<TableTransactionAction> Actions(TableEntity copied, TableEntity? current) =>
    [
        current is null
            ? new(TableTransactionActionType.Add, copied)
            : new(TableTransactionActionType.UpdateReplace, copied, current.ETag),
        .. RowKinds.IndexKeys(copied).Select(key =>
            new TableTransactionAction(TableTransactionActionType.UpsertReplace, new TableEntity(copied.PartitionKey, key))),
    ];

    private async Task WriteAloneAsync(TableEntity copied, CancellationToken cancellationToken)
    {
        while (true)
        {
            var current = (await gateway.FindRowAsync(copied.PartitionKey, copied.RowKey, cancellationToken))?.Value;
            if (current is not null && !RestoredRow.Read(copied).Replaces(RestoredRow.Read(current)))
            {
                IndexKeysKept.UnionWith(RowKinds.IndexKeys(current));
                counts.Kept(copied, current);
                return;
            }

            try
            {
                await gateway.SubmitAsync(Actions(copied, current), cancellationToken);
                Written(copied, current);
                return;
            }
            catch (StorageUnavailableException exception) when (TableGateway.IsConflict(exception))
            {
                // Written again meanwhile: look once more.
            }
        }
    }

    private async Task AddAloneAsync(TableEntity row, CancellationToken cancellationToken)
    {
        try
        {
            await gateway.AskAsync(() => gateway.Table.AddEntityAsync(row, cancellationToken), cancellationToken);
        }
        catch (StorageUnavailableException exception) when (TableGateway.IsConflict(exception))
        {
            // What is there is newer.
        }
    }

    private void Written(TableEntity copied, TableEntity? current)
    {
        IndexKeysWritten.UnionWith(RowKinds.IndexKeys(copied));
        counts.Written(copied, current);
    }
}
