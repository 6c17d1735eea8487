using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Maintenance;

/// <summary>
/// Saves the state of the service with each sweep, in one transaction. All instances are counted only when the refresh token
/// of any went out of use, and every <see cref="BetweenCounts"/>.
/// </summary>
internal sealed class SweepStateRecorder(
    ISweepStateStore store,
    InstanceOverview overview,
    AppSecretLedger ledger,
    WixCircuit circuit,
    RefreshHistory history,
    MaintenanceMetrics metrics,
    TimeProvider time,

    // Eight: the last one is the log.
    ILogger<SweepStateRecorder> logger)
{
    /// <summary>How often all instances are counted without a reason of this process.</summary>
    public static readonly TimeSpan BetweenCounts = TimeSpan.FromMinutes(10);

    private (long At, Overview Overview)? _counted;

    /// <summary>Saves the state. A failure is logged and must not fail the sweep: the next one saves it.</summary>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public async Task RecordAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (history.TakeFaultNews() || _counted is not { } last || time.GetElapsedTime(last.At) >= BetweenCounts)
            {
                _counted = (time.GetTimestamp(), await overview.GetAsync(isAnew: true, cancellationToken));
                metrics.Counted(_counted.Value.Overview);
            }

            var counts = _counted.Value.Overview;
            var state = new SweepState(time.GetUtcNow(), counts.OnFallback, counts.Unreadable, ledger.IsSuspect, circuit.IsOpen);
            await store.SaveSweepStateAsync(state, cancellationToken);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            logger.SweepStateNotSaved(exception.GetType().Name);
        }
    }
}
