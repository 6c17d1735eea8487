using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// Hands out access tokens and keeps them fresh. Read it top to bottom to follow a refresh: memory, one flight for
/// each instance in this process, the stored row, the lease that keeps other processes out, the call to Wix, and the
/// commit, which is void if the row's generation has moved.
/// </summary>
public sealed class TokenKeeper(
    IInstanceStore store,
    InstanceWriter writer,
    TokenGrants grants,
    TokenProtector protector,
    TokenMemory memory,
    TokenSchedule schedule,
    AppSecretTrust trust,
    LastUses uses,
    BackgroundWork background,
    Telemetry telemetry,
    RefreshHistory history,
    TimeProvider time,
    ILogger<TokenKeeper> logger)
{
    private const int LastRound = 3;

    private static readonly TimeSpan ClockTolerance = TimeSpan.FromSeconds(5);

    /// <summary>How long a lease lasts: longer than the calls to Wix it is for, and 5 seconds for clocks that differ.</summary>
    public static readonly TimeSpan LeaseTime = WixClient.LongestTokenCall + ClockTolerance;

    /// <summary>How long tokens that the storage does not take are kept, and tried again to save.</summary>
    public static readonly TimeSpan LongestUnsaved = TimeSpan.FromMinutes(10);

    /// <summary>The longest a flight waits for leases of others before it gives up.</summary>
    private static readonly TimeSpan LongestWait = LeaseTime * 2;

    /// <summary>A lease that leaves less for the question to Wix than this is renewed first.</summary>
    private static readonly TimeSpan ShortestTimeToAsk = WixClient.LongestTokenCall / 2;

    private static readonly TimeSpan StorageRetryAfter = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(25);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan DayBetweenTries = TimeSpan.FromDays(1);

    private readonly ConcurrentDictionary<InstanceId, Flight> _flights = new();

    // Instances whose new tokens wait to be saved, and the attempt that had them from Wix.
    private readonly ConcurrentDictionary<InstanceId, string> _unsaved = new();

    /// <summary>An access token of an instance that meets <paramref name="demand"/>, or why there is none.</summary>
    /// <exception cref="OperationCanceledException">The caller gave up; what it had set going goes on for others.</exception>
    public ValueTask<TokenResult> GetTokenAsync(InstanceId id, TokenDemand demand, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();

        // The sweep comes because of what is stored, which may be another reason than the token's age.
        if (demand is { Rejected: null, IsAhead: false } && memory.Find(id, now) is { } held && demand.IsMetBy(held, now))
        {
            RefreshAheadIfDue(held, now);
            uses.Note(id, now);
            telemetry.Answered(held, TokenSource.Memory);
            return new ValueTask<TokenResult>(held);
        }

        return new ValueTask<TokenResult>(AnswerAsync(id, demand, cancellationToken));
    }

    /// <summary>
    /// For the sweep: refreshes an instance whose row it has just read, unless it turns out to need none. Whatever this
    /// process remembers, the row decides.
    /// </summary>
    internal Task<(TokenResult Result, TokenSource Source)> RefreshDueAsync(StoredInstance read) =>
        WaitForTokenAsync(read.Instance.Id, TokenDemand.Ahead, read, CancellationToken.None);

    /// <summary>Remembers the tokens of a consent that was just saved.</summary>
    public void Remember(StoredInstance stored, AccessToken accessToken) =>
        memory.Remember(TokenOf(stored.Instance, accessToken));

    /// <summary>Lets nobody here have a token any more of an instance whose removal was just saved.</summary>
    public void Forget(StoredInstance removed)
    {
        memory.Forget(removed.Instance.Id, removed.Instance.Generation);

        // A flight under way may have read the row before: whoever asks from now on must not join it.
        _flights.TryRemove(removed.Instance.Id, out _);
    }

    private async Task<TokenResult> AnswerAsync(InstanceId id, TokenDemand demand, CancellationToken cancellationToken)
    {
        using var activity = telemetry.Trace("GetToken", id);
        try
        {
            var (result, source) = await WaitForTokenAsync(id, demand, read: null, cancellationToken);
            telemetry.Answered(result, source, activity);
            return result;
        }
        catch (OperationCanceledException)
        {
            telemetry.Left();
            throw;
        }
    }

    private async Task<(TokenResult Result, TokenSource Source)> WaitForTokenAsync(
        InstanceId id, TokenDemand demand, StoredInstance? read, CancellationToken cancellationToken)
    {
        var askedAt = time.GetUtcNow();
        for (var round = 1; ; round++)
        {
            // In the last round it flies alone, or the lesser flights of others could keep it waiting for ever.
            var (flight, joined) = round < LastRound
                ? JoinOrStartFlight(id, demand, read)
                : (StartFlight(id, new Flight(demand), read: null), false);
            var result = await flight.Landed.WaitAsync(cancellationToken);
            var now = time.GetUtcNow();
            if (result is TokenResult.Token token && !demand.IsAhead)
            {
                uses.Note(id, now);
                RefreshAheadIfDue(token, now);
            }

            if (IsAnswerTo(demand, result, now))
            {
                return (result, flight.Source);
            }

            // What was read before that flight is old now.
            read = null;
            if (demand.Rejected is null && memory.Find(id, now) is { } held && demand.IsMetBy(held, now))
            {
                return (held, flight.Source);
            }

            if (round == LastRound)
            {
                return (new TokenResult.WixUnavailable(LongestPoll), flight.Source);
            }

            // A flight that others started may have had less to fulfil, or may have begun before we asked; and even our
            // own token may have aged too much before it was saved.
            bool IsAnswerTo(TokenDemand demand, TokenResult result, DateTimeOffset now) => result switch
            {
                TokenResult.Unknown or TokenResult.Removed => true,
                TokenResult.Token token when demand.IsNew => !joined || token.IssuedAt >= askedAt,
                TokenResult.Token token => demand.IsMetBy(token, now) || (demand.IsAhead && !joined),
                _ => !joined || (round > 1 && flight.Demand.IsNew == demand.IsNew && flight.Demand.IsAhead == demand.IsAhead),
            };
        }
    }

    private void RefreshAheadIfDue(TokenResult.Token token, DateTimeOffset now)
    {
        // This caller is served; the next ones are to find a fresh one.
        if (now >= token.AheadAt && JoinOrStartFlight(token.InstanceId, TokenDemand.Ahead, read: null) is (var flight, false))
        {
            background.Start("refresh ahead", () => PauseUnlessRefreshedAsync(token, flight));
        }
    }

    private async Task PauseUnlessRefreshedAsync(TokenResult.Token old, Flight flight)
    {
        var result = await flight.Landed;
        var now = time.GetUtcNow();
        if (memory.Find(old.InstanceId, now) is { } held && held.Generation == old.Generation)
        {
            // Not yet, then; without a pause every caller would ask the storage again.
            var pause = (result as TokenResult.WixUnavailable)?.RetryAfter ?? LongestPoll;
            memory.Remember(held with { AheadAt = now + pause });
        }
    }

    private (Flight Flight, bool Joined) JoinOrStartFlight(InstanceId id, TokenDemand demand, StoredInstance? read)
    {
        if (_flights.TryGetValue(id, out var flight))
        {
            return (flight, true);
        }

        var mine = new Flight(demand);
        flight = _flights.GetOrAdd(id, mine);
        return flight == mine ? (StartFlight(id, mine, read), false) : (flight, true);
    }

    private Flight StartFlight(InstanceId id, Flight flight, StoredInstance? read)
    {
        _ = FlyAsync(id, flight, read);
        return flight;
    }

    // No caller's cancellation reaches this: whoever started it may leave, the others still wait.
    private async Task FlyAsync(InstanceId id, Flight flight, StoredInstance? read)
    {
        await Task.Yield();
        TokenResult result = new TokenResult.StorageUnavailable(StorageRetryAfter);
        Exception? unforeseen = null;
        try
        {
            result = await RefreshIfNeededAsync(id, flight, read);
        }
        catch (StorageUnavailableException)
        {
            logger.StorageUnavailable(id);
        }
        catch (SecretUnavailableException)
        {
            logger.SecretUnavailable(id);
        }
        catch (InvalidDataException exception)
        {
            logger.Unreadable(id, exception.Message);
        }
        catch (Exception exception)
        {
            logger.RefreshBroke(id, exception.GetType().Name, exception.StackTrace);
            unforeseen = exception;
        }
        finally
        {
            _flights.TryRemove(KeyValuePair.Create(id, flight));
            flight.Land(result, unforeseen);
        }
    }

    private async Task<TokenResult> RefreshIfNeededAsync(InstanceId id, Flight flight, StoredInstance? read)
    {
        var demand = flight.Demand;
        var attemptId = Guid.NewGuid().ToString("N");
        var startedAt = time.GetTimestamp();
        var poll = ShortestPoll;
        var leaseIsUnclear = false;
        long? generationAtStart = null;

        while (true)
        {
            var stored = read ?? await store.FindAsync(id, CancellationToken.None);
            read = null;
            if (stored is null || stored.Instance.Status == InstanceStatus.Removed)
            {
                return Gone(id, stored);
            }

            var instance = stored.Instance;
            var token = await OpenAsync(instance);
            var now = time.GetUtcNow();
            if (!demand.IsAhead)
            {
                uses.Note(id, now);
            }

            generationAtStart ??= instance.Generation;
            var isNewer = instance.Generation > generationAtStart;

            // Whoever is in no hurry finds out whether a removal that was noted is true: only a refresh can tell.
            var isDoubted = demand.IsAhead && instance.RemovalNotedAt is not null;
            if (token is not null && !isDoubted && (demand.IsNew && isNewer ? TokenDemand.Default : demand).IsMetBy(token, now))
            {
                return token;
            }

            if (!MayTry(instance, demand, now, out var refusal))
            {
                return refusal;
            }

            if (HeldOffFor(instance, attemptId, now) is { } heldOff)
            {
                if (demand.IsAhead && token?.ExpiresOn > now)
                {
                    return token;
                }

                if (demand.IsAhead || time.GetElapsedTime(startedAt) >= LongestWait)
                {
                    return new TokenResult.WixUnavailable(heldOff);
                }

                if (poll == ShortestPoll)
                {
                    telemetry.WaitsForLease();
                }

                await Task.Delay(Shorter(poll * (0.75 + (0.5 * Random.Shared.NextDouble())), heldOff), time, CancellationToken.None);
                poll = Shorter(poll * 1.2, LongestPoll);
                continue;
            }

            var leased = stored;
            if (instance.Lease?.Owner != attemptId || TimeToAsk(instance) < ShortestTimeToAsk)
            {
                try
                {
                    leased = await store.TryWriteAsync(stored, instance.Leased(attemptId, now + LeaseTime), CancellationToken.None);
                }
                catch (StorageUnavailableException) when (!leaseIsUnclear)
                {
                    // It may have landed: another look at the row tells. Once, since the storage may be gone.
                    leaseIsUnclear = true;
                    continue;
                }
            }

            if (leased is not null && TimeToAsk(leased.Instance) is var timeToAsk && timeToAsk >= ShortestTimeToAsk)
            {
                if (instance.Lease is { } leftOver && leftOver.Owner != attemptId)
                {
                    logger.LeaseTakenOver(id);
                    telemetry.TookOverLease();
                }

                flight.Source = TokenSource.Refresh;
                return await RefreshAsync(leased, attemptId, timeToAsk);
            }

            if (time.GetElapsedTime(startedAt) >= LongestWait)
            {
                return new TokenResult.StorageUnavailable(StorageRetryAfter);
            }
        }
    }

    /// <summary>How long somebody else has the right to refresh; null when nobody has.</summary>
    private TimeSpan? HeldOffFor(Instance instance, string attemptId, DateTimeOffset now)
    {
        if (_unsaved.ContainsKey(instance.Id))
        {
            return LongestPoll;
        }

        // One that ends later than any lease could was taken by a clock that has been set back since.
        return instance.Lease is { } lease && lease.Owner != attemptId && lease.Until > now && lease.Until <= now + (LeaseTime * 2)
            ? lease.Until - now
            : null;
    }

    /// <summary>How long Wix may be asked under a lease, of which the writing has taken its part.</summary>
    private TimeSpan TimeToAsk(Instance leased) => leased.Lease!.Until - ClockTolerance - time.GetUtcNow();

    private bool MayTry(Instance instance, TokenDemand demand, DateTimeOffset now, out TokenResult refusal)
    {
        refusal = new TokenResult.ReinstallRequired();
        if (demand.IsNew)
        {
            return grants.CanRenew(instance);
        }

        if (instance.Status == InstanceStatus.ReinstallRequired)
        {
            return demand.IsAhead && instance.DueAt <= now;
        }

        // A failure that is yet to come was written down by a clock that has been set back since.
        if (instance.Failures is { RetryAt: { } retryAt } failures && retryAt > now && failures.LastAt <= now + LeaseTime)
        {
            refusal = new TokenResult.WixUnavailable(retryAt - now);
            return false;
        }

        return true;
    }

    private async Task<TokenResult> RefreshAsync(StoredInstance leased, string attemptId, TimeSpan timeToAsk)
    {
        var instance = leased.Instance;
        var startedAt = time.GetTimestamp();
        using var activity = telemetry.Trace("Refresh", instance.Id);
        using var insideLease = new CancellationTokenSource(timeToAsk, time);

        TokenAnswer answer;
        var (grant, secretVersion) = (instance.Grant, "");
        RefreshToken? refreshToken = null;
        try
        {
            refreshToken = await OpenRefreshTokenAsync(instance);
            (answer, grant, secretVersion) = await grants.RenewAsync(instance, refreshToken, IsStillCurrentAsync, insideLease.Token);
        }
        catch (OperationCanceledException)
        {
            answer = new TokenAnswer.Unavailable(TokenError.WixUnavailable, null);
        }
        catch (SecretUnavailableException)
        {
            answer = new TokenAnswer.Unavailable(TokenError.SecretUnavailable, null);
        }

        if (answer is TokenAnswer.Granted granted)
        {
            var kept = grant == Grant.RefreshToken ? granted.RefreshToken ?? refreshToken : null;
            var result = await CommitAsync(
                NewToken(instance.Id, granted, instance.Generation + 1),
                attemptId,
                () => SaveAsync(leased, grant, granted, kept, attemptId, startedAt));
            telemetry.Refreshed(activity, grant, null, time.GetElapsedTime(startedAt));
            history.Add(succeeded: true);
            return result;
        }

        var unavailable = answer as TokenAnswer.Unavailable;
        var error = unavailable?.Error ?? TokenError.Rejected;
        telemetry.Refreshed(activity, grant, error, time.GetElapsedTime(startedAt));
        history.Add(succeeded: false);
        return await RecordFailureAsync(leased, error, unavailable?.RetryAfter, secretVersion, attemptId);

        async Task<bool> IsStillCurrentAsync() =>
            await store.FindAsync(instance.Id, insideLease.Token) is { } stored
            && stored.Instance.Generation == instance.Generation
            && stored.Instance.Status != InstanceStatus.Removed;
    }

    /// <summary>
    /// Saves new tokens, with patience. Wix may take the refresh token they were had for no more, so while they are not
    /// saved nobody here spends it again.
    /// </summary>
    private async Task<TokenResult> CommitAsync(TokenResult.Token token, string attemptId, Func<Task<TokenResult>> save)
    {
        var unsaved = KeyValuePair.Create(token.InstanceId, attemptId);
        _unsaved[unsaved.Key] = unsaved.Value;
        try
        {
            var result = await save();
            _unsaved.TryRemove(unsaved);
            return result;
        }
        catch (Exception exception)
        {
            // The token is good although it could not be written down, and its callers need not wait for that.
            logger.CommitFailed(token.InstanceId, exception.GetType().Name);
            background.Start("late commit", () => CommitLateAsync(unsaved, save));
            memory.Remember(token);
            return token;
        }
    }

    private async Task CommitLateAsync(KeyValuePair<InstanceId, string> unsaved, Func<Task<TokenResult>> save)
    {
        var startedAt = time.GetTimestamp();
        while (time.GetElapsedTime(startedAt) < LongestUnsaved)
        {
            await Task.Delay(StorageRetryAfter, time, CancellationToken.None);
            try
            {
                await save();
                _unsaved.TryRemove(unsaved);
                return;
            }
            catch (Exception exception)
            {
                logger.CommitFailed(unsaved.Key, exception.GetType().Name);
            }
        }

        _unsaved.TryRemove(unsaved);
        logger.TokensLost(unsaved.Key);
    }

    private async Task<TokenResult> SaveAsync(
        StoredInstance leased, Grant grant, TokenAnswer.Granted granted, RefreshToken? refreshToken, string attemptId, long startedAt)
    {
        var id = leased.Instance.Id;
        var generation = leased.Instance.Generation;
        var stored = await writer.CommitAsync(
            id,
            leased,
            async current =>
            {
                // The fence is the generation, not the ETag nor the lease: whoever else wrote, as long as it was no
                // new token and no removal, our tokens are the newest.
                if (current is null || current.Status == InstanceStatus.Removed || current.Generation != generation)
                {
                    return current;
                }

                var now = time.GetUtcNow();
                var tokens = await protector.ProtectAsync(id, generation + 1, granted, refreshToken);
                var refreshed = current.Refreshed(grant, tokens, attemptId, now) with { LastUsedAt = uses.Newest(id, current.LastUsedAt) };
                if (current.IsDoubtedAs(leased.Instance))
                {
                    refreshed = refreshed.RemovalRefuted();
                }

                return refreshed with { DueAt = schedule.DueAt(refreshed, now) };
            },
            current => current.CommitId == attemptId);
        if (stored is null || stored.Instance.CommitId != attemptId)
        {
            return await AdoptAsync(id, stored);
        }

        logger.Refreshed(id, stored.Instance.Generation, grant, time.GetElapsedTime(startedAt).TotalMilliseconds);
        var token = TokenOf(stored.Instance, granted.AccessToken);
        memory.Remember(token);
        return token;
    }

    private async Task<TokenResult> RecordFailureAsync(
        StoredInstance leased, TokenError error, TimeSpan? retryAfter, string secretVersion, string attemptId)
    {
        var id = leased.Instance.Id;
        var generation = leased.Instance.Generation;
        var stored = await writer.CommitAsync(
            id,
            leased,
            current =>
            {
                if (current is null || IsNoMoreMine(current))
                {
                    return new ValueTask<Instance?>(current);
                }

                var now = time.GetUtcNow();
                if (error == TokenError.Rejected && current.IsDoubtedAs(leased.Instance))
                {
                    return new ValueTask<Instance?>(current.RemovalConfirmed(now));
                }

                var cooldown = TokenSchedule.Cooldown(current.Failures?.Count ?? 0, error == TokenError.Rejected, retryAfter);
                var failed = current.Failed(error, now + cooldown, now);
                if (IsFinal(failed, secretVersion, now))
                {
                    failed = failed with { Status = InstanceStatus.ReinstallRequired };
                }

                return new ValueTask<Instance?>(failed with { DueAt = schedule.DueAt(failed, now) });
            },
            IsNoMoreMine);

        if (stored is null || stored.Instance.Generation != generation)
        {
            return await AdoptAsync(id, stored);
        }

        logger.RefreshFailed(id, error, stored.Instance.Failures?.Count ?? 0, stored.Instance.Status);
        var at = time.GetUtcNow();
        return stored.Instance.Status == InstanceStatus.ReinstallRequired
            ? new TokenResult.ReinstallRequired()
            : new TokenResult.WixUnavailable(Positive((stored.Instance.Failures?.RetryAt ?? at) - at));

        // Recorded, only that the answer was lost; or overtaken, and then it is for the new owner of the lease to count.
        bool IsNoMoreMine(Instance current) => current.Generation != generation || current.Lease?.Owner != attemptId;
    }

    /// <summary>What somebody else made of the instance while we were at it.</summary>
    private async Task<TokenResult> AdoptAsync(InstanceId id, StoredInstance? stored)
    {
        if (stored is null || stored.Instance.Status == InstanceStatus.Removed)
        {
            return Gone(id, stored);
        }

        logger.WinnerAdopted(id, stored.Instance.Generation);
        return (TokenResult?)await OpenAsync(stored.Instance) ?? new TokenResult.WixUnavailable(StorageRetryAfter);
    }

    private TokenResult Gone(InstanceId id, StoredInstance? tombstone)
    {
        memory.Forget(id, tombstone?.Instance.Generation ?? 0);
        return tombstone is null ? new TokenResult.Unknown() : new TokenResult.Removed();
    }

    // One rejection proves nothing: a wrong app secret rejects every site at once (wix-protocol §5).
    private bool IsFinal(Instance failed, string secretVersion, DateTimeOffset now) =>
        failed.Failures is { LastError: TokenError.Rejected, Rejections: >= 3, FirstRejectedAt: { } since }
        && now - since >= TimeSpan.FromMinutes(10)
        && !trust.IsSuspect
        && (trust.IsProvenSince(since, secretVersion, failed.Id) || now - since >= DayBetweenTries);

    private async Task<TokenResult.Token?> OpenAsync(Instance instance)
    {
        if (instance is not { AccessToken: { } protectedToken, AccessTokenIssuedAt: not null, AccessTokenExpiresOn: not null }
            || await protector.UnprotectAccessTokenAsync(instance.Id, instance.Generation, protectedToken, CancellationToken.None)
                is not { } accessToken)
        {
            return null;
        }

        var token = TokenOf(instance, accessToken);
        memory.Remember(token);
        return token;
    }

    private async Task<RefreshToken?> OpenRefreshTokenAsync(Instance instance)
    {
        if (instance.RefreshToken is not { } protectedToken)
        {
            return null;
        }

        var refreshToken = await protector.UnprotectRefreshTokenAsync(instance.Id, instance.Generation, protectedToken, CancellationToken.None);
        if (refreshToken is null)
        {
            logger.Undecryptable(instance.Id, protectedToken.KeyId);
        }

        return refreshToken;
    }

    private TokenResult.Token TokenOf(Instance instance, AccessToken accessToken) => new(
        instance.Id,
        accessToken,
        instance.AccessTokenIssuedAt!.Value,
        instance.AccessTokenExpiresOn!.Value,
        instance.Generation,
        time.GetUtcNow());

    private TokenResult.Token NewToken(InstanceId id, TokenAnswer.Granted granted, long generation) =>
        new(id, granted.AccessToken, granted.IssuedAt, granted.ExpiresOn, generation, time.GetUtcNow());

    private static TimeSpan Shorter(TimeSpan one, TimeSpan other) => one < other ? one : other;

    private static TimeSpan Positive(TimeSpan wait) => wait > TimeSpan.Zero ? wait : TimeSpan.FromSeconds(1);

    /// <summary>The one refresh of an instance that may be under way in this process, and those who wait for it.</summary>
    private sealed class Flight(TokenDemand demand)
    {
        private readonly TaskCompletionSource<TokenResult> _landing = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TokenDemand Demand => demand;

        public TokenSource Source { get; set; } = TokenSource.Storage;

        public Task<TokenResult> Landed => _landing.Task;

        public void Land(TokenResult result, Exception? unforeseen)
        {
            if (unforeseen is null)
            {
                _landing.SetResult(result);
            }
            else
            {
                _landing.SetException(unforeseen);
            }
        }
    }
}
