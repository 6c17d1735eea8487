using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>
/// Refreshes an instance if it needs it: reads the row, decides, takes the lease, asks Wix and commits. Read
/// <see cref="RefreshDecisions"/> for the decisions and <see cref="RefreshAttempts"/> for what happens under the lease.
/// </summary>
internal sealed class TokenRefresher(
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
    public static readonly TimeSpan LeaseTime = RefreshLeases.Duration;

    /// <summary>The longest that leases of others are waited for.</summary>
    private static readonly TimeSpan LongestWait = LeaseTime * 2;

    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(25);

    /// <summary>A token that meets the requirements, or why there is none. <paramref name="read"/> is the row, where it was just read.</summary>
    internal async Task<(TokenResult Result, TokenSource Source)> RefreshIfNeededAsync(InstanceId id, TokenRequirements requirements, StoredInstance? read)
    {
        var progress = new Progress(requirements, time.GetTimestamp());
        while (true)
        {
            // 1. Read the row.
            var stored = read ?? await store.FindAsync(id, CancellationToken.None);
            read = null;
            if (stored is null || stored.Instance.Status == InstanceStatus.Removed)
            {
                return (tokens.Gone(id, stored), TokenSource.Storage);
            }

            if (!requirements.IsAhead)
            {
                uses.Note(id, time.GetUtcNow());
            }

            // 2. Decide: the stored token, a refusal, a wait for another attempt, or a refresh.
            switch (RefreshDecisions.Decide(await SituationOfAsync(stored.Instance, progress)))
            {
                case RefreshDecision.Answer answer:
                    return (answer.Result, TokenSource.Storage);
                case RefreshDecision.Wait wait:
                    await WaitAsync(progress, wait.AtMost);
                    continue;
            }

            // 3. Take the lease, unless Wix must not be asked now or its tokens could not be saved.
            if (await FindObstacleAsync(stored.Instance, progress) is { } obstacle)
            {
                return obstacle;
            }

            var (leased, isUnclear) = await TryTakeLeaseAsync(stored, progress);
            if (leased is not null)
            {
                // 4. Ask Wix, and commit.
                return (await AttemptAsync(leased, progress.AttemptId, requirements.IsNew), TokenSource.Refresh);
            }

            if (!isUnclear && IsOutOfPatience(progress))
            {
                return (new TokenResult.StorageUnavailable(), TokenSource.Storage);
            }
        }
    }

    private async Task<RefreshSituation> SituationOfAsync(Instance instance, Progress progress)
    {
        progress.GenerationAtStart ??= instance.Generation;
        return new RefreshSituation(
            instance,
            await tokens.OpenAccessTokenAsync(instance),
            progress.Requirements,
            time.GetUtcNow(),
            progress.AttemptId,
            instance.Generation > progress.GenerationAtStart,
            IsOutOfPatience(progress),
            attempts.IsUnsaved(instance.Id),
            attempts.IsRefreshTokenDue(instance),
            attempts.HasAllowedGrant(instance));
    }

    private bool IsOutOfPatience(Progress progress) => time.GetElapsedTime(progress.StartedAt) >= LongestWait;

    private async Task WaitAsync(Progress progress, TimeSpan atMost)
    {
        if (progress.Poll == ShortestPoll)
        {
            leases.Waits();
        }

        await Task.Delay(Shorter(progress.Poll * (0.75 + (0.5 * Random.Shared.NextDouble())), atMost), time, CancellationToken.None);
        progress.Poll = Shorter(progress.Poll * 1.2, RefreshDecisions.LongestPoll);
    }

    /// <summary>Why no lease is to be taken: the circuit to Wix is open, or nothing can be sealed. Null when one may be taken.</summary>
    private async Task<(TokenResult Result, TokenSource Source)?> FindObstacleAsync(Instance instance, Progress progress)
    {
        // Once for each call: the circuit may have let this one through as its probe.
        if (!progress.MayAsk && !leases.MayAsk(out var pause))
        {
            return (new TokenResult.WixUnavailable(pause), TokenSource.Storage);
        }

        progress.MayAsk = true;
        if (await attempts.CanSealAsync())
        {
            return null;
        }

        var unsaved = progress.Requirements.IsAhead ? null : await attempts.RequestUnsavedAsync(instance);
        return (unsaved ?? new TokenResult.StorageUnavailable(), TokenSource.Refresh);
    }

    private async Task<(StoredInstance? Leased, bool IsUnclear)> TryTakeLeaseAsync(StoredInstance stored, Progress progress)
    {
        try
        {
            return (await leases.TryTakeAsync(stored, progress.AttemptId), false);
        }
        catch (StorageUnavailableException) when (!progress.LeaseWasUnclear)
        {
            // It may have been taken: another look at the row tells. Once, since the storage may be gone.
            progress.LeaseWasUnclear = true;
            return (null, true);
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

    /// <summary>What one call has done so far.</summary>
    private sealed record Progress(TokenRequirements Requirements, long StartedAt)
    {
        public string AttemptId { get; } = Guid.NewGuid().ToString("N");

        public long? GenerationAtStart { get; set; }

        public TimeSpan Poll { get; set; } = ShortestPoll;

        public bool MayAsk { get; set; }

        public bool LeaseWasUnclear { get; set; }
    }
}
