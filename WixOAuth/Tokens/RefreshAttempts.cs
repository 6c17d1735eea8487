using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>How an attempt to obtain a new access token ended: with a result, which may be that of another attempt that was first, or an error.</summary>
internal sealed record Attempt(string Id, TokenResult? Result, TokenError? Error)
{
    public TimeSpan? RetryAfter { get; init; }

    public RefreshTokenFault? Fault { get; init; }

    /// <summary>The version of the app secret that Wix was asked with.</summary>
    public string SecretVersion { get; init; } = "";

    /// <summary>Whether Wix rejected every allowed grant.</summary>
    public bool EveryGrantRejected { get; init; }

    /// <summary>Whether the settings allow no grant at all for this instance.</summary>
    public bool HasNoGrant { get; init; }
}

/// <summary>One attempt under a lease: the calls to Wix, and the commit.</summary>
internal sealed class RefreshAttempts(
    RefreshLeases leases,
    TokenGrants grants,
    InstanceTokens tokens,
    TokenCommitter committer,
    FalseRejections falseRejections,
    SiteDescriber describer,
    TokenMetrics metrics,
    RefreshHistory history,

    // Nine: every step of an attempt has one.
    TimeProvider time)
{
    public bool HasAllowedGrant(Instance instance) => grants.HasAllowedGrant(instance);

    public bool IsRefreshTokenDue(Instance instance) => grants.IsRefreshTokenDue(instance, time.GetUtcNow());

    public bool IsUnsaved(InstanceId id) => committer.IsUnsaved(id);

    /// <summary>Whether new tokens can be sealed at all; see <see cref="InstanceTokens.CanSealAsync"/>.</summary>
    internal ValueTask<bool> CanSealAsync() => tokens.CanSealAsync();

    /// <summary>
    /// While nothing can be sealed, because the protection keys are not those of the table: an access token by client
    /// credentials, where allowed, from memory only. The row is not touched, so that the right keys find it as it was.
    /// </summary>
    internal async Task<TokenResult?> RequestUnsavedAsync(Instance instance) =>
        grants.MayUseClientCredentials
        && await grants.RequestAsync(instance.Id, [Grant.ClientCredentials], null, () => Task.FromResult(true), CancellationToken.None)
            is { Answer: TokenAnswer.Granted granted }
            ? tokens.RememberUnsaved(instance.Id, granted, instance.Generation)
            : null;

    /// <summary>
    /// Asks Wix under a lease, and saves what it grants. Failures are returned, not recorded: the caller first finds out
    /// whether the app secret is at fault. Backoff does not count where an operator asks (<paramref name="isForced"/>).
    /// </summary>
    internal async Task<Attempt> RunAsync(StoredInstance leased, string attemptId, bool isForced)
    {
        var instance = leased.Instance;
        var startedAt = time.GetTimestamp();
        using var activity = metrics.Trace("Refresh", instance.Id);
        using var insideLease = new CancellationTokenSource(leases.TimeToAsk(instance), time);
        var fault = instance.RefreshTokenFault;
        var (grant, failed) = (instance.CurrentGrant, new Attempt(attemptId, null, TokenError.WixUnavailable));
        try
        {
            var refreshToken = await tokens.OpenRefreshTokenAsync(instance);
            var order = grants.OrderFor(instance, refreshToken is not null, isForced, time.GetUtcNow());
            if (order.Count == 0)
            {
                var hasNone = instance.RefreshToken is null;
                failed = failed with { Error = hasNone ? TokenError.Rejected : TokenError.Undecryptable, HasNoGrant = hasNone };
                fault = FaultAfter(instance, isReadable: false, answer: null);
            }
            else
            {
                var answer = await grants.RequestAsync(instance.Id, order, refreshToken, IsStillCurrentAsync, insideLease.Token);
                (grant, fault) = (answer.Grant, FaultAfter(instance, refreshToken is not null, answer));
                if (answer.Answer is TokenAnswer.Granted granted)
                {
                    var kept = grant == Grant.RefreshToken ? granted.RefreshToken ?? refreshToken : refreshToken;
                    var replaced = Equals(kept, refreshToken) ? null : refreshToken;
                    var result = await committer.CommitAsync(leased, new NewTokens(attemptId, grant, granted, kept, replaced, fault, startedAt));
                    Ended(null);
                    falseRejections.Check(instance, grant);
                    describer.DescribeIfDue(instance, granted.AccessToken);
                    return new Attempt(attemptId, result, null) { SecretVersion = answer.SecretVersion };
                }

                var unavailable = answer.Answer as TokenAnswer.Unavailable;
                failed = failed with
                {
                    Error = unavailable?.Error ?? TokenError.Rejected,
                    RetryAfter = unavailable?.RetryAfter,
                    SecretVersion = answer.SecretVersion,
                    EveryGrantRejected = answer.EveryGrantRejected,
                };
            }
        }
        catch (OperationCanceledException)
        {
            // The time of the lease is over.
        }
        catch (SecretUnavailableException)
        {
            failed = failed with { Error = TokenError.SecretUnavailable };
        }

        Ended(failed.Error);
        return failed with { Fault = fault };

        Task<bool> IsStillCurrentAsync() => leases.IsStillCurrentAsync(instance, insideLease.Token);

        void Ended(TokenError? error)
        {
            metrics.Refreshed(activity, grant, error, time.GetElapsedTime(startedAt));
            metrics.RefreshTokenTried(instance.RefreshTokenFault, fault);
            history.Add(succeeded: error is null, hasFaultChanged: instance.RefreshTokenFault?.Kind != fault?.Kind);
        }
    }

    private RefreshTokenFault? FaultAfter(Instance instance, bool isReadable, GrantAnswer? answer)
    {
        var (before, now) = (instance.RefreshTokenFault, time.GetUtcNow());
        return (isReadable, answer) switch
        {
            _ when instance.RefreshToken is null => null,
            (false, _) => RejectionPolicy.Observed(before, RefreshTokenFaultKind.Unreadable, now),
            (_, { RefreshTokenRejected: true }) => RejectionPolicy.Observed(before, RefreshTokenFaultKind.Rejected, now),
            (_, { Grant: Grant.RefreshToken, Answer: TokenAnswer.Granted }) => null,

            // Not tried. It can be read, whatever was observed before.
            _ => before is { Kind: RefreshTokenFaultKind.Unreadable } ? null : before,
        };
    }
}
