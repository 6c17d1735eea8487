using Polly;
using Polly.Retry;

namespace WixOAuth.Instances;

/// <summary>
/// Changes an instance with optimistic concurrency: applies the change to the stored record, writes the result only if that
/// record is unchanged, and otherwise reads it again and repeats.
/// </summary>
internal sealed class InstanceWriter(IInstanceStore store, TimeProvider time)
{
    /// <summary>
    /// While the storage fails, a change that must not be lost is retried for this long. The last try may take another 20
    /// seconds, which is the time limit of one storage request.
    /// </summary>
    public static readonly TimeSpan PatientFor = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_longestPause = PatientFor / 4;
    private static readonly ResiliencePropertyKey<long> s_startedAt = new("started_at");

    private readonly ResiliencePipeline _patience = new ResiliencePipelineBuilder { TimeProvider = time }
        .AddRetry(new RetryStrategyOptions
        {
            ShouldHandle = args => new ValueTask<bool>(
                args.Outcome.Exception is StorageUnavailableException
                && time.GetElapsedTime(args.Context.Properties.GetValue(s_startedAt, 0)) + s_longestPause < PatientFor),
            MaxRetryAttempts = 6,
            Delay = PatientFor / 60,
            MaxDelay = s_longestPause,
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
        })
        .Build();

    /// <summary>
    /// Changes an instance. <paramref name="known"/> is what is believed to be stored, to save a read; null to read first.
    /// <paramref name="change"/> returns the new record. Return the same reference (or null for null) to write nothing. May be
    /// called several times.
    /// </summary>
    /// <returns>What is stored in the end, changed or not; null when there is no such instance.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; the write may have succeeded.</exception>
    public async Task<StoredInstance?> UpdateAsync(
        InstanceId id, StoredInstance? known, Func<Instance?, Instance?> change, CancellationToken cancellationToken) => await WriteAsync(
            id, known ?? await store.FindAsync(id, cancellationToken), before => new ValueTask<Instance?>(change(before)), isMine: null, cancellationToken);

    /// <inheritdoc cref="CommitAsync(InstanceId, StoredInstance?, Func{Instance?, ValueTask{Instance?}}, Func{Instance, bool}?)" />
    public Task<StoredInstance?> CommitAsync(
        InstanceId id, StoredInstance? known, Func<Instance?, Instance?> change, Func<Instance, bool>? isMine = null) =>
        CommitAsync(id, known, before => new ValueTask<Instance?>(change(before)), isMine);

    /// <summary>
    /// As <see cref="UpdateAsync"/>, but for what must not be lost: no caller cancels it, and while the storage fails it is
    /// tried up to seven times, the last one no later than <see cref="PatientFor"/> after the first. Here
    /// <paramref name="known"/> is null where nothing is believed to be stored, and is not read first.
    /// <paramref name="isMine"/> recognizes an earlier write of this change whose response was lost; null where a second
    /// write does no harm.
    /// </summary>
    /// <exception cref="StorageUnavailableException">The last try failed too; a write may have succeeded.</exception>
    public async Task<StoredInstance?> CommitAsync(
        InstanceId id, StoredInstance? known, Func<Instance?, ValueTask<Instance?>> change, Func<Instance, bool>? isMine)
    {
        // Hosts have no synchronization context. A test that runs the service step by step has one, and must see every part of
        // it there, so that its fake time does not pass while some of it still runs elsewhere.
        var context = ResilienceContextPool.Shared.Get(continueOnCapturedContext: true, CancellationToken.None);
        context.Properties.Set(s_startedAt, time.GetTimestamp());
        var isRepeated = false;
        try
        {
            return await _patience.ExecuteAsync(
                async _ =>
                {
                    // What was known may no longer be so after a write that failed without a response.
                    var stored = isRepeated ? await store.FindAsync(id, CancellationToken.None) : known;
                    isRepeated = true;
                    return await WriteAsync(id, stored, change, isMine, CancellationToken.None);
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
        StoredInstance? stored,
        Func<Instance?, ValueTask<Instance?>> change,
        Func<Instance, bool>? isMine,
        CancellationToken cancellationToken)
    {
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

            if (await store.TryWriteAsync(stored, changed, cancellationToken) is { } written)
            {
                return written;
            }

            stored = await store.FindAsync(id, cancellationToken);
        }
    }
}
