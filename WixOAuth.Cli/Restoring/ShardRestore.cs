using Azure;
using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Cli.Restoring;

/// <summary>
/// Restores one shard: goes through the rows of the copy and of the table side by side, both in the order of their
/// keys, decides row by row, and then makes the two indexes agree with the instances.
/// </summary>
internal sealed class ShardRestore(
    string shard,
    IAsyncEnumerable<TableEntity> copy,
    IReadOnlyDictionary<InstanceId, DateTimeOffset> forgotten,
    TableGateway gateway,
    RestoreCounts counts)
{
    private readonly ShardWriter _writer = new(gateway, counts);

    // The index rows that the table has, and the keys of those that its instances ask for.
    private readonly Dictionary<string, ETag> _found = [];
    private readonly HashSet<string> _wanted = [];
    private readonly HashSet<InstanceId> _seen = [];

    // Instances that were removed or forgotten after the copy: nothing else of theirs comes back.
    private readonly HashSet<InstanceId> _ended = [];

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var rows = gateway.Table.QueryAsync<TableEntity>(InstanceRows.ShardFilter(shard), cancellationToken: cancellationToken);
        await foreach (var (copied, current) in SideBySide.ReadAsync(copy, rows, cancellationToken))
        {
            var key = (copied ?? current)!.RowKey;
            if (InstanceRows.IsInstance(key))
            {
                await DecideAsync(copied, current, cancellationToken);
            }
            else if (RowKinds.IsIndex(key))
            {
                if (current is not null)
                {
                    _found[key] = current.ETag;
                }
            }
            else if (current is null && RowKinds.IsRestored(key) && !IsOfEnded(key))
            {
                // An event may be delivered a second time for this; a lost one would never be.
                await _writer.AddAsync(WithoutLease(copied!), cancellationToken);
            }
        }

        await AddForgottenAsync(cancellationToken);
        await _writer.FlushAsync(cancellationToken);
        await MendIndexesAsync(cancellationToken);
    }

    private async Task DecideAsync(TableEntity? copied, TableEntity? current, CancellationToken cancellationToken)
    {
        var id = InstanceRows.ReadId((copied ?? current)!.RowKey);
        if (id is { } read)
        {
            _seen.Add(read);
            copied = copied is null ? ForgottenSince(read, current!) : ApplyForgotten(read, copied);
        }

        var takesCopy = copied is not null && (current is null || RestoredRow.Read(copied).Replaces(RestoredRow.Read(current)));
        if (id is { } ended && !takesCopy && IsRemoved(current!) && !(copied is not null && IsRemoved(copied)))
        {
            _ended.Add(ended);
        }

        Want(takesCopy ? copied! : current!);
        if (takesCopy)
        {
            await _writer.WriteInstanceAsync(copied!, current, cancellationToken);
        }
        else if (copied is not null)
        {
            counts.Kept(copied, current!);
        }

        if (copied is not null)
        {
            counts.Done();
        }
    }

    // What was forgotten after the copy stays forgotten, unless its owner has consented since.
    private TableEntity ApplyForgotten(InstanceId id, TableEntity copied)
    {
        var row = RestoredRow.Read(copied);
        if (!forgotten.TryGetValue(id, out var at) || row.Forgotten || (!row.IsOfWebhooksAlone && row.ConnectedAt > at))
        {
            return WithoutLease(copied);
        }

        _ended.Add(id);
        counts.Forgotten();
        return Tombstone(id, at, copied);
    }

    // It is in no copy, but webhooks may have made a row of it in an emptied table.
    private TableEntity? ForgottenSince(InstanceId id, TableEntity current)
    {
        if (!forgotten.TryGetValue(id, out var at) || RestoredRow.Read(current) is not { Status: not null, Forgotten: false, IsOfWebhooksAlone: true })
        {
            return null;
        }

        _ended.Add(id);
        counts.Forgotten();
        return Tombstone(id, at, current);
    }

    // Rows of instances come before those of their events and last uses.
    private bool IsOfEnded(string rowKey) =>
        RowKinds.ReadOwner(rowKey) is { } id && (_ended.Contains(id) || (!_seen.Contains(id) && forgotten.ContainsKey(id)));

    private static bool IsRemoved(TableEntity row) => RestoredRow.Read(row).Status == InstanceStatus.Removed;

    private static TableEntity WithoutLease(TableEntity copied)
    {
        copied.Remove("LeaseOwner");
        copied.Remove("LeaseUntil");
        return copied;
    }

    private static TableEntity Tombstone(InstanceId id, DateTimeOffset at, TableEntity? copied)
    {
        Instance? before = null;
        try
        {
            before = copied is null ? null : InstanceRow.Read(id, copied);
        }
        catch (InvalidDataException)
        {
            // A row that cannot be read has nothing that a tombstone needs.
        }

        return InstanceRow.Of(Instance.Forget(before, id, at));
    }

    // Their rows are in no copy, but an AppInstalled that is still on its way must not revive them.
    private async Task AddForgottenAsync(CancellationToken cancellationToken)
    {
        foreach (var (id, at) in forgotten.Where(each => InstanceRows.ShardOf(each.Key) == shard && !_seen.Contains(each.Key)))
        {
            var tombstone = Tombstone(id, at, copied: null);
            counts.Forgotten();
            Want(tombstone);
            await _writer.WriteInstanceAsync(tombstone, current: null, cancellationToken);
        }
    }

    private void Want(TableEntity row) => _wanted.UnionWith(RowKinds.IndexKeys(row));

    // Others write meanwhile: each row that seems wrong is looked at again before it is changed.
    private async Task MendIndexesAsync(CancellationToken cancellationToken)
    {
        _wanted.UnionWith(_writer.IndexKeysKept);
        foreach (var key in _wanted.Except(_found.Keys).Except(_writer.IndexKeysWritten))
        {
            if (await IsWantedAsync(key, cancellationToken))
            {
                await AddAsync(key, cancellationToken);
            }
        }

        foreach (var (key, etag) in _found.Where(row => !_wanted.Contains(row.Key)))
        {
            if (!await IsWantedAsync(key, cancellationToken))
            {
                await RemoveAsync(key, etag, cancellationToken);
            }
        }
    }

    private async Task<bool> IsWantedAsync(string key, CancellationToken cancellationToken) =>
        InstanceRows.ReadId(key) is { } id
        && await gateway.FindRowAsync(shard, InstanceRows.InstanceKey(id), cancellationToken) is { Value: var current }
        && RowKinds.IndexKeys(current).Contains(key);

    private async Task AddAsync(string key, CancellationToken cancellationToken)
    {
        var answer = await gateway.AskAsync(
            () => gateway.Table.UpsertEntityAsync(new TableEntity(shard, key), TableUpdateMode.Replace, cancellationToken), cancellationToken);
        counts.Mended();

        // A writer that changed the instance just before has found no row to remove.
        if (answer.Headers.ETag is { } etag && !await IsWantedAsync(key, cancellationToken))
        {
            await RemoveAsync(key, etag, cancellationToken);
        }
    }

    private async Task RemoveAsync(string key, ETag etag, CancellationToken cancellationToken)
    {
        try
        {
            await gateway.AskAsync(() => gateway.Table.DeleteEntityAsync(shard, key, etag, cancellationToken), cancellationToken);
            counts.Mended();
        }
        catch (StorageUnavailableException exception) when (TableGateway.IsConflict(exception))
        {
            // Meanwhile an instance needs it and has written it again.
        }
    }
}
