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
    /// <summary>How often all instances are counted even if no refresh token changed its state in this process.</summary>
    public static readonly TimeSpan BetweenCounts = TimeSpan.FromMinutes(10);

    // Leaves time to save the state, with the last counts where new ones take longer.
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private Task _counting = Task.CompletedTask;
    private long? _countedAt;
    private Overview? _counts;

    /// <summary>Saves the state. A failure is logged and must not fail the sweep: the next one saves it.</summary>
    public async Task RecordAsync(CancellationToken cancellationToken)
    {
        try
        {
            await CountIfDueAsync().WaitAsync(LongestWait, time, cancellationToken)
                .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
            cancellationToken.ThrowIfCancellationRequested();

            // A process that has not finished its first count keeps what another one has found.
            var (onFallback, unreadable) = _counts is { } counts
                ? (counts.OnFallback, counts.Unreadable)
                : await store.ReadSweepStateAsync(cancellationToken) is { } last ? (last.OnFallback, last.Unreadable) : (0, 0);
            var state = new SweepState(time.GetUtcNow(), onFallback, unreadable, ledger.IsSuspect, circuit.IsOpen);
            await store.SaveSweepStateAsync(state, cancellationToken);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            logger.SweepStateNotSaved(exception.GetType().Name);
        }
    }

    private Task CountIfDueAsync()
    {
        lock (_lock)
        {
            // The flag stays set while a count is running, because that count may already have passed the instance.
            if (_counting.IsCompleted && (history.TakeFaultChange() || _countedAt is not { } last || time.GetElapsedTime(last) >= BetweenCounts))
            {
                _counting = CountAsync();
            }

            return _counting;
        }
    }

    // In a large table this takes longer than a sweep may wait, so it is not cancelled: a later sweep saves what it finds.
    private async Task CountAsync()
    {
        try
        {
            _countedAt = time.GetTimestamp();
            _counts = await overview.GetAsync(forceRefresh: true, CancellationToken.None);
            metrics.Counted(_counts);
        }
        catch (Exception exception)
        {
            _countedAt = null;
            logger.InstancesNotCounted(exception.GetType().Name);
        }
    }
}
