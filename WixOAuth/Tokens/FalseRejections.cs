using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>
/// Undoes the effects of false rejections. When a rejected site obtains a token without a new consent, the rejection was
/// false. Every site that was rejected or marked within <see cref="RejectionPolicy.DoubtedBack"/> then becomes due,
/// <see cref="SitesPerSecond"/> per second.
/// </summary>
internal sealed class FalseRejections(
    IInstanceStore store, InstanceWriter writer, BackgroundWork background, TokenMetrics metrics, TimeProvider time, ILogger<FalseRejections> logger) : IDisposable
{
    public const int SitesPerSecond = 20;

    /// <summary>The least time between two scans of all sites. A false rejection in between is handled by the next scan.</summary>
    public static readonly TimeSpan BetweenRuns = TimeSpan.FromMinutes(5);

    private const int Writers = 8;

    private readonly Lock _lock = new();
    private readonly Dictionary<InstanceId, DateTimeOffset> _seen = [];

    // Not a delay within the background work: a program that stops would wait for that.
    private ITimer? _next;
    private bool _isPending;

    /// <summary>Whether a scan runs, or ended less than <see cref="BetweenRuns"/> ago.</summary>
    private bool _isBusy;

    /// <summary>How many sites this process saw rejected falsely within <see cref="RejectionPolicy.DoubtedFor"/>.</summary>
    public int Recent
    {
        get
        {
            lock (_lock)
            {
                var now = time.GetUtcNow();
                return _seen.Values.Count(at => IsRecent(at, now));
            }
        }
    }

    public void Dispose() => _next?.Dispose();

    /// <summary>
    /// Looks at a success with <paramref name="grant"/>, of an instance as the attempt found it: whether it shows that a
    /// rejection was false. A mark alone is none: a clone waits for its consent.
    /// </summary>
    internal void Check(Instance before, Grant grant)
    {
        var isFalse = before.Failures is { Rejections: > 0 }
            || (grant == Grant.RefreshToken && before.RefreshTokenFault is { Kind: RefreshTokenFaultKind.Rejected });
        if (!isFalse)
        {
            return;
        }

        metrics.RejectionWasFalse();
        var now = time.GetUtcNow();
        lock (_lock)
        {
            foreach (var (id, _) in _seen.Where(seen => !IsRecent(seen.Value, now)))
            {
                _seen.Remove(id);
            }

            _seen[before.Id] = now;
            _isPending = true;
            if (_isBusy)
            {
                return;
            }

            _isBusy = true;
        }

        Start();
    }

    // Ignore a time in the future: the clock was set back.
    private static bool IsRecent(DateTimeOffset at, DateTimeOffset now) => at <= now && now - at <= RejectionPolicy.DoubtedFor;

    private void Start() => background.Start("heal false rejections", HealAsync);

    private async Task HealAsync()
    {
        lock (_lock)
        {
            _isBusy = _isPending;
            _isPending = false;
            if (!_isBusy)
            {
                return;
            }
        }

        // The caller with the new token does not wait for this.
        await Task.Yield();
        try
        {
            await ScanAsync();
        }
        catch (StorageUnavailableException)
        {
            lock (_lock)
            {
                _isPending = true;
            }
        }
        finally
        {
            _next ??= time.CreateTimer(_ => Start(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _next.Change(BetweenRuns, Timeout.InfiniteTimeSpan);
        }
    }

    private async Task ScanAsync()
    {
        var (count, now) = (0, time.GetUtcNow());
        await Parallel.ForEachAsync(
            store.ReadSummariesAsync(CancellationToken.None).Where(site => RejectionPolicy.IsDoubted(site, now)),
            new ParallelOptions { MaxDegreeOfParallelism = Writers },
            async (site, _) =>
            {
                var number = Interlocked.Increment(ref count) - 1;
                await MakeDueAsync(site.Id, now + (TimeSpan.FromSeconds(1) * number / SitesPerSecond));
            });
        if (count > 0)
        {
            logger.FalseRejection(count);
        }
    }

    private async Task MakeDueAsync(InstanceId id, DateTimeOffset at)
    {
        try
        {
            await writer.UpdateAsync(
                id,
                known: null,
                current =>
                {
                    if (current is null or { Status: InstanceStatus.Removed } or { Failures: null or { Rejections: 0 }, RefreshTokenFault: null })
                    {
                        return current;
                    }

                    var due = current.MadeDue(at);
                    return due == current ? current : due;
                },
                CancellationToken.None);
        }
        catch (InvalidDataException exception)
        {
            logger.Unreadable(id, exception.Message);
        }
    }
}
