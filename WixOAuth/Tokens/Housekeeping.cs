using WixOAuth.Install;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>Removes what is of no use any more, in bounded batches.</summary>
public sealed class Housekeeping(IInstanceStore store, TimeProvider time)
{
    private const int Batch = 1_000;
    private const int MaxBatches = 1_000;

    /// <summary>Removes redeemed states that have expired.</summary>
    /// <returns>How many were removed.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; what is left is removed the next time.</exception>
    public async Task<int> RunAsync(CancellationToken cancellationToken)
    {
        // Twice their life, for clocks that differ: a state must never be redeemed again because its row is gone.
        var before = time.GetUtcNow() - (InstallTickets.StateLifetime * 2);
        var removed = 0;
        for (var batch = 0; batch < MaxBatches; batch++)
        {
            var count = await store.RemoveRedemptionsAsync(before, Batch, cancellationToken);
            removed += count;
            if (count < Batch)
            {
                break;
            }
        }

        return removed;
    }
}
