using System.Diagnostics;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Maintenance;

/// <summary>What a sweep did.</summary>
/// <param name="Due">How many rows of the due index it took up.</param>
/// <param name="Refreshed">How many have a new token.</param>
/// <param name="Skipped">How many needed none: removed, idle, or being refreshed by another process.</param>
/// <param name="Failed">How many should have had one and have not.</param>
/// <param name="Suspect">Whether the app secret is suspect.</param>
/// <param name="Duration">How long it took.</param>
/// <param name="DueLag">How long the longest due one had been due; zero when none was.</param>
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
    FalseRejections falseRejections,
    RefreshHistory history,
    SweepStateRecorder state,
    ServiceSettings settings,
    MaintenanceMetrics metrics,
    TimeProvider time,

    // Twelve: besides the instances, a sweep checks what all of them depend on (the app secret, false rejections, the circuit).
    ILogger<RefreshSweep> logger) : IDisposable
{
    /// <summary>
    /// A sweep takes up nothing new after this time, so that what is in flight then ends before the next tick, a minute
    /// after its own.
    /// </summary>
    public static readonly TimeSpan LongestSweep = TimeSpan.FromMinutes(1) - WixClient.LongestTokenCall - TimeSpan.FromSeconds(2);

    private static readonly TimeSpan LongestSave = TimeSpan.FromSeconds(2);

    // Shared by the shards that this process sweeps at the same time.
    private readonly SemaphoreSlim _slots = new(settings.Tokens.RefreshConcurrency);

    /// <summary>
    /// Sweeps once. Ends early, without an error, when it is cancelled or has taken <see cref="LongestSweep"/>: what has
    /// begun is finished, what has not stays due.
    /// </summary>
    /// <exception cref="StorageUnavailableException">The due instances cannot be read.</exception>
    public Task<SweepSummary> RunAsync(CancellationToken cancellationToken) => RunAsync(shard: null, cancellationToken);

    /// <summary>As <see cref="RunAsync(CancellationToken)"/>, of one shard.</summary>
    /// <exception cref="StorageUnavailableException">The due instances cannot be read.</exception>
    public Task<SweepSummary> RunAsync(InstanceShard shard, CancellationToken cancellationToken) => RunAsync((InstanceShard?)shard, cancellationToken);

    public void Dispose() => _slots.Dispose();

    private async Task<SweepSummary> RunAsync(InstanceShard? shard, CancellationToken cancellationToken)
    {
        using var activity = metrics.TraceSweep();
        var run = new Run(time.GetUtcNow(), time.GetTimestamp());
        history.SweepBegins();
        using var inTime = new CancellationTokenSource(LongestSweep, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        using var pace = new SweepPace(circuit, settings.Tokens.RefreshConcurrency, time);
        SweepSummary summary;
        Exception? failure = null;
        try
        {
            await falseRejections.HealAsync(until.Token);
            if (ledger.IsSuspect)
            {
                await probe.ProbeAsync();
            }

            await foreach (var due in shard is { } one ? store.ReadDueAsync(one, run.Now, until.Token) : store.ReadDueAsync(run.Now, until.Token))
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
                        run.Count(due, outcome);
                        return outcome != SweepOutcome.Failed;
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
            summary = run.Sum(ledger.IsSuspect, time.GetElapsedTime(run.StartedAt));
            Report(activity, summary, failure, shard);
            await SaveStateAsync();
        }

        return summary;
    }

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

    // Without all that is due, the counts of a failed sweep say nothing about the sites.
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

    /// <summary>The counts of one sweep; many count at once.</summary>
    private sealed class Run(DateTimeOffset now, long startedAt)
    {
        private readonly int[] _counts = new int[3];
        private long _oldest = now.UtcTicks;

        public DateTimeOffset Now => now;

        public long StartedAt => startedAt;

        public void Count(DueInstance due, SweepOutcome outcome)
        {
            Interlocked.Increment(ref _counts[(int)outcome]);
            for (var oldest = Volatile.Read(ref _oldest); due.DueAt.UtcTicks < oldest; oldest = Volatile.Read(ref _oldest))
            {
                Interlocked.CompareExchange(ref _oldest, due.DueAt.UtcTicks, oldest);
            }
        }

        public SweepSummary Sum(bool suspect, TimeSpan duration) => new(
            _counts.Sum(),
            _counts[(int)SweepOutcome.Refreshed],
            _counts[(int)SweepOutcome.Skipped],
            _counts[(int)SweepOutcome.Failed],
            suspect,
            duration,
            TimeSpan.FromTicks(now.UtcTicks - Volatile.Read(ref _oldest)));
    }
}
