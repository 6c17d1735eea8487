namespace WixOAuth.Instances;

/// <summary>
/// A set of tokens, encrypted for one instance and one generation. If <paramref name="Refresh"/> is null, a stored refresh
/// token stays as it is. The times are those of the access token.
/// </summary>
internal sealed record ProtectedTokens(
    long Generation, ProtectedText Access, ProtectedText? Refresh, DateTimeOffset IssuedAt, DateTimeOffset ExpiresOn);

// Refreshes, and what follows them, in an instance's life.
internal sealed partial record Instance
{
    /// <summary>The generation that the next set of tokens has to be encrypted for.</summary>
    public static long NextGeneration(Instance? instance) => (instance?.Generation ?? 0) + 1;

    /// <summary>With the times of its access token by another clock, which is ahead by <paramref name="by"/>.</summary>
    internal Instance WithTokenTimesMoved(TimeSpan by) =>
        by == default ? this : this with { AccessTokenIssuedAt = AccessTokenIssuedAt + by, AccessTokenExpiresOn = AccessTokenExpiresOn + by };

    public Instance Leased(string attemptId, DateTimeOffset until) => this with { Lease = new Lease(attemptId, until) };

    /// <summary>
    /// The instance has a new access token. The stored refresh token is replaced by <see cref="ProtectedTokens.Refresh"/>
    /// or stays as it is, sealed for the generation that it was sealed for. <paramref name="grant"/> is that of the access
    /// token; <paramref name="fault"/> is null when the refresh token is in use, or was not tried and has no fault.
    /// </summary>
    public Instance Refreshed(Grant grant, ProtectedTokens tokens, RefreshTokenFault? fault, string commitId, DateTimeOffset now)
    {
        var refreshToken = tokens.Refresh ?? RefreshToken;
        var kept = refreshToken is null ? Grant.ClientCredentials : Grant.RefreshToken;
        return WithTokens(tokens, commitId, now) with
        {
            Status = InstanceStatus.Active,
            Grant = kept,
            AccessTokenGrant = grant == kept ? null : grant,
            RefreshTokenGeneration = tokens.Refresh is null && refreshToken is not null ? RefreshTokenGeneration ?? Generation : null,
            RefreshTokenFault = refreshToken is null ? null : fault,
            Lease = null,
            Failures = null,
            CountedRejections = null,
            MarkedAt = null,
        };
    }

    private Instance WithTokens(ProtectedTokens tokens, string commitId, DateTimeOffset now) => this with
    {
        Generation = tokens.Generation,
        AccessToken = tokens.Access,
        RefreshToken = tokens.Refresh ?? RefreshToken,
        AccessTokenIssuedAt = tokens.IssuedAt,
        AccessTokenExpiresOn = tokens.ExpiresOn,
        CommitId = commitId,
        RefreshedAt = now,
        UpdatedAt = now,
    };

    /// <summary>
    /// An attempt had no tokens, and releases its lease. No further attempt is made before <paramref name="retryAt"/>. Where Wix
    /// was not asked, it rejected nothing.
    /// </summary>
    public Instance Failed(TokenError error, RefreshTokenFault? fault, DateTimeOffset retryAt, DateTimeOffset now, bool wasAsked = true)
    {
        var rejected = wasAsked && error == TokenError.Rejected;
        return this with
        {
            Lease = null,
            RefreshTokenFault = RefreshToken is null ? null : fault,
            Failures = new Failures(
                (Failures?.Count ?? 0) + 1,
                (Failures?.Rejections ?? 0) + (rejected ? 1 : 0),
                Failures?.FirstRejectedAt ?? (rejected ? now : null),
                now,
                error,
                retryAt),
            UpdatedAt = now,
        };
    }

    /// <summary>Every allowed grant is rejected for good, as far as can be known.</summary>
    public Instance Marked(DateTimeOffset now) => this with { Status = InstanceStatus.ReinstallRequired, MarkedAt = MarkedAt ?? now };

    /// <summary>
    /// A rejection of some site turned out to be false: conclusions from rejections are checked again at <paramref name="at"/> at
    /// the latest.
    /// </summary>
    public Instance MadeDue(DateTimeOffset at) => this with
    {
        // A failure without a retry time is already due. A fault without one is tried only by the next refresh, so it gets a time.
        Failures = Failures?.RetryAt > at ? Failures with { RetryAt = at } : Failures,
        RefreshTokenFault = RefreshTokenFault is null || RefreshTokenFault.RetryAt <= at ? RefreshTokenFault : RefreshTokenFault with { RetryAt = at },
        DueAt = DueAt < at ? DueAt : at,
    };

    /// <summary>Wix has taken <c>APP_FINISHED_CONFIGURATION</c>.</summary>
    public Instance SetupCompleted(DateTimeOffset now) => this with { SetupCompletedAt = now, SetupPending = false, UpdatedAt = now };

    public Instance Described(Site site, string? appVersion, DateTimeOffset now) =>
        Site == site && AppVersion == (appVersion ?? AppVersion)
            ? this
            : this with { Site = site, AppVersion = appVersion ?? AppVersion, UpdatedAt = now };
}
