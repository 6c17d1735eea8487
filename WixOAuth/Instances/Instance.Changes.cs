using WixOAuth.Secrets;

namespace WixOAuth.Instances;

/// <summary>What a finished consent brings.</summary>
/// <param name="Customer">Whom of our customers it was made for, if the install began with a link.</param>
/// <param name="Site">The site, if Wix told.</param>
/// <param name="AppVersion">The app's version, if Wix told.</param>
/// <param name="WixIssuedAt">By Wix's clock, if Wix told.</param>
/// <param name="SendSetupCompleted">Whether Wix is to be told at once that the set-up is complete.</param>
public sealed record Consent(string? Customer, Site? Site, string? AppVersion, DateTimeOffset? WixIssuedAt, bool SendSetupCompleted);

/// <summary>A set of tokens, encrypted for one instance and one generation.</summary>
/// <param name="Generation">The generation they are encrypted for.</param>
/// <param name="Access">The access token.</param>
/// <param name="Refresh">The refresh token; none where the app's own credentials are the grant.</param>
/// <param name="IssuedAt">From when the access token's life is counted.</param>
/// <param name="ExpiresOn">When it ends.</param>
public sealed record ProtectedTokens(
    long Generation, ProtectedText Access, ProtectedText? Refresh, DateTimeOffset IssuedAt, DateTimeOffset ExpiresOn);

// The changes in an instance's life, each from one whole record to the next.
public sealed partial record Instance
{
    /// <summary>The generation that the next set of tokens has to be encrypted for.</summary>
    public static long NextGeneration(Instance? instance) => (instance?.Generation ?? 0) + 1;

    /// <summary>
    /// The owner consented: new tokens. An upgrade keeps the completed set-up; after a removal, or where only a
    /// reinstall could help, it is an installation of its own, whose set-up Wix waits for again (wix-protocol §6, §9).
    /// </summary>
    public static Instance Consented(Instance? before, InstanceId id, Consent consent, ProtectedTokens tokens, string commitId, DateTimeOffset now)
    {
        var setupCompletedAt = before is { Status: InstanceStatus.Active } ? before.SetupCompletedAt : null;
        return new Instance
        {
            Id = id,
            Status = InstanceStatus.Active,
            Grant = Grant.RefreshToken,
            Customer = consent.Customer ?? before?.Customer,
            Site = consent.Site ?? before?.Site,
            AppVersion = consent.AppVersion ?? before?.AppVersion,
            Generation = tokens.Generation,
            AccessToken = tokens.Access,
            RefreshToken = tokens.Refresh,
            AccessTokenIssuedAt = tokens.IssuedAt,
            AccessTokenExpiresOn = tokens.ExpiresOn,
            CommitId = commitId,
            InstalledAt = before?.InstalledAt ?? now,
            ConsentedAt = now,
            UpdatedAt = now,
            RefreshedAt = now,
            LastUsedAt = now,
            WixInstalledAt = consent.WixIssuedAt ?? before?.WixInstalledAt,
            WixRemovedAt = before?.WixRemovedAt,
            SetupCompletedAt = setupCompletedAt,
            SetupPending = consent.SendSetupCompleted && setupCompletedAt is null,
        };
    }

    /// <summary>An attempt takes the right to refresh.</summary>
    public Instance Leased(string attemptId, DateTimeOffset until) => this with { Lease = new Lease(attemptId, until) };

    /// <summary>The instance has new tokens, had by <paramref name="grant"/>.</summary>
    public Instance Refreshed(Grant grant, ProtectedTokens tokens, string commitId, DateTimeOffset now) => this with
    {
        Status = InstanceStatus.Active,
        Grant = grant,
        Generation = tokens.Generation,
        AccessToken = tokens.Access,
        RefreshToken = tokens.Refresh,
        AccessTokenIssuedAt = tokens.IssuedAt,
        AccessTokenExpiresOn = tokens.ExpiresOn,
        CommitId = commitId,
        Lease = null,
        Failures = null,
        RefreshedAt = now,
        UpdatedAt = now,
    };

    /// <summary>An attempt had no tokens, and gives back the right to try.</summary>
    /// <param name="error">Why.</param>
    /// <param name="retryAt">Before then nobody tries again.</param>
    /// <param name="now">The time.</param>
    public Instance Failed(TokenError error, DateTimeOffset retryAt, DateTimeOffset now)
    {
        var rejected = error == TokenError.Rejected;
        return this with
        {
            Lease = null,
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

    /// <summary>Wix has taken <c>APP_FINISHED_CONFIGURATION</c>.</summary>
    public Instance SetupCompleted(DateTimeOffset now) => this with { SetupCompletedAt = now, SetupPending = false, UpdatedAt = now };
}
