using WixOAuth.Protection;

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
/// <param name="Refresh">The refresh token; null leaves the stored one, if any, as it is.</param>
/// <param name="IssuedAt">From when the access token's life is counted.</param>
/// <param name="ExpiresOn">When it ends.</param>
public sealed record ProtectedTokens(
    long Generation, ProtectedText Access, ProtectedText? Refresh, DateTimeOffset IssuedAt, DateTimeOffset ExpiresOn);

// The changes in an instance's life, each from one whole record to the next.
public sealed partial record Instance
{
    /// <summary>
    /// So long after a reinstall a removal is doubted: Wix delivers an event for about 47 hours, and whether it signs
    /// it anew each time is not known (wix-protocol §10).
    /// </summary>
    public static readonly TimeSpan RemovalDoubtedFor = TimeSpan.FromHours(48);

    /// <summary>How far the clocks of two processes may differ.</summary>
    internal static readonly TimeSpan ClockTolerance = TimeSpan.FromMinutes(1);

    /// <summary>By how much Wix's clock may be ahead of ours; a later time is a mistake of some clock.</summary>
    public static readonly TimeSpan WixClockTolerance = TimeSpan.FromMinutes(5);

    /// <summary>
    /// A consent and an <c>AppInstalled</c> no further apart are one installation: so long a code lives between them
    /// (wix-protocol §4).
    /// </summary>
    public static readonly TimeSpan OneInstallation = TimeSpan.FromMinutes(10);

    /// <summary>The generation that the next set of tokens has to be encrypted for.</summary>
    public static long NextGeneration(Instance? instance) => (instance?.Generation ?? 0) + 1;

    /// <summary>
    /// The owner consented: new tokens. An upgrade keeps the completed set-up; after a removal, or where only a
    /// reinstall could help, it is an installation of its own, whose set-up Wix waits for again (wix-protocol §6, §9).
    /// </summary>
    /// <param name="before">What is known.</param>
    /// <param name="id">Of which instance.</param>
    /// <param name="consent">What the consent brings.</param>
    /// <param name="tokens">Its tokens, encrypted for <see cref="NextGeneration"/>.</param>
    /// <param name="consentId">The consent's own id.</param>
    /// <param name="now">The time.</param>
    /// <returns><paramref name="before"/> itself when it is of a newer consent, whose tokens are the good ones.</returns>
    public static Instance Consented(Instance? before, InstanceId id, Consent consent, ProtectedTokens tokens, string consentId, DateTimeOffset now)
    {
        before = before?.WithPlausibleWixTimes(now);
        consent = consent with { WixIssuedAt = Capped(consent.WixIssuedAt, now) };

        // No consent is saved later than its code lives: a time further ahead was a mistake of some clock, and must not
        // keep the site from being connected again.
        if (before?.WixConsentedAt - consent.WixIssuedAt is { } ahead && ahead > TimeSpan.Zero && ahead <= OneInstallation)
        {
            return before!;
        }

        var setupCompletedAt = before is { Status: InstanceStatus.Active } ? before.SetupCompletedAt : null;
        var installedAt = Later(before?.WixInstalledAt, consent.WixIssuedAt);
        return new Instance
        {
            Id = id,
            Status = InstanceStatus.Active,
            Grant = Grant.RefreshToken,
            Customer = CustomerOf(before) ?? consent.Customer,
            Site = consent.Site ?? SiteOf(before),
            AppVersion = consent.AppVersion ?? before?.AppVersion,
            Generation = tokens.Generation,
            AccessToken = tokens.Access,
            RefreshToken = tokens.Refresh,
            AccessTokenIssuedAt = tokens.IssuedAt,
            AccessTokenExpiresOn = tokens.ExpiresOn,
            CommitId = consentId,
            ConsentId = consentId,
            InstalledAt = before?.InstalledAt ?? now,
            ConsentedAt = now,
            UpdatedAt = now,
            RefreshedAt = now,
            LastUsedAt = now,
            WixConsentedAt = consent.WixIssuedAt ?? before?.WixConsentedAt,
            WixInstalledAt = installedAt,
            WixRemovedAt = before?.WixRemovedAt,

            // A removal overtook this consent: what it brought may be void already.
            RemovalNotedAt = consent.WixIssuedAt is not null && before?.WixRemovedAt > installedAt ? before.WixRemovedAt : null,
            InstalledBefore = before is not null
                && (before.WasInstalledBefore || before.ConsentedAt is not null || IsAnotherInstallation(before, consent.WixIssuedAt)),
            SetupCompletedAt = setupCompletedAt,
            SetupPending = consent.SendSetupCompleted && setupCompletedAt is null,
            CustomerConflictAt = IsCustomerConflict(before, consent) ? now : null,
            ImportedAt = before?.ImportedAt,
            EventSequence = before?.EventSequence,
        };
    }

