using Polly;
using Polly.Retry;
using WixOAuth.Hosting;

namespace WixOAuth.Instances;

/// <summary>
/// Changes an instance although others change it too: each change is made from what is stored, written only if that
/// is still so, and made anew from what is stored then.
/// </summary>
public sealed class InstanceWriter
{
    /// <summary>How long a change that must not be lost is tried while the storage fails.</summary>
    public static readonly TimeSpan PatientFor = TimeSpan.FromSeconds(30);

    private readonly IInstanceStore _store;
    private readonly ResiliencePipeline _patience;

    /// <summary>Makes a writer.</summary>
    public InstanceWriter(IInstanceStore store, TimeProvider time)
    {
        _store = store;
        _patience = new ResiliencePipelineBuilder { TimeProvider = time }
            .AddRetry(new RetryStrategyOptions
            {
                ShouldHandle = new PredicateBuilder().Handle<StorageUnavailableException>(),
                MaxRetryAttempts = 6,
                Delay = PatientFor / 60,
                MaxDelay = PatientFor / 4,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
            })
            .Build();
    }

    /// <summary>Changes an instance, asking the storage once for each try.</summary>
    /// <param name="id">Which.</param>
    /// <param name="known">What is believed to be stored, to save a read; null to read first.</param>
    /// <param name="change">
    /// Makes what is to be stored of what is stored, which may be nothing. It answers the very record it was given, or
    /// null where it was given none, when nothing is to be written; it may be called several times.
    /// </param>
    /// <param name="isMine">Tells a write of this change whose answer was lost.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>What is stored in the end, changed or not; null when there is no such instance.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; the write may have landed.</exception>
    public async Task<StoredInstance?> UpdateAsync(
        InstanceId id,
        StoredInstance? known,
        Func<Instance?, ValueTask<Instance?>> change,
        Func<Instance, bool> isMine,
        CancellationToken cancellationToken)
    {
        var stored = known ?? await _store.FindAsync(id, cancellationToken);
        while (true)
        {
            if (stored is not null && isMine(stored.Instance))
            {
                return stored;
            }

            var changed = await change(stored?.Instance);
            if (changed is null || ReferenceEquals(changed, stored?.Instance))
            {
                return stored;
            }

            if (await _store.TryWriteAsync(stored, changed, cancellationToken) is { } written)
            {
                return written;
            }

            stored = await _store.FindAsync(id, cancellationToken);
        }
    }

    /// <summary>
    /// As <see cref="UpdateAsync"/>, but for what must not be lost: no caller cancels it, and it is tried again for
    /// about <see cref="PatientFor"/> while the storage fails.
    /// </summary>
    /// <exception cref="StorageUnavailableException">The storage fails for longer than that.</exception>
    public async Task<StoredInstance?> CommitAsync(
        InstanceId id, StoredInstance? known, Func<Instance?, ValueTask<Instance?>> change, Func<Instance, bool> isMine)
    {
        var first = true;
        return await _patience.RunAsync(
            _ =>
            {
                // What was known may no longer be so after a write that failed without an answer.
                var believed = first ? known : null;
                first = false;
                return UpdateAsync(id, believed, change, isMine, CancellationToken.None);
            },
            CancellationToken.None);
    }
}
