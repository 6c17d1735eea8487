using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>
/// Heals what false rejections have led to. When a site that was rejected has a token again without a new consent, then
/// Wix's rejections did not mean what they said: every site that was rejected or marked within
/// <see cref="RejectionPolicy.DoubtedBack"/> becomes due, <see cref="SitesPerSecond"/> at a time.
/// </summary>
internal sealed class FalseRejections(
    IInstanceStore store, InstanceWriter writer, BackgroundWork background, TokenMetrics metrics, TimeProvider time, ILogger<FalseRejections> logger)
{
    /// <summary>How many sites become due in a second.</summary>
    public const int SitesPerSecond = 20;

    /// <summary>How often all sites are looked through at most; what comes in between waits for the next time.</summary>
    public static readonly TimeSpan BetweenRuns = TimeSpan.FromMinutes(5);

    private const int Writers = 8;

    private readonly Lock _lock = new();
    private readonly Dictionary<InstanceId, DateTimeOffset> _seen = [];
    private bool _isPending;
    private bool _isRunning;
    private long? _ranAt;

    /// <summary>Looks at a success: whether it shows that a rejection was false.</summary>
    /// <param name="before">The instance as the attempt found it.</param>
    /// <param name="grant">The grant that succeeded.</param>
    internal void Check(Instance before, Grant grant)
    {
        var isFalse = before.Status == InstanceStatus.ReinstallRequired
            || before.Failures is { Rejections: > 0 }
            || (grant == Grant.RefreshToken && before.RefreshTokenFault is { Kind: RefreshTokenFaultKind.Rejected });
        if (!isFalse)
        {
            return;
        }

        metrics.RejectionWasFalse();
        lock (_lock)
        {
            _isPending = true;
            _seen[before.Id] = time.GetUtcNow();
        }

        background.Start("heal false rejections", () => HealAsync(CancellationToken.None));
    }

    /// <summary>How many sites this process saw rejected falsely within <see cref="RejectionPolicy.DoubtedFor"/>.</summary>
    public int Recent
    {
        get
        {
            lock (_lock)
            {
                var since = time.GetUtcNow() - RejectionPolicy.DoubtedFor;
                foreach (var id in _seen.Where(each => each.Value < since).Select(each => each.Key).ToList())
                {
                    _seen.Remove(id);
                }

                return _seen.Count;
            }
        }
    }

    /// <summary>Makes due what is to be tried again, if there is anything and it is time.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; what is left is done the next time.</exception>
    public async Task HealAsync(CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (!_isPending || _isRunning || (_ranAt is { } ranAt && time.GetElapsedTime(ranAt) < BetweenRuns))
            {
                return;
            }

            (_isPending, _isRunning, _ranAt) = (false, true, time.GetTimestamp());
        }

        // The caller with the new token does not wait for this.
        await Task.Yield();
        var count = 0;
        try
        {
            var now = time.GetUtcNow();
            await Parallel.ForEachAsync(
                store.ReadSummariesAsync(cancellationToken).Where(site => RejectionPolicy.IsDoubted(site, now)),
                new ParallelOptions { MaxDegreeOfParallelism = Writers, CancellationToken = cancellationToken },
                async (site, token) =>
                {
                    var number = Interlocked.Increment(ref count) - 1;
                    await MakeDueAsync(site.Id, now + (TimeSpan.FromSeconds(1) * number / SitesPerSecond), token);
                });
            if (count > 0)
            {
                logger.FalseRejection(count);
            }
        }
        catch (Exception exception) when (exception is StorageUnavailableException or OperationCanceledException)
        {
            Again();
            cancellationToken.ThrowIfCancellationRequested();
        }
        finally
        {
            lock (_lock)
            {
                _isRunning = false;
            }
        }

        void Again()
        {
            lock (_lock)
            {
                (_isPending, _ranAt) = (true, null);
            }
        }
    }

    private async Task MakeDueAsync(InstanceId id, DateTimeOffset at, CancellationToken cancellationToken)
    {
        try
        {
            await writer.UpdateAsync(
                id,
                known: null,
                current => current is null or { Status: InstanceStatus.Removed } or { Status: InstanceStatus.Active, Failures: null, RefreshTokenFault: null }
                    ? current
                    : current.MadeDue(at),
                cancellationToken);
        }
        catch (InvalidDataException exception)
        {
            logger.Unreadable(id, exception.Message);
        }
    }
}