    /// <summary>
    /// Whether a consent names another customer than the one the site belongs to: a customer is never overwritten, since
    /// whoever holds a link could take over the site's account.
    /// </summary>
    public static bool IsCustomerConflict(Instance? before, Consent consent) =>
        consent.Customer is { } customer && CustomerOf(before) is { } present && present != customer;

    /// <summary>Our own app says whom the site belongs to, or null for nobody.</summary>
    public Instance WithCustomer(string? customer, DateTimeOffset now) =>
        Customer == customer ? this : this with { Customer = customer, UpdatedAt = now };

    // A removal ends it, also where a version before wrote the tombstone and left it in.
    private static string? CustomerOf(Instance? before) => before is { Status: not InstanceStatus.Removed } ? before.Customer : null;

    private static Site? SiteOf(Instance? before) => before is { Status: not InstanceStatus.Removed } ? before.Site : null;

    /// <summary>
    /// Without an access token that would be served for longer than it lives: one that a process with a fast clock has saved, or
    /// any, where our own clock is slow. When it was issued cannot be told then, since each write dates the row anew.
    /// </summary>
    /// <param name="writtenAt">When the row was written last, by the storage's clock.</param>
    /// <param name="ourLead">How far the clock of this process is ahead of the storage's.</param>
    internal Instance WithoutMisdatedToken(DateTimeOffset writtenAt, TimeSpan ourLead) =>
        AccessTokenIssuedAt - writtenAt - ourLead > ClockTolerance || ourLead < -ClockTolerance
            ? this with { AccessToken = null, AccessTokenIssuedAt = null, AccessTokenExpiresOn = null }
            : this;

    /// <summary>An attempt takes the right to refresh.</summary>
    public Instance Leased(string attemptId, DateTimeOffset until) => this with { Lease = new Lease(attemptId, until) };

    /// <summary>
    /// The instance has a new access token. The stored refresh token is replaced by <see cref="ProtectedTokens.Refresh"/>
    /// or stays as it is, sealed for the generation that it was sealed for.
    /// </summary>
    /// <param name="grant">The grant of the access token.</param>
    /// <param name="tokens">The new tokens, encrypted.</param>
    /// <param name="fault">What was observed of the refresh token; null when it is in use, or was not tried and has no fault.</param>
    /// <param name="commitId">The attempt.</param>
    /// <param name="now">The time.</param>
    public Instance Refreshed(Grant grant, ProtectedTokens tokens, RefreshTokenFault? fault, string commitId, DateTimeOffset now)
    {
        var refreshToken = tokens.Refresh ?? RefreshToken;
        var kept = refreshToken is null ? Grant.ClientCredentials : Grant.RefreshToken;
        return this with
        {
            Status = InstanceStatus.Active,
            Grant = kept,
            AccessTokenGrant = grant == kept ? null : grant,
            Generation = tokens.Generation,
            AccessToken = tokens.Access,
            RefreshToken = refreshToken,
            RefreshTokenGeneration = tokens.Refresh is null && refreshToken is not null ? RefreshTokenGeneration ?? Generation : null,
            RefreshTokenFault = refreshToken is null ? null : fault,
            AccessTokenIssuedAt = tokens.IssuedAt,
            AccessTokenExpiresOn = tokens.ExpiresOn,
            CommitId = commitId,
            Lease = null,
            Failures = null,
            CountedRejections = null,
            MarkedAt = null,
            RefreshedAt = now,
            UpdatedAt = now,
        };
    }

