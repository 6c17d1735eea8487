using System.Diagnostics;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Maintenance;

/// <summary>What a sweep did. <c>DueLag</c> is how long the longest due instance whose row can be read had been due; zero when none was.</summary>
internal sealed record SweepSummary(int Due, int Refreshed, int Skipped, int Failed, bool Suspect, TimeSpan Duration, TimeSpan DueLag);

/// <summary>
/// Refreshes the tokens of every instance that is due, sends set-up events that have failed before, and updates the sites'
/// names. May overlap another sweep or be killed at any point: an instance stays due until it is done.
/// </summary>
/// <remarks>
/// A refresh costs three storage transactions (read, lease, commit), and one more where the instance may be idle; the
/// first of a clone two more. An idle one is checked once a day, by a refresh. A sweep that refreshed anything costs one
/// more, which tells the operators' page.
/// </remarks>
internal sealed class RefreshSweep(
    IInstanceStore store,
    DueInstanceRefresher refresher,
    WixCircuit circuit,
    AppSecretLedger ledger,
    AppSecretProbe probe,
    RefreshHistory history,
    SweepStateRecorder state,
    ServiceSettings settings,
    MaintenanceMetrics metrics,
    TimeProvider time,

    // Eleven: besides the instances, a sweep checks what all of them depend on (the app secret, the circuit).
    ILogger<RefreshSweep> logger) : IDisposable
{
    /// <summary>
    /// A sweep starts no new refresh after this time, so that the refreshes in progress end before the next sweep begins, one
    /// minute after this one.
    /// </summary>
    public static readonly TimeSpan LongestSweep = TimeSpan.FromMinutes(1) - WixClient.LongestTokenCall - TimeSpan.FromSeconds(2);

    private static readonly TimeSpan LongestSave = TimeSpan.FromSeconds(2);

    // Shared by the shards that this process sweeps at the same time.
    private readonly SemaphoreSlim _slots = new(settings.Tokens.RefreshConcurrency);

    /// <summary>
    /// Sweeps once, one shard or all. Ends early, without an error, when it is cancelled or has taken
    /// <see cref="LongestSweep"/>: what has begun is finished, what has not stays due.
    /// </summary>
    /// <exception cref="StorageUnavailableException">The due instances cannot be read.</exception>
    public async Task<SweepSummary> RunAsync(CancellationToken cancellationToken, InstanceShard? shard = null)
    {
        using var activity = metrics.TraceSweep();
        var (now, startedAt) = (time.GetUtcNow(), time.GetTimestamp());
        var (counts, oldest, gate) = (new int[4], now, new Lock());
        using var inTime = new CancellationTokenSource(LongestSweep, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        var pace = new SweepPace(circuit, settings.Tokens.RefreshConcurrency, time);
        SweepSummary summary;
        Exception? failure = null;
        try
        {
            if (ledger.IsSuspect)
            {
                await probe.ProbeAsync();
            }

            await foreach (var due in store.ReadDueAsync(now, until.Token, shard))
            {
                await pace.WaitAsync(until.Token);
                if (ledger.IsSuspect)
                {
                    // The rest stays due: rejections would say nothing about these sites.
                    break;
                }

                await _slots.WaitAsync(until.Token);
                pace.Begin(async () =>
                {
                    try
                    {
                        var outcome = await refresher.RefreshAsync(due, until.Token);
                        Count(due, outcome);
                        return outcome is not (SweepOutcome.Failed or SweepOutcome.Unreadable);
                    }
                    finally
                    {
                        _slots.Release();
                    }
                });
            }
        }
        catch (OperationCanceledException)
        {
            // What is left is still due, and the next sweep begins with what has been due the longest.
        }
        catch (Exception exception)
        {
            failure = exception;
            throw;
        }
        finally
        {
            await pace.WhenIdleAsync();
            summary = new SweepSummary(
                counts.Sum(),
                counts[(int)SweepOutcome.Refreshed],
                counts[(int)SweepOutcome.Skipped],
                counts[(int)SweepOutcome.Failed] + counts[(int)SweepOutcome.Unreadable],
                ledger.IsSuspect,
                time.GetElapsedTime(startedAt),
                now - oldest);
            Report(activity, summary, failure, shard);
            await SaveStateAsync();
        }

        return summary;

        void Count(DueInstance due, SweepOutcome outcome)
        {
            lock (gate)
            {
                counts[(int)outcome]++;

                // An unreadable row stays due until it is mended, and has an alert of its own.
                oldest = outcome != SweepOutcome.Unreadable && due.DueAt < oldest ? due.DueAt : oldest;
            }
        }
    }

    public void Dispose() => _slots.Dispose();

    // Saved now, because the host may stop this process before the next minute. Limited, because the next tick is near.
    private async Task SaveStateAsync()
    {
        using var limit = new CancellationTokenSource(LongestSave, time);
        try
        {
            await history.SaveAsync(limit.Token);
            await state.RecordAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            logger.SweepStateNotSaved(nameof(OperationCanceledException));
        }
    }

    // A failed sweep did not see all due instances, so its counts say nothing about the sites.
    private void Report(Activity? activity, SweepSummary summary, Exception? failure, InstanceShard? shard)
    {
        metrics.Swept(activity, summary, failure, shard);
        if (failure is not null)
        {
            logger.SweepAborted(failure.GetType().Name, summary.Refreshed, summary.Failed, summary.Duration.TotalMilliseconds);
            return;
        }

        logger.Swept(
            summary.Due,
            summary.Refreshed,
            summary.Skipped,
            summary.Failed,
            summary.Suspect,
            summary.Duration.TotalMilliseconds,
            summary.DueLag.TotalSeconds);
    }
}
