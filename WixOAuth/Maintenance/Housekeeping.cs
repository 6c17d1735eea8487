using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Maintenance;

/// <summary>What housekeeping removed.</summary>
/// <param name="Tombstones">Instances that were removed long ago.</param>
/// <param name="DueRows">Orphaned rows of the due index.</param>
/// <param name="Tallies">Counts of refreshes that no page shows any more.</param>
/// <param name="Duration">How long it took.</param>
internal sealed record HousekeepingSummary(int Tombstones, int DueRows, int Tallies, TimeSpan Duration);

/// <summary>
/// Removes what is of no use any more, in bounded batches. May overlap itself or be killed at any point: what is left
/// is removed the next time.
/// </summary>
internal sealed class Housekeeping(
    IInstanceStore store, IRefreshTallyStore tallyStore, MaintenanceMetrics metrics, TimeProvider time, ILogger<Housekeeping> logger)
{
    /// <summary>How long a tombstone is kept: so late does no webhook of Wix come.</summary>
    public static readonly TimeSpan TombstoneLifetime = TimeSpan.FromDays(90);

    /// <summary>It takes up nothing new after this time: what runs after it needs time too, before the host ends the function.</summary>
    public static readonly TimeSpan LongestRun = TimeSpan.FromMinutes(2);

    private const int Batch = 1_000;
    private const int MaxBatches = 1_000;
    private const int MaxTombstonesRead = 100_000;

    // The sweep removes those it meets, so that only a sample is needed of those that are not due for long.
    private const int MaxDueRowsRead = 10_000;

    private const int Concurrency = 8;

    /// <summary>
    /// Removes tombstones older than <see cref="TombstoneLifetime"/>, rows of the
    /// due index without an instance, and counts of refreshes older than the hour that is shown.
    /// </summary>
    /// <exception cref="StorageUnavailableException">The storage fails; what is left is removed the next time.</exception>
    /// <exception cref="OperationCanceledException">The program stops.</exception>
    public async Task<HousekeepingSummary> RunAsync(CancellationToken cancellationToken)
    {
        var (startedAt, now) = (time.GetTimestamp(), time.GetUtcNow());
        var (tombstones, dueRows, tallies) = (0, 0, 0);
        using var inTime = new CancellationTokenSource(LongestRun, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        HousekeepingSummary summary;
        try
        {
            var countedBefore = now - (RefreshHistory.Stretch * RefreshHistory.Stretches * 2);
            await InBatchesAsync(limit => tallyStore.RemoveTalliesAsync(countedBefore, limit, until.Token), count => tallies += count);
            await EachAsync(
                store.ReadByStatusAsync(InstanceStatus.Removed, until.Token).Take(MaxTombstonesRead),
                RemoveTombstoneAsync,
                () => Interlocked.Increment(ref tombstones),
                until.Token);
            await EachAsync(
                store.ReadDueAsync(DateTimeOffset.MaxValue, until.Token).Take(MaxDueRowsRead),
                RemoveOrphanAsync,
                () => Interlocked.Increment(ref dueRows),
                until.Token);
        }
        catch (OperationCanceledException) when (inTime.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            // The rest is for the next time.
        }
        finally
        {
            summary = new HousekeepingSummary(tombstones, dueRows, tallies, time.GetElapsedTime(startedAt));
            metrics.Removed("tombstone", tombstones);
            metrics.Removed("due_row", dueRows);
            metrics.Removed("tally", tallies);
            logger.HousekeepingDone(tombstones, dueRows, tallies, summary.Duration.TotalMilliseconds);
        }

        return summary;
    }

    private static async Task InBatchesAsync(Func<int, Task<int>> remove, Action<int> removed)
    {
        for (var batch = 0; batch < MaxBatches; batch++)
        {
            var count = await remove(Batch);
            removed(count);
            if (count < Batch)
            {
                return;
            }
        }
    }

    private async Task<bool> RemoveTombstoneAsync(InstanceId id, CancellationToken cancellationToken)
    {
        if (await store.FindAsync(id, cancellationToken) is not { Instance: { Status: InstanceStatus.Removed } tombstone } stored)
        {
            return false;
        }

        // Not since its removal: it may have been forgotten much later, and must stay so for as long.
        if (time.GetUtcNow() - tombstone.UpdatedAt >= TombstoneLifetime)
        {
            return await store.TryRemoveAsync(stored, cancellationToken);
        }

        if (!tombstone.IsErased)
        {
            await store.TryWriteAsync(stored, tombstone.Erased(), cancellationToken);
        }

        return false;
    }

    private async Task<bool> RemoveOrphanAsync(DueInstance due, CancellationToken cancellationToken)
    {
        if ((await store.FindAsync(due.Id, cancellationToken))?.Instance.DueAt == due.DueAt)
        {
            return false;
        }

        await store.RemoveDueAsync(due, cancellationToken);
        return true;
    }

    private async Task EachAsync<T>(
        IAsyncEnumerable<T> items, Func<T, CancellationToken, Task<bool>> tryRemove, Action removed, CancellationToken cancellationToken) =>
        await Parallel.ForEachAsync(
            items,
            new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
            async (item, token) =>
            {
                try
                {
                    if (await tryRemove(item, token))
                    {
                        removed();
                    }
                }
                catch (InvalidDataException exception)
                {
                    // One row's own trouble. It stays for a version that can read it.
                    logger.RowUnreadable(exception.Message);
                }
            });
}