    /// <summary>An attempt had no tokens, and gives back the right to try.</summary>
    /// <param name="error">Why.</param>
    /// <param name="fault">What was observed of the refresh token.</param>
    /// <param name="retryAt">Before then nobody tries again.</param>
    /// <param name="now">The time.</param>
    public Instance Failed(TokenError error, RefreshTokenFault? fault, DateTimeOffset retryAt, DateTimeOffset now)
    {
        var rejected = error == TokenError.Rejected;
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

    /// <summary>A rejection turned out to be false somewhere: whatever was concluded from rejections is tried again at <paramref name="at"/>.</summary>
    public Instance MadeDue(DateTimeOffset at) => this with
    {
        Failures = Failures is null ? null : Failures with { RetryAt = at },
        RefreshTokenFault = RefreshTokenFault is null ? null : RefreshTokenFault with { RetryAt = at },
        DueAt = at,
    };

    /// <summary>Wix has taken <c>APP_FINISHED_CONFIGURATION</c>.</summary>
    public Instance SetupCompleted(DateTimeOffset now) => this with { SetupCompletedAt = now, SetupPending = false, UpdatedAt = now };

    /// <summary>Wix has described the site.</summary>
    public Instance Described(Site site, string? appVersion, DateTimeOffset now) =>
        Site == site && AppVersion == (appVersion ?? AppVersion)
            ? this
            : this with { Site = site, AppVersion = appVersion ?? AppVersion, UpdatedAt = now };

    /// <summary>
    /// Wix tells that the app was installed: a clone, or an install whose redirect was lost or is yet to come
    /// (wix-protocol §8, §10). What was known already stays as it is.
    /// </summary>
    /// <param name="before">What is known.</param>
    /// <param name="id">Of which instance.</param>
    /// <param name="issuedAt">The event's <c>iat</c>.</param>
    /// <param name="canMint">
    /// Whether it can be served without a consent. If not, it is <see cref="InstanceStatus.ReinstallRequired"/> until
    /// its site's owner consents.
    /// </param>
    /// <param name="sendSetupCompleted">Whether Wix is to be told that the set-up is complete.</param>
    /// <param name="now">The time.</param>
    /// <returns><paramref name="before"/> itself when the event is no news.</returns>
    public static Instance AppInstalled(
        Instance? before, InstanceId id, DateTimeOffset issuedAt, bool canMint, bool sendSetupCompleted, DateTimeOffset now)
    {
        (before, issuedAt) = (before?.WithPlausibleWixTimes(now), Capped(issuedAt, now)!.Value);
        if (before is not null and not { Status: InstanceStatus.Removed })
        {
            return issuedAt > (before.WixInstalledAt ?? DateTimeOffset.MinValue) ? before.SeenInstalled(issuedAt, now) : before;
        }

        // Times of Wix's are whole seconds: one that is equal is not later.
        if (before is { Forgotten: true } || issuedAt <= before?.WixRemovedAt)
        {
            return before!;
        }

        return new Instance
        {
            Id = id,
            Status = canMint ? InstanceStatus.Active : InstanceStatus.ReinstallRequired,
            MarkedAt = canMint ? null : now,
            Grant = canMint ? Grant.ClientCredentials : Grant.RefreshToken,
            Generation = NextGeneration(before),
            DueAt = canMint ? now : null,
            InstalledAt = before?.InstalledAt ?? now,
            UpdatedAt = now,
            LastUsedAt = now,
            ConsentId = before?.ConsentId,
            WixConsentedAt = before?.WixConsentedAt,
            WixInstalledAt = issuedAt,
            WixRemovedAt = before?.WixRemovedAt,
            InstalledBefore = before is not null,
            SetupPending = canMint && sendSetupCompleted,
            ImportedAt = before?.ImportedAt,
            EventSequence = before?.EventSequence,
        };
    }

    /// <summary>
    /// Wix tells that the app was removed (wix-protocol §10). Of equal times the removal is taken for the later one:
    /// nobody consents to an app again within the second in which he removed it.
    /// </summary>
    /// <param name="before">What is known.</param>
    /// <param name="id">Of which instance.</param>
    /// <param name="issuedAt">The event's <c>iat</c>.</param>
    /// <param name="sendSetupCompleted">Whether Wix is to be told that a set-up is complete.</param>
    /// <param name="now">The time.</param>
    /// <returns><paramref name="before"/> itself when the event is no news.</returns>
    public static Instance AppRemoved(Instance? before, InstanceId id, DateTimeOffset issuedAt, bool sendSetupCompleted, DateTimeOffset now)
    {
        (before, issuedAt) = (before?.WithPlausibleWixTimes(now), Capped(issuedAt, now)!.Value);
        if (before is null)
        {
            return Tombstone(null, id, now) with { WixRemovedAt = issuedAt };
        }

        var isNew = before.WixRemovedAt is not { } last || issuedAt > last;
        if (before.Status == InstanceStatus.Removed)
        {
            return isNew ? before with { WixRemovedAt = issuedAt, UpdatedAt = now } : before;
        }

        if (issuedAt < before.WixInstalledAt)
        {
            return isNew ? before.SeenRemovedEarlier(issuedAt, sendSetupCompleted, now) : before;
        }

        // Again what was noted or refuted before; unless all of it fell into one second, where only Wix can tell.
        if (!isNew && (issuedAt != before.WixInstalledAt || before.RemovalNotedAt == issuedAt))
        {
            return before;
        }

        var isDoubtful = before is { Status: InstanceStatus.Active, WasInstalledBefore: true }
            && (before.WixInstalledAt is not { } installedAt || issuedAt - installedAt <= RemovalDoubtedFor);
        return isDoubtful
            ? before with { WixRemovedAt = issuedAt, RemovalNotedAt = issuedAt, DueAt = now, UpdatedAt = now }
            : Tombstone(before, id, now) with { WixRemovedAt = issuedAt };
    }

    /// <summary>
    /// Our operator forgets it; only a new consent brings it back. An instance that is not known is forgotten too, or
    /// an <c>AppInstalled</c> that is still on its way would make it known.
    /// </summary>
    /// <returns><paramref name="before"/> itself when it is forgotten already.</returns>
    public static Instance Forget(Instance? before, InstanceId id, DateTimeOffset now) =>
        before is { Forgotten: true, IsErased: true } ? before : Tombstone(before, id, now) with { Forgotten = true };

    /// <summary>Whether nothing of a person is left in it: no customer, no site. Earlier versions' tombstones kept both.</summary>
    public bool IsErased => this is { Customer: null, Site: null, AppVersion: null };

    /// <summary>A tombstone of an earlier version without what it should not have kept.</summary>
    public Instance Erased() => this with { Customer = null, Site = null, AppVersion = null };

    /// <summary>
    /// Whether this instance is doubted to be installed for the same reason as <paramref name="asked"/> was, so that
    /// what Wix answered to that one settles it.
    /// </summary>
    public bool IsDoubtedAs(Instance asked) => RemovalNotedAt is not null && RemovalNotedAt == asked.RemovalNotedAt;

    /// <summary>The noted removal was no old one: Wix rejects every allowed grant for good.</summary>
    public Instance RemovalConfirmed(DateTimeOffset now) => Tombstone(this, Id, now);

    /// <summary>The noted removal was an old one: Wix has given tokens since.</summary>
    public Instance RemovalRefuted() => this with { RemovalNotedAt = null };

    // A time that lies ahead of every possible clock orders nothing: with it every later event would be an old one.
    private Instance WithPlausibleWixTimes(DateTimeOffset now)
    {
        var latest = now + WixClockTolerance;
        return WixConsentedAt > latest || WixInstalledAt > latest || WixRemovedAt > latest || RemovalNotedAt > latest
            ? this with
            {
                WixConsentedAt = WixConsentedAt > latest ? null : WixConsentedAt,
                WixInstalledAt = WixInstalledAt > latest ? null : WixInstalledAt,
                WixRemovedAt = WixRemovedAt > latest ? null : WixRemovedAt,
                RemovalNotedAt = RemovalNotedAt > latest ? null : RemovalNotedAt,
            }
            : this;
    }

    private static DateTimeOffset? Capped(DateTimeOffset? wixTime, DateTimeOffset now) =>
        wixTime > now + WixClockTolerance ? now + WixClockTolerance : wixTime;

    private bool WasInstalledBefore => InstalledBefore || WixRemovedAt is not null || RemovedAt is not null;

    // Nothing of the tokens, the customer and the site is left, and the generation is beyond that of any refresh under way.
    private static Instance Tombstone(Instance? before, InstanceId id, DateTimeOffset now) => new()
    {
        Id = id,
        Status = InstanceStatus.Removed,
        Grant = before?.Grant ?? Grant.RefreshToken,
        Generation = NextGeneration(before),
        InstalledAt = before?.InstalledAt ?? now,
        ConsentedAt = before?.ConsentedAt,
        UpdatedAt = now,
        RefreshedAt = before?.RefreshedAt,
        LastUsedAt = before?.LastUsedAt,
        RemovedAt = before?.RemovedAt ?? now,
        Forgotten = before?.Forgotten ?? false,
        ConsentId = before?.ConsentId,
        WixConsentedAt = before?.WixConsentedAt,
        WixInstalledAt = before?.WixInstalledAt,
        WixRemovedAt = before?.WixRemovedAt,
        InstalledBefore = before?.InstalledBefore ?? false,
        ImportedAt = before?.ImportedAt,
        EventSequence = before?.EventSequence,
    };

    private static bool IsAnotherInstallation(Instance before, DateTimeOffset? issuedAt) =>
        (issuedAt - before.WixInstalledAt)?.Duration() > OneInstallation;

    // Installed again, or for the first time and told late: either way the tokens are tried, and no removal from before counts.
    private Instance SeenInstalled(DateTimeOffset issuedAt, DateTimeOffset now) => this with
    {
        WixInstalledAt = issuedAt,
        RemovalNotedAt = RemovalNotedAt > issuedAt ? RemovalNotedAt : null,
        InstalledBefore = InstalledBefore || IsAnotherInstallation(this, issuedAt),
        DueAt = Status == InstanceStatus.ReinstallRequired && IsAnotherInstallation(this, issuedAt) ? now : DueAt,
        UpdatedAt = now,
    };

    // What looked like an upgrade was a reinstall, and Wix waits for its set-up again (wix-protocol §6).
    private Instance SeenRemovedEarlier(DateTimeOffset issuedAt, bool sendSetupCompleted, DateTimeOffset now)
    {
        var seen = this with { WixRemovedAt = issuedAt, InstalledBefore = true, UpdatedAt = now };
        return SetupCompletedAt < ConsentedAt && Status == InstanceStatus.Active
            ? seen with { SetupCompletedAt = null, SetupPending = sendSetupCompleted, DueAt = sendSetupCompleted ? now : DueAt }
            : seen;
    }

    private static DateTimeOffset? Later(DateTimeOffset? one, DateTimeOffset? other) => one > other ? one : other ?? one;
}
