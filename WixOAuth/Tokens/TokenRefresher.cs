using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>
/// Refreshes an instance if it needs it: reads the row, decides, takes the lease, asks Wix and commits. Read
/// <see cref="RefreshDecisions"/> for the decisions and <see cref="RefreshAttempts"/> for what happens under the lease.
/// </summary>
public sealed class TokenRefresher(
    IInstanceStore store,
    RefreshLeases leases,
    RefreshAttempts attempts,
    AppSecretProbe probe,
    FailureRecorder recorder,
    InstanceTokens tokens,
    LastUsedTracker uses,

    // Eight: one for each step of the protocol.
    TimeProvider time)
{
    /// <summary>How long a lease lasts.</summary>
    public static readonly TimeSpan LeaseTime = RefreshLeases.Duration;

    /// <summary>The longest that leases of others are waited for.</summary>
    private static readonly TimeSpan LongestWait = LeaseTime * 2;

    private static readonly TimeSpan StorageRetryAfter = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(25);

    /// <summary>A token that meets the requirements, or why there is none.</summary>
    /// <param name="id">Of which instance.</param>
    /// <param name="requirements">What the token has to be like.</param>
    /// <param name="read">The row, where it was just read.</param>
    /// <exception cref="StorageUnavailableException">The storage fails.</exception>
    internal async Task<(TokenResult Result, TokenSource Source)> RefreshIfNeededAsync(InstanceId id, TokenRequirements requirements, StoredInstance? read)
    {
        var attemptId = Guid.NewGuid().ToString("N");
        var startedAt = time.GetTimestamp();
        var poll = ShortestPoll;
        var (leaseIsUnclear, mayAsk) = (false, false);
        long? generationAtStart = null;

        while (true)
        {
            var stored = read ?? await store.FindAsync(id, CancellationToken.None);
            read = null;
            if (stored is null || stored.Instance.Status == InstanceStatus.Removed)
            {
                return (tokens.Gone(id, stored), TokenSource.Storage);
            }

            var instance = stored.Instance;
            generationAtStart ??= instance.Generation;
            if (!requirements.IsAhead)
            {
                uses.Note(id, time.GetUtcNow());
            }

            var situation = new RefreshSituation
            {
                Instance = instance,
                Token = await tokens.OpenAccessTokenAsync(instance),
                Requirements = requirements,
                Now = time.GetUtcNow(),
                AttemptId = attemptId,
                IsNewer = instance.Generation > generationAtStart,
                IsOutOfPatience = time.GetElapsedTime(startedAt) >= LongestWait,
                IsUnsaved = attempts.IsUnsaved(id),
                IsRefreshTokenDue = attempts.IsRefreshTokenDue(instance),
                HasAllowedGrant = attempts.HasAllowedGrant(instance),
            };
            switch (RefreshDecisions.Decide(situation))
            {
                case RefreshDecision.Answer answer:
                    return (answer.Result, TokenSource.Storage);

                case RefreshDecision.Wait wait:
                    if (poll == ShortestPoll)
                    {
                        leases.Waits();
                    }

                    await Task.Delay(Shorter(poll * (0.75 + (0.5 * Random.Shared.NextDouble())), wait.AtMost), time, CancellationToken.None);
                    poll = Shorter(poll * 1.2, RefreshDecisions.LongestPoll);
                    continue;
            }

            if (!mayAsk && !leases.MayAsk(out var pause))
            {
                return (new TokenResult.WixUnavailable(pause), TokenSource.Storage);
            }

            mayAsk = true;
            if (!await attempts.CanSealAsync())
            {
                var unsaved = requirements.IsAhead ? null : await attempts.RequestUnsavedAsync(instance);
                return (unsaved ?? new TokenResult.StorageUnavailable(StorageRetryAfter), TokenSource.Refresh);
            }

            StoredInstance? leased;
            try
            {
                leased = await leases.TryTakeAsync(stored, attemptId);
            }
            catch (StorageUnavailableException) when (!leaseIsUnclear)
            {
                // It may have been taken: another look at the row tells. Once, since the storage may be gone.
                leaseIsUnclear = true;
                continue;
            }

            if (leased is not null)
            {
                return (await AttemptAsync(leased, attemptId, requirements.IsNew), TokenSource.Refresh);
            }

            if (time.GetElapsedTime(startedAt) >= LongestWait)
            {
                return (new TokenResult.StorageUnavailable(StorageRetryAfter), TokenSource.Storage);
            }
        }
    }

    private async Task<TokenResult> AttemptAsync(StoredInstance leased, string attemptId, bool isForced)
    {
        var attempt = await attempts.RunAsync(leased, attemptId, isForced);
        if (attempt.Result is { } result)
        {
            return result;
        }

        // Nothing is to be proven of a site that is marked already.
        var proof = attempt.EveryGrantRejected && leased.Instance.Status == InstanceStatus.Active
            ? await probe.ProveAsync(leased.Instance, attempt.SecretVersion)
            : SecretProof.Unknown;
        var stored = await recorder.RecordAsync(leased, attempt, proof);
        if (stored is null || stored.Instance.Generation != leased.Instance.Generation)
        {
            return await tokens.AdoptAsync(leased.Instance.Id, stored);
        }

        var now = time.GetUtcNow();
        return stored.Instance.Status == InstanceStatus.ReinstallRequired
            ? new TokenResult.ReinstallRequired()
            : new TokenResult.WixUnavailable(Positive((stored.Instance.Failures?.RetryAt ?? now) - now));
    }

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private static TimeSpan Positive(TimeSpan wait) => wait > TimeSpan.Zero ? wait : TimeSpan.FromSeconds(1);
}
