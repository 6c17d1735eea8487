using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Maintenance;

/// <summary>
/// Removes rows that are no longer needed, in bounded batches, and repairs the due index. It may overlap itself or be killed
/// at any point: the next run does the rest.
/// </summary>
internal sealed class Housekeeping(
    IInstanceStore store, IRefreshTallyStore tallyStore, MaintenanceMetrics metrics, TimeProvider time, ILogger<Housekeeping> logger)
{
    /// <summary>How long a tombstone is kept: longer than Wix retries webhooks.</summary>
    public static readonly TimeSpan TombstoneLifetime = TimeSpan.FromDays(90);

    /// <summary>It starts nothing new after this time: the tasks after it need time too, before the host ends the function.</summary>
    public static readonly TimeSpan LongestRun = TimeSpan.FromMinutes(2);

    private const int Batch = 1_000;

    // The sweep removes those it meets, so that only a sample is needed of those that are not due for long.
    private const int MaxDueRowsRead = 10_000;

    private const int Concurrency = 8;

    // A shorter delay has ordinary reasons: the sweep is behind, or the row is being written.
    private static readonly TimeSpan s_missedAfter = TimeSpan.FromHours(1);

    /// <summary>
    /// Removes tombstones older than <see cref="TombstoneLifetime"/>, rows of the
    /// due index without an instance, and counts of refreshes older than the hour that is shown. Makes instances due that
    /// no sweep would see: those that have lost their row in the due index, have no due time, or one too far ahead.
    /// </summary>
    /// <returns>How many of the first three were removed.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; what is left is removed the next time.</exception>
    /// <exception cref="OperationCanceledException">The program stops.</exception>
    public async Task<(int Tombstones, int DueRows, int Tallies)> RunAsync(CancellationToken cancellationToken)
    {
        var (startedAt, now) = (time.GetTimestamp(), time.GetUtcNow());
        var (tombstones, dueRows, tallies, madeDue) = (0, 0, 0, 0);
        using var inTime = new CancellationTokenSource(LongestRun, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        try
        {
            // First what refreshes depend on. Tombstones come last, because they may be so many that they use up the time.
            var (missed, removed) = await FindAsync(now, until.Token);
            await EachAsync(
                missed.ToAsyncEnumerable(),
                TryMakeDueAsync,
                () => Interlocked.Increment(ref madeDue),
                until.Token);
            await EachAsync(
                store.ReadDueAsync(DateTimeOffset.MaxValue, until.Token).Take(MaxDueRowsRead),
                RemoveOrphanAsync,
                () => Interlocked.Increment(ref dueRows),
                until.Token);
            var countedBefore = now - (RefreshHistory.Interval * RefreshHistory.IntervalCount * 2);
            int count;
            do
            {
                count = await tallyStore.RemoveTalliesAsync(countedBefore, Batch, until.Token);
                tallies += count;
            }
            while (count == Batch);

            // In random order, so that a run that ends early does not always see the same ones.
            await EachAsync(
                removed.OrderBy(_ => Random.Shared.Next()).ToAsyncEnumerable(),
                RemoveTombstoneAsync,
                () => Interlocked.Increment(ref tombstones),
                until.Token);
        }
        catch (OperationCanceledException) when (inTime.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            // The rest is for the next time.
        }
        finally
        {
            metrics.Removed("tombstone", tombstones);
            metrics.Removed("due_row", dueRows);
            metrics.Removed("tally", tallies);
            logger.HousekeepingDone(tombstones, dueRows, tallies, time.GetElapsedTime(startedAt).TotalMilliseconds);
            if (madeDue > 0)
            {
                logger.DueRowsAdded(madeDue);
            }
        }

        return (tombstones, dueRows, tallies);
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

    /// <summary>The instances that no sweep would see, and the tombstones.</summary>
    private async Task<(HashSet<(InstanceId Id, DateTimeOffset? DueAt)> Missed, List<InstanceId> Removed)> FindAsync(
        DateTimeOffset now, CancellationToken cancellationToken)
    {
        // Earlier versions gave a marked instance no due time.
        var (dueBefore, latest) = (now - s_missedAfter, now + TokenSchedule.LatestDue);
        HashSet<(InstanceId Id, DateTimeOffset? DueAt)> missed = [];
        List<InstanceId> removed = [];
        await foreach (var summary in store.ReadSummariesAsync(cancellationToken))
        {
            if (summary.Status == InstanceStatus.Removed)
            {
                removed.Add(summary.Id);
            }
            else if (!(summary.DueAt >= dueBefore && summary.DueAt <= latest))
            {
                missed.Add((summary.Id, summary.DueAt));
            }
        }

        if (missed.Count > 0)
        {
            await foreach (var due in store.ReadDueAsync(dueBefore, cancellationToken))
            {
                missed.Remove((due.Id, due.DueAt));
            }
        }

        return (missed, removed);
    }

    // The due time must differ from the stored one, because a write adds a row to the due index only when the time changes.
    private async Task<bool> TryMakeDueAsync((InstanceId Id, DateTimeOffset? DueAt) missed, CancellationToken cancellationToken) =>
        await store.FindAsync(missed.Id, cancellationToken) is { } stored
        && stored.Instance.DueAt == missed.DueAt
        && await store.TryWriteAsync(stored, stored.Instance with { DueAt = time.GetUtcNow() }, cancellationToken) is not null;

    private async Task EachAsync<T>(
        IAsyncEnumerable<T> items, Func<T, CancellationToken, Task<bool>> tryChange, Action changed, CancellationToken cancellationToken) =>
        await Parallel.ForEachAsync(
            items,
            new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
            async (item, token) =>
            {
                try
                {
                    if (await tryChange(item, token))
                    {
                        changed();
                    }
                }
                catch (InvalidDataException exception)
                {
                    // One row's own trouble. It stays for a version that can read it.
                    logger.RowUnreadable(exception.Message);
                }
            });
}
