using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
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
    IAppSecretSource appSecret,
    BackgroundWork background,
    Telemetry telemetry,
    RefreshHistory history,
    TimeProvider time,
    ILogger<TokenKeeper> logger)
{
    /// <summary>How long a lease lasts: longer than the calls to Wix it is for, and 5 seconds for clocks that differ.</summary>
    public static readonly TimeSpan LeaseTime = WixClient.LongestTokenCall + TimeSpan.FromSeconds(5);

    /// <summary>The longest a flight waits for leases of others before it gives up.</summary>
    private static readonly TimeSpan LongestWait = LeaseTime * 2;

    private static readonly TimeSpan StorageRetryAfter = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(40);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan DayBetweenTries = TimeSpan.FromDays(1);

    private readonly ConcurrentDictionary<InstanceId, Flight> _flights = new();

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

    private async Task<TokenResult> AnswerAsync(InstanceId id, TokenDemand demand, CancellationToken cancellationToken)
    {
        using var activity = telemetry.Trace("GetToken", id);
        try
        {
            var (result, source) = await WaitForTokenAsync(id, demand, null, cancellationToken);
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
        for (var round = 1; ; round++)
        {
            var (flight, joined) = JoinOrStartFlight(id, demand, read);
            var result = await flight.Landing.WaitAsync(cancellationToken);
            var now = time.GetUtcNow();
            if (result is TokenResult.Token token && !demand.IsAhead)
            {
                uses.Note(id, now);
                RefreshAheadIfDue(token, now);
            }

            // A flight that others started may have had less to fulfil, or may have begun before we asked.
            if (!joined || IsAnswerTo(demand, result, round))
            {
                return (result, flight.Source);
            }

            // What was read before that flight is old now.
            read = null;
            if (demand.Rejected is null && memory.Find(id, now) is { } held && demand.IsMetBy(held, now))
            {
                return (held, flight.Source);
            }
        }
    }

    private void RefreshAheadIfDue(TokenResult.Token token, DateTimeOffset now)
    {
        if (now >= token.AheadAt && !_flights.ContainsKey(token.InstanceId))
        {
            // This caller is served; the next ones are to find a fresh one.
            background.Start("refresh ahead", () => RefreshAheadAsync(token));
        }
    }

    private async Task RefreshAheadAsync(TokenResult.Token old)
    {
        var result = await JoinOrStartFlight(old.InstanceId, TokenDemand.Ahead, null).Flight.Landing;
        var now = time.GetUtcNow();
        if (result is TokenResult.WixUnavailable or TokenResult.StorageUnavailable or TokenResult.Token
            && memory.Find(old.InstanceId, now) is { } held
            && held.Generation == old.Generation)
        {
            // Not yet, then; without a pause every caller would ask the storage again.
            var pause = (result as TokenResult.WixUnavailable)?.RetryAfter ?? LongestPoll;
            memory.Remember(held with { AheadAt = now + pause });
        }
    }

    private bool IsAnswerTo(TokenDemand demand, TokenResult result, int round) => result switch
    {
        TokenResult.Token token => demand.IsMetBy(token, time.GetUtcNow()) || (demand.IsNew && round > 1),
        TokenResult.Unknown or TokenResult.Removed => true,
        _ => round > 1,
    };

    private (Flight Flight, bool Joined) JoinOrStartFlight(InstanceId id, TokenDemand demand, StoredInstance? read)
    {
        var mine = new Flight(flight => FlyAsync(id, demand, read, flight));
        var flight = _flights.GetOrAdd(id, mine);
        return (flight, flight != mine);
    }

    // No caller's cancellation reaches this: whoever started it may leave, the others still wait.
    private async Task<TokenResult> FlyAsync(InstanceId id, TokenDemand demand, StoredInstance? read, Flight flight)
    {
        // The flight has to be known to others before it can end.
        await Task.Yield();
        try
        {
            return await RefreshIfNeededAsync(id, demand, read, flight);
        }
        catch (StorageUnavailableException)
        {
            logger.StorageUnavailable(id);
            return new TokenResult.StorageUnavailable(StorageRetryAfter);
        }
        catch (SecretUnavailableException)
        {
            logger.SecretUnavailable(id);
            return new TokenResult.StorageUnavailable(StorageRetryAfter);
        }
        catch (InvalidDataException exception)
        {
            logger.Unreadable(id, exception.Message);
            return new TokenResult.StorageUnavailable(StorageRetryAfter);
        }
        finally
        {
            _flights.TryRemove(id, out _);
        }
    }

    private async Task<TokenResult> RefreshIfNeededAsync(InstanceId id, TokenDemand demand, StoredInstance? read, Flight flight)
    {
        var attemptId = Guid.NewGuid().ToString("N");
        var patientUntil = time.GetUtcNow() + LongestWait;
        var poll = ShortestPoll;
        long? generationAtStart = null;

        while (true)
        {
            var known = read;
            read = null;
            if ((known ?? await store.FindAsync(id, CancellationToken.None)) is not { } stored)
            {
                memory.Forget(id);
                return new TokenResult.Unknown();
            }

            var instance = stored.Instance;
            var now = time.GetUtcNow();
            if (instance.Status == InstanceStatus.Removed)
            {
                memory.Forget(id, instance.Generation);
                return new TokenResult.Removed();
            }

            if (!demand.IsAhead)
            {
                uses.Note(id, now);
            }

            var token = await OpenAsync(instance);
            generationAtStart ??= instance.Generation;

            // Whoever is in no hurry finds out whether a removal that was noted is true: only a refresh can tell.
            var isDoubted = demand.IsAhead && instance.RemovalNotedAt is not null;
            if (token is not null && !isDoubted && (demand.IsMetBy(token, now) || (demand.IsNew && instance.Generation > generationAtStart)))
            {
                return token;
            }

            if (!MayTry(instance, demand, now, out var refusal))
            {
                return refusal;
            }

            if (instance.Lease is { } lease && lease.Owner != attemptId && lease.Until > now)
            {
                if (demand.IsAhead || now >= patientUntil)
                {
                    return (TokenResult?)token ?? new TokenResult.WixUnavailable(Positive(lease.Until - now));
                }

                if (poll == ShortestPoll)
                {
                    telemetry.WaitsForLease();
                }

                await Task.Delay(Shorter(poll * (0.75 + (0.5 * Random.Shared.NextDouble())), lease.Until - now), time, CancellationToken.None);
                poll = Shorter(poll * 1.5, LongestPoll);
                continue;
            }

            var leased = instance.Lease?.Owner == attemptId
                ? stored
                : await store.TryWriteAsync(stored, instance.Leased(attemptId, now + LeaseTime), CancellationToken.None);
            if (leased is not null)
            {
                if (instance.Lease is { } leftOver && leftOver.Owner != attemptId)
                {
                    logger.LeaseTakenOver(id);
                    telemetry.TookOverLease();
                }

                flight.Source = TokenSource.Refresh;
                return await RefreshAsync(leased, token, demand, attemptId);
            }
        }
    }

    private static bool MayTry(Instance instance, TokenDemand demand, DateTimeOffset now, out TokenResult refusal)
    {
        refusal = new TokenResult.ReinstallRequired();
        if (demand.IsNew)
        {
            return true;
        }

        if (instance.Status == InstanceStatus.ReinstallRequired)
        {
            return demand.IsAhead && instance.DueAt <= now;
        }

        if (instance.Failures?.RetryAt is { } retryAt && retryAt > now)
        {
            refusal = new TokenResult.WixUnavailable(retryAt - now);
            return false;
        }

        return true;
    }

    private async Task<TokenResult> RefreshAsync(StoredInstance leased, TokenResult.Token? oldToken, TokenDemand demand, string attemptId)
    {
        var instance = leased.Instance;
        var startedAt = time.GetTimestamp();
        using var activity = telemetry.Trace("Refresh", instance.Id);
        using var insideLease = new CancellationTokenSource(WixClient.LongestTokenCall, time);

        TokenAnswer answer;
        Grant grant;
        RefreshToken? refreshToken = null;
        try
        {
            refreshToken = await OpenRefreshTokenAsync(instance);
            (answer, grant) = await grants.RenewAsync(instance, refreshToken, IsStillCurrentAsync, insideLease.Token);
        }
        catch (OperationCanceledException)
        {
            (answer, grant) = (new TokenAnswer.Unavailable(TokenError.WixUnavailable, null), instance.Grant);
        }
        catch (SecretUnavailableException)
        {
            (answer, grant) = (new TokenAnswer.Unavailable(TokenError.SecretUnavailable, null), instance.Grant);
        }

        if (answer is TokenAnswer.Granted granted)
        {
            var kept = grant == Grant.RefreshToken ? granted.RefreshToken ?? refreshToken : null;
            var result = await CommitAsync(leased, grant, granted, kept, attemptId, startedAt);
            telemetry.Refreshed(activity, grant, null, time.GetElapsedTime(startedAt));
            history.Add(succeeded: true);
            return result;
        }

        var unavailable = answer as TokenAnswer.Unavailable;
        var error = unavailable?.Error ?? TokenError.Rejected;
        telemetry.Refreshed(activity, grant, error, time.GetElapsedTime(startedAt));
        history.Add(succeeded: false);
        return await RecordFailureAsync(leased, error, unavailable?.RetryAfter, oldToken, demand, attemptId);

        async Task<bool> IsStillCurrentAsync() =>
            await store.FindAsync(instance.Id, insideLease.Token) is { } stored
            && stored.Instance.Generation == instance.Generation
            && stored.Instance.Status != InstanceStatus.Removed;
    }

    private async Task<TokenResult> CommitAsync(
        StoredInstance leased, Grant grant, TokenAnswer.Granted granted, RefreshToken? refreshToken, string attemptId, long startedAt)
    {
        var id = leased.Instance.Id;
        var generation = leased.Instance.Generation;
        StoredInstance? stored;
        try
        {
            stored = await writer.CommitAsync(
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
        }
        catch (StorageUnavailableException)
        {
            // The token is good although nobody could write it down: its callers are served, and the lease ends by itself.
            logger.CommitFailed(id);
            return NewToken(id, granted, generation + 1);
        }

        switch (stored?.Instance)
        {
            case null:
                memory.Forget(id);
                return new TokenResult.Unknown();
            case { Status: InstanceStatus.Removed } tombstone:
                memory.Forget(id, tombstone.Generation);
                return new TokenResult.Removed();
            case { } mine when mine.CommitId == attemptId:
                logger.Refreshed(id, mine.Generation, grant, time.GetElapsedTime(startedAt).TotalMilliseconds);
                var token = TokenOf(mine, granted.AccessToken);
                memory.Remember(token);
                return token;
            case { } winner:
                logger.WinnerAdopted(id, winner.Generation);
                return (TokenResult?)await OpenAsync(winner) ?? new TokenResult.WixUnavailable(StorageRetryAfter);
        }
    }

    private async Task<TokenResult> RecordFailureAsync(
        StoredInstance leased, TokenError error, TimeSpan? retryAfter, TokenResult.Token? oldToken, TokenDemand demand, string attemptId)
    {
        var id = leased.Instance.Id;
        var generation = leased.Instance.Generation;
        var secretVersion = error == TokenError.Rejected ? (await appSecret.GetAsync(CancellationToken.None)).Version : "";
        var stored = await writer.CommitAsync(
            id,
            leased,
            current =>
            {
                if (current is null || current.Generation != generation || current.Lease?.Owner != attemptId)
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
            current => current.Generation != generation || current.Lease?.Owner != attemptId);

        if (stored is null || stored.Instance.Generation != generation)
        {
            // Somebody else had more luck, or the instance was removed.
            if (stored?.Instance.Status == InstanceStatus.Removed)
            {
                memory.Forget(id, stored.Instance.Generation);
            }

            return stored switch
            {
                null => new TokenResult.Unknown(),
                { Instance.Status: InstanceStatus.Removed } => new TokenResult.Removed(),
                _ => (TokenResult?)await OpenAsync(stored.Instance) ?? new TokenResult.WixUnavailable(StorageRetryAfter),
            };
        }

        logger.RefreshFailed(id, error, stored.Instance.Failures?.Count ?? 0, stored.Instance.Status);
        var at = time.GetUtcNow();
        if (oldToken is not null && demand.IsMetBy(oldToken, at))
        {
            return oldToken;
        }

        return stored.Instance.Status == InstanceStatus.ReinstallRequired
            ? new TokenResult.ReinstallRequired()
            : new TokenResult.WixUnavailable(Positive((stored.Instance.Failures?.RetryAt ?? at) - at));
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

    /// <summary>One look at an instance's row, and a refresh if it needs one, for all who wait for it in this process.</summary>
    private sealed class Flight
    {
        private readonly Lazy<Task<TokenResult>> _landing;

        public Flight(Func<Flight, Task<TokenResult>> fly) => _landing = new(() => fly(this));

        public Task<TokenResult> Landing => _landing.Value;

        public TokenSource Source { get; set; } = TokenSource.Storage;
    }
}
