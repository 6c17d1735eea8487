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

    private readonly Lock _lock = new();
    private DateTimeOffset? _finishedAt;
    private bool _isRunning;

    /// <summary>Runs, unless a run has finished in this process within the last hour or is under way.</summary>
    /// <returns>How many rows were removed.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; the rest is removed later.</exception>
    /// <exception cref="OperationCanceledException">The program stops.</exception>
    public async Task<int> RunHourlyAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        lock (_lock)
        {
            if (_isRunning || (_finishedAt is { } last && now - last < KeptFor && now >= last))
            {
                return 0;
            }

            _isRunning = true;
        }

        var isFinished = false;
        try
        {
            (var removed, isFinished) = await RunAsync(now - KeptFor, cancellationToken);
            return removed;
        }
        finally
        {
            lock (_lock)
            {
                _isRunning = false;
                _finishedAt = isFinished ? now : _finishedAt;
            }
        }
    }

    private async Task<(int Removed, bool IsFinished)> RunAsync(DateTimeOffset issuedBefore, CancellationToken cancellationToken)
    {
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
            return (removed, true);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (removed, false);
        }
        finally
        {
            metrics.Removed("redemption", removed);
            if (removed > 0)
            {
                logger.ConsumedStatesRemoved(removed);
            }
        }
    }
}
