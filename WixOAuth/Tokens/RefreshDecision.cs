using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>What is to be done about a row that was just read.</summary>
internal abstract record RefreshDecision
{
    private RefreshDecision()
    {
    }

    public sealed record Answer(TokenResult Result) : RefreshDecision;

    /// <summary>Another attempt has the lease: read the row again after this time at most.</summary>
    public sealed record Wait(TimeSpan AtMost) : RefreshDecision;

    /// <summary>Take the lease and ask Wix.</summary>
    public sealed record Refresh : RefreshDecision;
}

/// <summary>
/// What a decision depends on: the row, and its access token if it can be read. <paramref name="IsNewer"/>: the generation has
/// grown since this attempt began. <paramref name="IsOutOfPatience"/>: this attempt has waited as long as any lease can last.
/// <paramref name="IsUnsaved"/>: new tokens in this process still have to be saved. <paramref name="IsRefreshTokenDue"/>: a
/// rejected or unreadable refresh token is to be tried again now. <paramref name="HasAllowedGrant"/>: the settings allow a grant.
/// </summary>
internal sealed record RefreshSituation(
    Instance Instance,
    TokenResult.Token? Token,
    TokenRequirements Requirements,
    DateTimeOffset Now,
    string AttemptId,
    bool IsNewer,
    bool IsOutOfPatience,
    bool IsUnsaved,
    bool IsRefreshTokenDue,
    bool HasAllowedGrant);

/// <summary>Decides whether a row is served, refused, waited for or refreshed. A pure function.</summary>
internal static class RefreshDecisions
{
    /// <summary>How often tokens that wait to be saved are looked for.</summary>
    public static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);

    public static RefreshDecision Decide(RefreshSituation situation)
    {
        var (instance, token, requirements, now) = (situation.Instance, situation.Token, situation.Requirements, situation.Now);

        // The sweep finds out what only a refresh can tell: whether a noted removal or a mark is true, and whether a
        // refresh token works again.
        var isInDoubt = requirements.IsAhead
            && (instance.RemovalNotedAt is not null || instance.Status == InstanceStatus.ReinstallRequired || situation.IsRefreshTokenDue);
        var required = requirements.IsNew && situation.IsNewer ? TokenRequirements.Default : requirements;
        if (token is not null && !isInDoubt && required.IsMetBy(token, now))
        {
            return new RefreshDecision.Answer(token);
        }

        if (Refusal(situation) is { } refusal)
        {
            return new RefreshDecision.Answer(refusal);
        }

        if (HeldOffFor(situation) is not { } heldOff)
        {
            return new RefreshDecision.Refresh();
        }

        return (requirements.IsAhead, situation.IsOutOfPatience) switch
        {
            (true, _) when token?.ExpiresOn > now => new RefreshDecision.Answer(token),
            (true, _) or (_, true) => new RefreshDecision.Answer(new TokenResult.WixUnavailable(heldOff)),
            _ => new RefreshDecision.Wait(heldOff),
        };
    }

    /// <summary>Why nothing is tried now; null when it may be.</summary>
    private static TokenResult? Refusal(RefreshSituation situation)
    {
        var (instance, requirements, now) = (situation.Instance, situation.Requirements, situation.Now);
        if (instance.Status == InstanceStatus.ReinstallRequired && !situation.HasAllowedGrant)
        {
            return new TokenResult.ReinstallRequired();
        }

        // A refresh that an operator requests ignores backoff.
        if (requirements.IsNew)
        {
            return null;
        }

        if (instance.Status == InstanceStatus.ReinstallRequired)
        {
            var mayTry = requirements.IsAhead ? instance.DueAt <= now : RejectionPolicy.MayCallerTry(instance.Failures?.LastAt, now);
            return mayTry ? null : new TokenResult.ReinstallRequired();
        }

        // Ignore a failure in the future: the clock was set back.
        return instance.Failures is { RetryAt: { } retryAt } failures && retryAt > now && failures.LastAt <= now + RefreshLeases.Duration
            ? new TokenResult.WixUnavailable(retryAt - now)
            : null;
    }

    /// <summary>How long another attempt may refresh; null when none may.</summary>
    private static TimeSpan? HeldOffFor(RefreshSituation situation)
    {
        if (situation.IsUnsaved)
        {
            return LongestPoll;
        }

        // Ignore a lease that ends later than any could: the clock was set back.
        return situation.Instance.Lease is { } lease
            && lease.Owner != situation.AttemptId
            && lease.Until > situation.Now
            && lease.Until <= situation.Now + (RefreshLeases.Duration * 2)
                ? lease.Until - situation.Now
                : null;
    }
}
