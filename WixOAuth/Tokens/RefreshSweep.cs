using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>What a sweep did.</summary>
/// <param name="Due">How many rows of the due index it took up.</param>
/// <param name="Refreshed">How many have a new token.</param>
/// <param name="Skipped">How many needed none after all: removed, idle, or somebody else was at it.</param>
/// <param name="Failed">How many should have had one and have not.</param>
/// <param name="Suspect">Whether the app secret is suspect.</param>
/// <param name="Duration">How long it took.</param>
/// <param name="DueLag">How long the longest due one had been due; zero when none was.</param>
public sealed record SweepSummary(int Due, int Refreshed, int Skipped, int Failed, bool Suspect, TimeSpan Duration, TimeSpan DueLag);

/// <summary>
/// Looks after every instance that is due: refreshes its tokens ahead of their end, makes up for set-up events that did
/// not get through, and keeps the sites' names up to date. May overlap another sweep or be killed at any point: an instance stays due until it was seen to.
/// </summary>
/// <remarks>
/// A refresh costs three storage transactions (read, lease, commit), and one more where the instance may be idle; the
/// first of a clone two more. An idle one is checked once a day, by a refresh. A sweep that refreshed anything costs one
/// more, which tells the operators' page.
/// </remarks>
public sealed class RefreshSweep(
    IInstanceStore store,
    InstanceWriter writer,
    TokenService tokenService,
    TokenSchedule schedule,
    LastUsedTracker uses,
    SetupCompleter setup,
    SiteDescriber describer,
    WixCircuit circuit,
    AppSecretLedger ledger,
    AppSecretProbe probe,
    FalseRejections falseRejections,
    RefreshHistory history,
    SweepStateRecorder state,
    ServiceSettings settings,
    Telemetry telemetry,
    TimeProvider time,
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

    /// <inheritdoc />
    public void Dispose() => _slots.Dispose();

    private async Task<SweepSummary> RunAsync(InstanceShard? shard, CancellationToken cancellationToken)
    {
        using var activity = telemetry.Trace("Sweep");
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
                        var care = await LookAfterAsync(due, until.Token);
                        run.Count(due, care);
                        return care != Care.Failed;
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

    [SuppressMessage("Design", "CA1031", Justification = "One instance's failure, whatever it is, must not end the sweep of the others.")]
    private async Task<Care> LookAfterAsync(DueInstance due, CancellationToken untilStop)
    {
        try
        {
            if (await store.FindAsync(due.Id, untilStop) is not { } stored || stored.Instance.DueAt != due.DueAt)
            {
                await store.RemoveDueAsync(due, untilStop);
                return Care.Skipped;
            }

            stored = await WithLastUseAsync(stored, untilStop);
            if (stored.Instance is { SetupPending: false, Status: InstanceStatus.Active } && schedule.DueAt(stored.Instance, time.GetUtcNow()) > time.GetUtcNow())
            {
                await MoveOnAsync(stored);
                return Care.Skipped;
            }

            // From here on nothing is cancelled: what is spent at Wix is to be written down.
            untilStop.ThrowIfCancellationRequested();
            var (result, source) = await tokenService.RefreshDueAsync(stored);
            if (result is not TokenResult.Token token)
            {
                return result is TokenResult.Unknown or TokenResult.Removed ? Care.Skipped : Care.Failed;
            }

            var refreshed = source == TokenSource.Refresh && token.Generation > stored.Instance.Generation;
            var settled = stored.Instance.SetupPending
                && !untilStop.IsCancellationRequested
                && await setup.SendAsync(stored, token.AccessToken) == Delivery.Accepted;
            if (!refreshed && !settled)
            {
                await MoveOnAsync(stored);
            }

            if (!untilStop.IsCancellationRequested)
            {
                await describer.DescribeIfDueAsync(stored.Instance, isInUse: !schedule.IsIdle(stored.Instance, time.GetUtcNow()), token.AccessToken);
            }

            return refreshed ? Care.Refreshed : Care.Skipped;
        }
        catch (OperationCanceledException) when (untilStop.IsCancellationRequested)
        {
            return Care.Skipped;
        }
        catch (InvalidDataException exception)
        {
            logger.Unreadable(due.Id, exception.Message);
            return Care.Failed;
        }
        catch (Exception exception)
        {
            logger.SweepFailed(due.Id, exception.GetType().Name);
            return Care.Failed;
        }
    }

    /// <summary>
    /// The row as it was read, with the last use that may be known better elsewhere: the next write of it takes that
    /// along. The last use's own row is read only where the instance looks idle.
    /// </summary>
    private async Task<StoredInstance> WithLastUseAsync(StoredInstance stored, CancellationToken cancellationToken)
    {
        var id = stored.Instance.Id;
        var instance = stored.Instance with { LastUsedAt = uses.Newest(id, stored.Instance.LastUsedAt) };
        if (schedule.IsIdle(instance, time.GetUtcNow())
            && await store.FindLastUseAsync(id, cancellationToken) is { } usedAt
            && !(usedAt <= instance.LastUsedAt))
        {
            instance = instance with { LastUsedAt = usedAt };
        }

        return stored with { Instance = instance };
    }

    /// <summary>Nothing was written, but the instance must not stay due now, or every sweep would begin with it.</summary>
    private Task<StoredInstance?> MoveOnAsync(StoredInstance stored) => writer.UpdateAsync(
        stored.Instance.Id,
        stored,
        current =>
        {
            var now = time.GetUtcNow();
            return new ValueTask<Instance?>(
                current?.DueAt <= now && schedule.DueAt(current, now) is var next && !(next <= now) ? current with { DueAt = next } : current);
        },
        isMine: _ => false,
        CancellationToken.None);

    // Now: whether this process lives to the next minute is the host's to decide. But never long, since the next tick is near.
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
            // The next sweep's turn.
        }
    }

    // Without all that is due, the counts of a failed sweep say nothing about the sites.
    private void Report(Activity? activity, SweepSummary summary, Exception? failure, InstanceShard? shard)
    {
        telemetry.Swept(activity, summary, failure, shard);
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

    private enum Care
    {
        Refreshed,
        Skipped,
        Failed,
    }

    /// <summary>The counts of one sweep; many count at once.</summary>
    private sealed class Run(DateTimeOffset now, long startedAt)
    {
        private readonly int[] _counts = new int[3];
        private long _oldest = now.UtcTicks;

        public DateTimeOffset Now => now;

        public long StartedAt => startedAt;

        public void Count(DueInstance due, Care care)
        {
            Interlocked.Increment(ref _counts[(int)care]);
            for (var oldest = Volatile.Read(ref _oldest); due.DueAt.UtcTicks < oldest; oldest = Volatile.Read(ref _oldest))
            {
                Interlocked.CompareExchange(ref _oldest, due.DueAt.UtcTicks, oldest);
            }
        }

        public SweepSummary Sum(bool suspect, TimeSpan duration) => new(
            _counts.Sum(),
            _counts[(int)Care.Refreshed],
            _counts[(int)Care.Skipped],
            _counts[(int)Care.Failed],
            suspect,
            duration,
            TimeSpan.FromTicks(now.UtcTicks - Volatile.Read(ref _oldest)));
    }
}
