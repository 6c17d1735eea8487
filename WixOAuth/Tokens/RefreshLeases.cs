using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>Takes the right to refresh an instance (<see cref="Lease"/>), which keeps other processes out for a while.</summary>
internal sealed class RefreshLeases(IInstanceStore store, WixCircuit circuit, TokenMetrics metrics, TimeProvider time, ILogger<RefreshLeases> logger)
{
    private static readonly TimeSpan ClockTolerance = TimeSpan.FromSeconds(5);

    /// <summary>How long a lease lasts: longer than the calls to Wix that it is for, and 5 seconds for clocks that differ.</summary>
    public static readonly TimeSpan Duration = WixClient.LongestTokenCall + ClockTolerance;

    /// <summary>A lease that leaves less time than this for the calls to Wix is renewed first.</summary>
    private static readonly TimeSpan ShortestTimeToAsk = WixClient.LongestTokenCall / 2;

    /// <summary>Asks before a lease is taken whether Wix may be asked at all: an open circuit would only waste both.</summary>
    internal bool MayAsk(out TimeSpan retryAfter) => circuit.TryEnter(out retryAfter);

    /// <summary>Takes or renews the lease; null when another writer was first, or too little of it is left to ask Wix.</summary>
    /// <exception cref="StorageUnavailableException">The storage fails; the lease may have been taken.</exception>
    internal async Task<StoredInstance?> TryTakeAsync(StoredInstance stored, string attemptId)
    {
        var instance = stored.Instance;
        var leased = stored;
        if (instance.Lease?.Owner != attemptId || TimeToAsk(instance) < ShortestTimeToAsk)
        {
            leased = await store.TryWriteAsync(stored, instance.Leased(attemptId, time.GetUtcNow() + Duration), CancellationToken.None);
        }

        if (leased is null || TimeToAsk(leased.Instance) < ShortestTimeToAsk)
        {
            return null;
        }

        if (instance.Lease is { } left && left.Owner != attemptId)
        {
            logger.LeaseTakenOver(instance.Id);
            metrics.TookOverLease();
        }

        return leased;
    }

    /// <summary>How long Wix may be asked under a lease, some of which has passed while it was written.</summary>
    internal TimeSpan TimeToAsk(Instance leased) => leased.Lease!.Until - ClockTolerance - time.GetUtcNow();

    /// <summary>Whether the tokens that a lease was taken for are still the current ones.</summary>
    internal async Task<bool> IsStillCurrentAsync(Instance leased, CancellationToken cancellationToken) =>
        await store.FindAsync(leased.Id, cancellationToken) is { } stored
        && stored.Instance.Generation == leased.Generation
        && stored.Instance.Status != InstanceStatus.Removed;

    internal void Waits() => metrics.WaitsForLease();
}
