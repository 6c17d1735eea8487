using System.Collections.Concurrent;
using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Storage;

namespace WixOAuth.Cli.Restoring;

/// <summary>What was found in a copy that was read from end to end.</summary>
/// <param name="Instances">How many instances it has, removed ones included.</param>
/// <param name="Removed">How many of them are removed.</param>
/// <param name="Unreadable">How many this version cannot read; they are restored as they are.</param>
/// <param name="MissingKeys">Ids of protection keys that are missing, disabled or malformed, each with the number of refresh tokens that need it.</param>
internal sealed record BackupContents(long Instances, long Removed, long Unreadable, IReadOnlyDictionary<string, long> MissingKeys);

/// <summary>Reads a whole copy before anything of it is written: every blob's counts and SHA-256, every row, every key.</summary>
/// <param name="container">Where the copies are.</param>
/// <param name="keys">The available protection keys.</param>
internal sealed class BackupCheck(BackupContainer container, IKeyRing keys)
{
    private const int PartsAtOnce = 4;

    /// <exception cref="BackupUnusableException">The copy is cut off, changed or not whole.</exception>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    /// <exception cref="SecretUnavailableException">Whether a key is there cannot be known now.</exception>
    public async Task<BackupContents> RunAsync(BackupManifest manifest, IProgress<long>? progress, CancellationToken cancellationToken)
    {
        var (read, removed, unreadable, needed) = (0L, 0L, 0L, new ConcurrentDictionary<string, long>());
        if (!manifest.Parts.Select(part => ShardOf(part)).Order(StringComparer.Ordinal).SequenceEqual(InstanceRows.Shards))
        {
            throw new BackupUnusableException("The manifest does not name one blob for each of the 16 shards.");
        }

        await Parallel.ForEachAsync(
            manifest.Parts,
            new ParallelOptions { MaxDegreeOfParallelism = PartsAtOnce, CancellationToken = cancellationToken },
            async (part, token) =>
            {
                await foreach (var row in BackupReader.ReadAsync(container, part, token).Where(row => InstanceRows.IsInstance(row.RowKey)))
                {
                    Count(row, ref removed, ref unreadable, needed);
                    var count = Interlocked.Increment(ref read);
                    progress?.Report(count);
                }
            });
        return new BackupContents(read, removed, unreadable, await FindMissingAsync(needed, cancellationToken));
    }

    /// <summary>The shard whose rows a part has, by its name.</summary>
    internal static string ShardOf(BackupPart part) => Path.GetFileName(part.Name).Split('.')[0];

    private static void Count(TableEntity row, ref long removed, ref long unreadable, ConcurrentDictionary<string, long> needed)
    {
        if (RestoredRow.Read(row).Status == InstanceStatus.Removed)
        {
            Interlocked.Increment(ref removed);
        }

        if (row.TryGetValue("RefreshTokenKeyId", out var key) && key is string id)
        {
            needed.AddOrUpdate(id, 1, (_, count) => count + 1);
        }

        if (!IsReadable(row))
        {
            Interlocked.Increment(ref unreadable);
        }
    }

    private static bool IsReadable(TableEntity row)
    {
        try
        {
            return InstanceRows.ReadId(row.RowKey) is { } id && InstanceRow.Read(id, row).Id == id;
        }
        catch (InvalidDataException)
        {
            return false;
        }
    }

    private async Task<Dictionary<string, long>> FindMissingAsync(IEnumerable<KeyValuePair<string, long>> needed, CancellationToken cancellationToken)
    {
        var missing = new Dictionary<string, long>();
        foreach (var (id, count) in needed)
        {
            if (!await IsUsableAsync(id, cancellationToken))
            {
                missing[id] = count;
            }
        }

        return missing;
    }

    private async Task<bool> IsUsableAsync(string id, CancellationToken cancellationToken)
    {
        try
        {
            return await keys.FindAsync(id, cancellationToken) is not null;
        }
        catch (SecretUnusableException exception) when (!exception.MayNotExist)
        {
            return false;
        }
    }
}
