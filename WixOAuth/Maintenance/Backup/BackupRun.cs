using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.IO.Compression;
using System.Security.Cryptography;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Maintenance.Backup;

/// <summary>
/// Copies the table into the backup container: every row as it is, tokens encrypted as they are. Streamed, so that the
/// memory it needs does not grow with the table.
/// </summary>
internal sealed partial class BackupRun(TableClient table, BackupContainer container, MaintenanceMetrics metrics, TimeProvider time, ILogger<BackupRun> logger)
{
    private const int ShardsAtOnce = 4;
    private const int WriteAtOnce = 64 * 1024;

    /// <summary>
    /// Makes one copy. It may run beside traffic: each row is copied as it is at one moment, and every instance that
    /// exists from the beginning to the end is in the copy. A run that dies or is cancelled leaves blobs without a manifest,
    /// which no restore takes.
    /// </summary>
    /// <returns>The copy's name, its manifest, and the number of sites in the copy before it; null where that is not known.</returns>
    /// <exception cref="StorageUnavailableException">The table or the blob service fails.</exception>
    /// <exception cref="InvalidDataException">A row has a property of an unknown type.</exception>
    public async Task<(string Name, BackupManifest Manifest, long? Before)> RunAsync(IProgress<long>? progress, CancellationToken cancellationToken)
    {
        var (startedAt, startedOn) = (time.GetTimestamp(), time.GetUtcNow());
        try
        {
            var (name, manifest, before) = await CopyAsync(startedOn, progress, cancellationToken);
            BackupDone(name, manifest.Instances, manifest.Rows, time.GetElapsedTime(startedAt).TotalMilliseconds);
            metrics.BackedUp(succeeded: true, time.GetElapsedTime(startedAt));
            return (name, manifest, before);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            metrics.BackedUp(succeeded: false, time.GetElapsedTime(startedAt));

            // A row that RowJson cannot write is no outage.
            var failure = exception is StorageUnavailableException or InvalidDataException ? exception : TableGateway.Unavailable(exception);
            BackupFailed(failure.Message);
            if (failure == exception)
            {
                throw;
            }

            throw failure;
        }
    }

    private async Task<(string Name, BackupManifest Manifest, long? Before)> CopyAsync(
        DateTimeOffset startedOn, IProgress<long>? progress, CancellationToken cancellationToken)
    {
        await container.InitializeAsync(cancellationToken);
        var name = startedOn.UtcDateTime.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture) + "-" + RandomNumberGenerator.GetHexString(4, lowercase: true);
        var (parts, keys, copied) = (new ConcurrentBag<BackupPart>(), new ConcurrentDictionary<string, long>(), 0L);
        await Parallel.ForEachAsync(
            InstanceRows.Shards,
            new ParallelOptions { MaxDegreeOfParallelism = ShardsAtOnce, CancellationToken = cancellationToken },
            async (shard, token) => parts.Add(await CopyShardAsync(
                shard,
                $"{name}/{shard}.jsonl.gz",
                row =>
                {
                    if (row.TryGetValue("RefreshTokenKeyId", out var key) && key is string id)
                    {
                        keys.AddOrUpdate(id, 1, (_, count) => count + 1);
                    }

                    var count = Interlocked.Increment(ref copied);
                    progress?.Report(count);
                },
                token)));

        var manifest = new BackupManifest(
            BackupManifest.CurrentFormat,
            table.Name,
            startedOn,
            time.GetUtcNow(),
            keys.ToDictionary(),
            [.. parts.OrderBy(part => part.Name, StringComparer.Ordinal)]);
        var before = await CountBeforeAsync(cancellationToken);
        await container.WriteManifestAsync(name, manifest, cancellationToken);
        if (manifest.HasFarFewerThan(before))
        {
            BackupShrunk(name, manifest.Instances, before!.Value);
        }

        return (name, manifest, before);
    }

    // A damaged table is copied without an error, and after 35 days only such copies are left. But this check must not fail a backup.
    private async Task<long?> CountBeforeAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await container.CountNewestAsync(cancellationToken);
        }
        catch (StorageUnavailableException)
        {
            return null;
        }
    }

    private async Task<BackupPart> CopyShardAsync(string shard, string blobName, Action<TableEntity> copiedInstance, CancellationToken cancellationToken)
    {
        var (rows, instances) = (0L, 0L);
        using var sha256 = SHA256.Create();
        await using var blob = await container.OpenWriteAsync(blobName, cancellationToken);
        await using (var hashed = new CryptoStream(blob, sha256, CryptoStreamMode.Write, leaveOpen: true))
        {
            await using var zipped = new GZipStream(hashed, CompressionLevel.Fastest, leaveOpen: true);
            var lines = new ArrayBufferWriter<byte>(WriteAtOnce * 2);
            await foreach (var row in table.QueryAsync<TableEntity>(InstanceRows.ShardFilter(shard), cancellationToken: cancellationToken))
            {
                RowJson.Write(lines, row);
                rows++;
                if (InstanceRows.IsInstance(row.RowKey))
                {
                    instances++;
                    copiedInstance(row);
                }

                if (lines.WrittenCount >= WriteAtOnce)
                {
                    await zipped.WriteAsync(lines.WrittenMemory, cancellationToken);
                    lines.ResetWrittenCount();
                }
            }

            await zipped.WriteAsync(lines.WrittenMemory, cancellationToken);
        }

        var bytes = blob.Position;
        return new BackupPart(blobName, rows, instances, bytes, Convert.ToHexStringLower(sha256.Hash!));
    }

    [LoggerMessage(721, LogLevel.Information, "Backup {Name}: {Instances} sites in {Rows} rows copied in {Milliseconds:F0} ms")]
    private partial void BackupDone(string name, long instances, long rows, double milliseconds);

    [LoggerMessage(722, LogLevel.Error, "The backup failed: {Problem} The next run tries again")]
    private partial void BackupFailed(string problem);

    [LoggerMessage(725, LogLevel.Warning, "Backup {Name} has far fewer sites than the one before: {Instances} instead of {Before}")]
    private partial void BackupShrunk(string name, long instances, long before);
}
