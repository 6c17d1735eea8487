using Polly;
using Polly.Retry;

namespace WixOAuth.Instances;

/// <summary>
/// Changes an instance although others change it too: each change is made from what is stored, written only if that
/// is still so, and otherwise made again from what is stored then.
/// </summary>
internal sealed class InstanceWriter
{
    /// <summary>How long a change that must not be lost is tried while the storage fails.</summary>
    public static readonly TimeSpan PatientFor = TimeSpan.FromSeconds(30);

    private readonly IInstanceStore _store;
    private readonly ResiliencePipeline _patience;

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
    /// Makes what is to be stored of what is stored, which may be nothing. It returns the very record it was given, or
    /// null where it was given none, when nothing is to be written; it may be called several times.
    /// </param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>What is stored in the end, changed or not; null when there is no such instance.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; the write may have succeeded.</exception>
    public Task<StoredInstance?> UpdateAsync(
        InstanceId id, StoredInstance? known, Func<Instance?, Instance?> change, CancellationToken cancellationToken) =>
        WriteAsync(id, known, before => new ValueTask<Instance?>(change(before)), isMine: null, cancellationToken);

    /// <inheritdoc cref="CommitAsync(InstanceId, StoredInstance?, Func{Instance?, ValueTask{Instance?}}, Func{Instance, bool}?)" />
    public Task<StoredInstance?> CommitAsync(
        InstanceId id, StoredInstance? known, Func<Instance?, Instance?> change, Func<Instance, bool>? isMine = null) =>
        CommitAsync(id, known, before => new ValueTask<Instance?>(change(before)), isMine);

    /// <summary>
    /// As <see cref="UpdateAsync"/>, but for what must not be lost: no caller cancels it, and it is tried again for
    /// about <see cref="PatientFor"/> while the storage fails.
    /// </summary>
    /// <param name="id">Which.</param>
    /// <param name="known">As for <see cref="UpdateAsync"/>.</param>
    /// <param name="change">As for <see cref="UpdateAsync"/>.</param>
    /// <param name="isMine">Recognizes an earlier write of this change whose response was lost; null where a second write does no harm.</param>
    /// <exception cref="StorageUnavailableException">The storage fails for longer than that.</exception>
    public async Task<StoredInstance?> CommitAsync(
        InstanceId id, StoredInstance? known, Func<Instance?, ValueTask<Instance?>> change, Func<Instance, bool>? isMine)
    {
        // Hosts have no synchronization context. A test that runs the service step by step has one, and must see every part of
        // it there, so that its fake time does not pass while some of it still runs elsewhere.
        var context = ResilienceContextPool.Shared.Get(continueOnCapturedContext: true, CancellationToken.None);
        try
        {
            return await _patience.ExecuteAsync(
                async _ =>
                {
                    // What was known may no longer be so after a write that failed without a response.
                    var believed = known;
                    known = null;
                    return await WriteAsync(id, believed, change, isMine, CancellationToken.None);
                },
                context);
        }
        finally
        {
            ResilienceContextPool.Shared.Return(context);
        }
    }

    private async Task<StoredInstance?> WriteAsync(
        InstanceId id,
        StoredInstance? known,
        Func<Instance?, ValueTask<Instance?>> change,
        Func<Instance, bool>? isMine,
        CancellationToken cancellationToken)
    {
        var stored = known ?? await _store.FindAsync(id, cancellationToken);
        while (true)
        {
            if (stored is not null && isMine?.Invoke(stored.Instance) == true)
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
}
