using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

internal sealed record RefreshCount(DateTimeOffset From, int Succeeded, int Failed);

/// <summary>
/// How refreshes went over the last hour, for the operators' page. Timers and HTTP may run in processes of their own, so
/// each saves its counts where all can read them: with each sweep, once every <see cref="Interval"/> where there is none,
/// and when it stops. Unsaved counts are missing when a process is killed; the metrics are exact.
/// </summary>
internal sealed class RefreshHistory(IRefreshTallyStore store, TimeProvider time, ILogger<RefreshHistory> logger) : BackgroundService
{
    public const int IntervalCount = 12;

    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(5);

    private readonly Guid _process = Guid.NewGuid();
    private readonly Lock _lock = new();
    private readonly RefreshTally?[] _tallies = new RefreshTally?[IntervalCount];
    private readonly PeriodicTimer _timer = new(Interval, time);
    private DateTimeOffset _savedAt;
    private int _unsaved;
    private int _isSaving;
    private int _hasFaultNews;

    /// <summary>Whether the refresh token of any instance went out of use, or came back into use, since this was last asked.</summary>
    public bool TakeFaultChange() => Interlocked.Exchange(ref _hasFaultNews, 0) != 0;

    /// <summary>Counts a refresh. <paramref name="hasFaultChanged"/>: whether the refresh token went out of use with it, or came back into use.</summary>
    public void Add(bool succeeded, bool hasFaultChanged = false)
    {
        if (hasFaultChanged)
        {
            Volatile.Write(ref _hasFaultNews, 1);
        }

        var from = IntervalStart(time.GetUtcNow());
        lock (_lock)
        {
            ref var tally = ref _tallies[(int)(from.Ticks / Interval.Ticks % IntervalCount)];
            var counted = tally?.From == from ? tally : new RefreshTally(_process, from, 0, 0);
            tally = succeeded ? counted with { Succeeded = counted.Succeeded + 1 } : counted with { Failed = counted.Failed + 1 };
            _unsaved++;
        }
    }

    /// <summary>
    /// Saves what was counted since the last time: one write, none where there is nothing new or a save is already
    /// running. A failed write is logged and tried again the next time.
    /// </summary>
    /// <exception cref="OperationCanceledException">Only for the caller's own token.</exception>
    public async Task SaveAsync(CancellationToken cancellationToken)
    {
        // Two at once could leave the lesser count behind.
        if (Interlocked.Exchange(ref _isSaving, 1) != 0)
        {
            return;
        }

        try
        {
            var now = IntervalStart(time.GetUtcNow());
            var (tallies, unsaved) = Counted();
            var changed = tallies.Where(tally => tally.From >= _savedAt && tally.From > now - (IntervalCount * Interval)).ToList();
            if (unsaved > 0 && changed.Count > 0)
            {
                await store.SaveTalliesAsync(changed, cancellationToken);
                _savedAt = now;
                lock (_lock)
                {
                    _unsaved -= unsaved;
                }
            }
        }
        catch (StorageUnavailableException)
        {
            logger.TalliesNotWritten();
        }
        finally
        {
            Volatile.Write(ref _isSaving, 0);
        }
    }

    /// <summary>The last hour, the oldest interval first: what this process has counted, and what the others have saved.</summary>
    /// <exception cref="StorageUnavailableException">The saved counts cannot be read.</exception>
    public async Task<IReadOnlyList<RefreshCount>> ReadAsync(CancellationToken cancellationToken)
    {
        var first = IntervalStart(time.GetUtcNow()) - ((IntervalCount - 1) * Interval);
        var others = (await store.ReadTalliesAsync(first, cancellationToken)).Where(tally => tally.Process != _process);
        var tallies = others.Concat(Counted().Tallies).ToLookup(tally => tally.From);
        return
        [
            .. Enumerable.Range(0, IntervalCount).Select(i => first + (i * Interval)).Select(from => new RefreshCount(
                from,
                tallies[from].Sum(tally => tally.Succeeded),
                tallies[from].Sum(tally => tally.Failed))),
        ];
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        try
        {
            await SaveAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The host waits no longer. A few counts are missing then.
        }
    }

    public override void Dispose()
    {
        _timer.Dispose();
        base.Dispose();
    }

    // A host that stops expects the OperationCanceledException. A host that is only disposed ends the loop without an exception.
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (await _timer.WaitForNextTickAsync(stoppingToken))
        {
            await SaveAsync(stoppingToken);
        }
    }

    private (List<RefreshTally> Tallies, int Unsaved) Counted()
    {
        lock (_lock)
        {
            return ([.. _tallies.OfType<RefreshTally>()], _unsaved);
        }
    }

    private static DateTimeOffset IntervalStart(DateTimeOffset at) => new(at.UtcTicks - (at.UtcTicks % Interval.Ticks), TimeSpan.Zero);
}
