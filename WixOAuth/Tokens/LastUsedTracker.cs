using System.Collections.Concurrent;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Settings;

namespace WixOAuth.Tokens;

/// <summary>
/// When each instance was last asked for, so that the sweep keeps only those in use warm. Updated in memory with every
/// GetToken, and saved at intervals, in the background and beside the instance's row, so that no ETag in flight is
/// disturbed. Unsaved uses are lost when the process ends; the next GetToken records them again.
/// </summary>
internal sealed class LastUsedTracker(
    IInstanceStore store, BackgroundWork background, ServiceSettings settings, TokenMetrics metrics, TimeProvider time, ILogger<LastUsedTracker> logger) : IDisposable
{
    /// <summary>How many instances are tracked. When there is one more, all are dropped, which costs one extra write for each.</summary>
    public const int Capacity = 200_000;

    private const int Writers = 4;
    private const int MostWaiting = 10_000;

    private static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(1);

    // Half of IdleAfter: a saved use is never so old that an instance in use looks idle.
    private readonly long _writeEvery = Math.Min(TimeSpan.TicksPerHour, settings.Tokens.IdleAfter.Ticks / 2);
    private readonly ConcurrentDictionary<InstanceId, Use> _uses = new();
    private readonly ConcurrencyLimiter _writers = new(new ConcurrencyLimiterOptions { PermitLimit = Writers, QueueLimit = MostWaiting - Writers });
    private readonly LogThrottle _failures = new(time);
    private int _held;

    internal int Count => _uses.Count;

    /// <summary>Notes that an instance is asked for now. Allocates nothing for one that was noted before.</summary>
    public void Note(InstanceId id, DateTimeOffset now)
    {
        if (_writeEvery == 0)
        {
            return;
        }

        if (!_uses.TryGetValue(id, out var use))
        {
            // Counted here: the dictionary's own count takes all of its locks. Two threads may count one instance twice.
            if (Interlocked.Increment(ref _held) > Capacity)
            {
                _uses.Clear();
                Volatile.Write(ref _held, 1);
            }

            use = _uses.GetOrAdd(id, new Use());
        }

        Volatile.Write(ref use.At, now.UtcTicks);
        var nextWrite = Volatile.Read(ref use.NextWrite);

        // A next write that is too far off was set before the clock went back.
        if ((now.UtcTicks >= nextWrite || nextWrite - now.UtcTicks > TimeSpan.TicksPerHour)
            && Interlocked.CompareExchange(ref use.NextWrite, now.UtcTicks + _writeEvery, nextWrite) == nextWrite)
        {
            StartWrite(id, use);
        }
    }

    /// <summary>The later of what was noted here and what is known otherwise.</summary>
    public DateTimeOffset? Newest(InstanceId id, DateTimeOffset? known) =>
        _uses.TryGetValue(id, out var use) && new DateTimeOffset(Volatile.Read(ref use.At), TimeSpan.Zero) is var noted && !(noted <= known)
            ? noted
            : known;

    public void Dispose() => _writers.Dispose();

    // In a method of its own: inside Note the closure would be allocated at the start of every call.
    private void StartWrite(InstanceId id, Use use) => background.Start("last use", () => WriteAsync(id, use));

    private async Task WriteAsync(InstanceId id, Use use)
    {
        using var turn = await _writers.AcquireAsync();
        if (!turn.IsAcquired)
        {
            TryAgainLater(use);
            return;
        }

        // The caller of GetToken does not wait for this.
        await Task.Yield();
        try
        {
            await store.SaveLastUseAsync(id, new DateTimeOffset(Volatile.Read(ref use.At), TimeSpan.Zero), CancellationToken.None);
            metrics.WroteLastUse(written: true);
        }
        catch (StorageUnavailableException)
        {
            TryAgainLater(use);
            metrics.WroteLastUse(written: false);
            if (_failures.TryPass(out var suppressed))
            {
                logger.LastUsesNotWritten(1 + suppressed);
            }
        }
    }

    private void TryAgainLater(Use use) => Volatile.Write(ref use.NextWrite, (time.GetUtcNow() + RetryAfter).UtcTicks);

    /// <summary>UTC ticks, written by many threads at once: the last one wins, which is near enough.</summary>
    private sealed class Use
    {
        public long At;
        public long NextWrite;
    }
}
