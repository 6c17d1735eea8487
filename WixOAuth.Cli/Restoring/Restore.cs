using System.Collections.Concurrent;
using Azure;
using Azure.Data.Tables;
using Azure.Storage.Blobs.Models;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Storage;

namespace WixOAuth.Cli.Restoring;

/// <summary>What a restore did.</summary>
/// <param name="Written">Instances of the copy that were written.</param>
/// <param name="Kept">Instances that stayed as they were in the table, because they are at least as new.</param>
/// <param name="Forgotten">Instances that were forgotten after the copy, and stay so.</param>
/// <param name="IndexRowsMended">Rows of the due and the status index that were missing or led nowhere.</param>
/// <param name="CustomersLeft">Customers that only the row which did not stay had.</param>
internal sealed record RestoreSummary(long Written, long Kept, long Forgotten, long IndexRowsMended, IReadOnlyList<CustomerLeft> CustomersLeft);

/// <summary>A customer that a restore left out, because nothing tells whether the site is theirs still; <paramref name="Stays"/> is the one that the site has.</summary>
internal sealed record CustomerLeft(string InstanceId, string Customer, string? Stays);

/// <summary>
/// Writes a copy into a table: an empty one, a new one, or one that has lost a part of its rows. It may run beside
/// traffic and may be run again; where both sides have a row, the later consent wins, and within one consent the higher generation.
/// </summary>
/// <param name="container">Where the copies are.</param>
/// <param name="table">The table to write into; made if missing, where the identity may do that.</param>
internal sealed class Restore(BackupContainer container, TableClient table)
{
    private const int ShardsAtOnce = 4;
    private const string BeingDeleted = "TableBeingDeleted";

    private readonly TableGateway _gateway = new(table);

    /// <summary>Writes what <see cref="BackupCheck"/> has found to be whole.</summary>
    /// <param name="manifest">The copy's manifest.</param>
    /// <param name="acceptsNextKey">
    /// Whether keys of the copy are lost for good: then the key check takes whichever key the service has. Otherwise it fails
    /// until the service has a key that opens a stored token.
    /// </param>
    /// <param name="progress">Receives the number of restored instances so far; may be null.</param>
    /// <param name="cancellationToken">Ends it; what is written stays, and a later run writes the rest.</param>
    /// <exception cref="BackupUnusableException">The copy has changed since it was checked.</exception>
    /// <exception cref="StorageUnavailableException">The table or the blob service fails; run it again.</exception>
    public async Task<RestoreSummary> RunAsync(BackupManifest manifest, bool acceptsNextKey, IProgress<long>? progress, CancellationToken cancellationToken)
    {
        try
        {
            await new TableInstanceStore(_gateway).InitializeAsync(cancellationToken);
            var forgotten = await ReadForgottenAsync(cancellationToken);
            var counts = new RestoreCounts(progress);
            await Parallel.ForEachAsync(
                manifest.Parts,
                new ParallelOptions { MaxDegreeOfParallelism = ShardsAtOnce, CancellationToken = cancellationToken },
                async (part, token) => await new ShardRestore(
                    BackupCheck.ShardOf(part), BackupReader.ReadAsync(container, part, token), forgotten, _gateway, counts).RunAsync(token));
            await ResetKeyCheckAsync(acceptsNextKey, cancellationToken);
            return counts.ToSummary();
        }
        catch (Exception exception) when (exception is RequestFailedException { ErrorCode: BeingDeleted } or { InnerException: RequestFailedException { ErrorCode: BeingDeleted } })
        {
            throw new StorageUnavailableException($"The table '{_gateway.Table.Name}' is still being deleted. Run the restore again in a minute.", exception);
        }
        catch (Exception exception) when (exception is not (BackupUnusableException or StorageUnavailableException) && !cancellationToken.IsCancellationRequested)
        {
            throw TableGateway.Unavailable(exception);
        }
    }

    // Which instances were forgotten, and when.
    private Task<Dictionary<InstanceId, DateTimeOffset>> ReadForgottenAsync(CancellationToken cancellationToken) => BackupContainer.AskAsync(
        async () =>
        {
            var forgotten = new Dictionary<InstanceId, DateTimeOffset>();
            await foreach (var blob in container.Blobs.GetBlobsAsync(BlobTraits.None, BlobStates.None, BackupContainer.Forgotten, cancellationToken))
            {
                if (InstanceId.TryParse(blob.Name[BackupContainer.Forgotten.Length..], out var id))
                {
                    forgotten[id] = blob.Properties.LastModified ?? DateTimeOffset.MaxValue;
                }
            }

            return forgotten;
        },
        cancellationToken);

    // A service that met the empty table has written a row there with its own key, which need not open the tokens of the copy.
    private async Task ResetKeyCheckAsync(bool acceptsNextKey, CancellationToken cancellationToken)
    {
        var (shard, key) = (InstanceRows.ServiceShard, InstanceRows.KeyCheckKey);
        await _gateway.AskAsync(
            () => acceptsNextKey
                ? _gateway.Table.UpsertEntityAsync(new TableEntity(shard, key), TableUpdateMode.Replace, cancellationToken)
                : _gateway.Table.DeleteEntityAsync(shard, key, ETag.All, cancellationToken),
            cancellationToken);
    }
}

/// <summary>Counts over all shards.</summary>
internal sealed class RestoreCounts(IProgress<long>? progress)
{
    private readonly ConcurrentQueue<CustomerLeft> _customersLeft = [];
    private long _written;
    private long _kept;
    private long _forgotten;
    private long _mended;
    private long _done;

    public void Written(TableEntity copied, TableEntity? current)
    {
        Interlocked.Increment(ref _written);
        if (current is not null)
        {
            CompareCustomers(copied, current);
        }
    }

    public void Kept(TableEntity copied, TableEntity current)
    {
        Interlocked.Increment(ref _kept);
        CompareCustomers(current, copied);
    }

    public void Forgotten() => Interlocked.Increment(ref _forgotten);

    public void Mended() => Interlocked.Increment(ref _mended);

    public void Done()
    {
        var count = Interlocked.Increment(ref _done);
        progress?.Report(count);
    }

    public RestoreSummary ToSummary() => new(_written, _kept, _forgotten, _mended, [.. _customersLeft.OrderBy(left => left.InstanceId, StringComparer.Ordinal)]);

    private void CompareCustomers(TableEntity stays, TableEntity goes)
    {
        var (kept, lost) = (RestoredRow.Read(stays), RestoredRow.Read(goes));
        if (lost.LosesCustomerTo(kept) && InstanceRows.ReadId(stays.RowKey) is { } id)
        {
            _customersLeft.Enqueue(new CustomerLeft(id.ToString(), lost.Customer!, kept.Customer));
        }
    }
}
