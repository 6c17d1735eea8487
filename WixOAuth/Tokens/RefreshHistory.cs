using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

internal sealed record RefreshCount(DateTimeOffset From, int Succeeded, int Failed);

/// <summary>
/// How refreshes went over the last hour, for the operators' page. Timers and HTTP may run in processes of their own, so
/// each saves its counts where all can read them: one that sweeps with each sweep, another once every
/// <see cref="Stretch"/>. Unsaved counts are missing when a process ends; the metrics are exact.
/// </summary>
internal sealed class RefreshHistory(IRefreshTallyStore store, TimeProvider time, ILogger<RefreshHistory> logger)
{
    public const int Stretches = 12;

    public static readonly TimeSpan Stretch = TimeSpan.FromMinutes(5);

    private readonly Guid _process = Guid.NewGuid();
    private readonly Lock _lock = new();
    private readonly Count[] _counts = new Count[Stretches];
    private int _isSaving;
    private long _sweptAt;
    private int _hasFaultNews;

    /// <summary>Whether sweeps of this process have begun lately: then the sweeps save the counts.</summary>
    public bool IsLeftToSweeps => Volatile.Read(ref _sweptAt) is not 0 and var sweptAt && time.GetElapsedTime(sweptAt) < Stretch;

    public void SweepBegins() => Volatile.Write(ref _sweptAt, time.GetTimestamp());

    /// <summary>Whether the refresh token of any instance went out of use, or came back into use, since this was last asked.</summary>
    public bool TakeFaultNews() => Interlocked.Exchange(ref _hasFaultNews, 0) != 0;

    /// <summary>Counts a refresh. <paramref name="isFaultNews"/>: whether the refresh token went out of use with it, or came back into use.</summary>
    public void Add(bool succeeded, bool isFaultNews = false)
    {
        if (isFaultNews)
        {
            Volatile.Write(ref _hasFaultNews, 1);
        }

        var number = Number(time.GetUtcNow());
        lock (_lock)
        {
            ref var count = ref _counts[(int)(number % Stretches)];
            if (count.Number != number)
            {
                count = default;
            }

            count = new Count(number, count.Succeeded + (succeeded ? 1 : 0), count.Failed + (succeeded ? 0 : 1), IsSaved: false);
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
            var oldest = Number(time.GetUtcNow()) - Stretches;
            var unsaved = Counted().Where(count => !count.IsSaved && count.Number > oldest).ToList();
            if (unsaved.Count > 0)
            {
                await store.SaveTalliesAsync([.. unsaved.Select(TallyOf)], cancellationToken);
                unsaved.ForEach(MarkSaved);
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
        var first = Number(time.GetUtcNow()) - Stretches + 1;
        var others = (await store.ReadTalliesAsync(From(first), cancellationToken)).Where(tally => tally.Process != _process);
        var tallies = others.Concat(Counted().Select(TallyOf)).ToLookup(tally => Number(tally.From));
        return
        [
            .. Enumerable.Range(0, Stretches).Select(i => new RefreshCount(
                From(first + i),
                tallies[first + i].Sum(tally => tally.Succeeded),
                tallies[first + i].Sum(tally => tally.Failed))),
        ];
    }

    private List<Count> Counted()
    {
        lock (_lock)
        {
            return [.. _counts];
        }
    }

    private RefreshTally TallyOf(Count count) => new(_process, From(count.Number), count.Succeeded, count.Failed);

    private void MarkSaved(Count saved)
    {
        lock (_lock)
        {
            // More may have been counted meanwhile.
            ref var count = ref _counts[(int)(saved.Number % Stretches)];
            if (count == saved)
            {
                count = saved with { IsSaved = true };
            }
        }
    }

    private static long Number(DateTimeOffset at) => at.UtcTicks / Stretch.Ticks;

    private static DateTimeOffset From(long number) => new(number * Stretch.Ticks, TimeSpan.Zero);

    private readonly record struct Count(long Number, int Succeeded, int Failed, bool IsSaved);
}
