using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Maintenance;

/// <summary>
/// Removes expired consumed states and redeemed links, once an hour. It has its own time budget,
/// because anybody can cause such rows: their number must not delay other maintenance.
/// </summary>
internal sealed class ConsumedStateCleanup(IConsumedStateStore store, MaintenanceMetrics metrics, TimeProvider time, ILogger<ConsumedStateCleanup> logger)
{
    /// <summary>How long a row is kept: longer than a state or a link lives, or it could be used again.</summary>
    public static readonly TimeSpan KeptFor = TimeSpan.FromHours(1);

    /// <summary>The longest one run takes. What is left is removed by the next sweep's run.</summary>
    public static readonly TimeSpan LongestRun = TimeSpan.FromSeconds(30);

    private const int Batch = 1_000;

    private long? _finishedAt;

    /// <summary>Runs, unless a run has finished in this process within the last hour. Two runs at once do no harm.</summary>
    /// <returns>How many rows were removed.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; the rest is removed later.</exception>
    /// <exception cref="OperationCanceledException">The program stops.</exception>
    public async Task<int> RunHourlyAsync(CancellationToken cancellationToken)
    {
        if (_finishedAt is { } last && time.GetElapsedTime(last) < KeptFor)
        {
            return 0;
        }

        var (startedAt, issuedBefore) = (time.GetTimestamp(), time.GetUtcNow() - KeptFor);
        using var inTime = new CancellationTokenSource(LongestRun, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        var removed = 0;
        try
        {
            int count;
            do
            {
                count = await store.RemoveConsumedStatesAsync(issuedBefore, Batch, until.Token);
                removed += count;
            }
            while (count == Batch);
            _finishedAt = startedAt;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The rest is for the next sweep's run.
        }
        finally
        {
            metrics.Removed("redemption", removed);
            if (removed > 0)
            {
                logger.ConsumedStatesRemoved(removed);
            }
        }

        return removed;
    }
}
