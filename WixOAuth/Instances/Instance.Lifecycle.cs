namespace WixOAuth.Instances;

// Installs and removals in an instance's life, ordered by Wix's clock.
internal sealed partial record Instance
{
    /// <summary>
    /// A removal is in doubt for this long after a reinstall, another consent or an import: Wix retries an event for about
    /// 47 hours, and whether it signs it again each time is not known (wix-protocol §10).
    /// </summary>
    public static readonly TimeSpan RemovalDoubtedFor = TimeSpan.FromHours(48);

    /// <summary>How far the clocks of two processes may differ.</summary>
    internal static readonly TimeSpan ClockTolerance = TimeSpan.FromMinutes(1);

    /// <summary>By how much Wix's clock may be ahead of ours; a later time means that a clock is wrong.</summary>
    public static readonly TimeSpan WixClockTolerance = TimeSpan.FromMinutes(5);

    /// <summary>
    /// Wix tells that the app was installed: a clone, or an install whose redirect was lost or has not arrived yet
    /// (wix-protocol §8, §10). What was known already stays as it is. An instance that may not use client credentials is
    /// <see cref="InstanceStatus.ReinstallRequired"/> until its site's owner consents. <paramref name="issuedAt"/> is the
    /// event's <c>iat</c>.
    /// </summary>
    /// <returns><paramref name="before"/> itself when the event changes nothing.</returns>
    public static Instance AppInstalled(
        Instance? before, InstanceId id, DateTimeOffset issuedAt, bool mayUseClientCredentials, bool sendSetupCompleted, DateTimeOffset now)
    {
        (before, issuedAt) = (before?.WithPlausibleWixTimes(now), Capped(issuedAt, now)!.Value);
        if (before is not null and not { Status: InstanceStatus.Removed })
        {
            var known = before.WithoutEarlierCustomer(before.WixRemovedAt < issuedAt ? before.WixRemovedAt : null);
            return issuedAt > (known.WixInstalledAt ?? DateTimeOffset.MinValue) ? known.SeenInstalled(issuedAt, now) : known;
        }

        // Times of Wix's are whole seconds: one that is equal is not later.
        if (before is { Forgotten: true } || issuedAt <= before?.WixRemovedAt)
        {
            return before!;
        }

        return Next(before, id, mayUseClientCredentials ? InstanceStatus.Active : InstanceStatus.ReinstallRequired, now) with
        {
            MarkedAt = mayUseClientCredentials ? null : now,
            Grant = mayUseClientCredentials ? Grant.ClientCredentials : Grant.RefreshToken,
            DueAt = now,
            LastUsedAt = now,
            WixInstalledAt = issuedAt,
            InstalledBefore = before is not null,
            SetupPending = mayUseClientCredentials && sendSetupCompleted,
        };
    }

    /// <summary>
    /// Wix tells that the app was removed (wix-protocol §10). Of equal times the removal is taken for the later one:
    /// an owner does not consent again within the second in which they removed the app. <paramref name="issuedAt"/> is the
    /// event's <c>iat</c>.
    /// </summary>
    /// <returns><paramref name="before"/> itself when the event changes nothing.</returns>
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
            return isNew ? before.SeenRemovedEarlier(issuedAt, sendSetupCompleted, now) : before.WithoutEarlierCustomer(issuedAt);
        }

        // A repeat of a removal that was already noted or refuted. If install and removal share a second, only a refresh can decide.
        if (!isNew && (issuedAt != before.WixInstalledAt || before.RemovalNotedAt == issuedAt))
        {
            return before;
        }

        // Wix may not have told when the consent was, and of an import it does not.
        var installedAt = Later(Later(before.WixInstalledAt, before.ImportedAt), before.ConsentedAt);
        var isDoubtful = before.Status == InstanceStatus.Active
            && (before.WasInstalledBefore || before.ImportedAt is not null)
            && !(issuedAt - installedAt > RemovalDoubtedFor);
        return isDoubtful
            ? before with { WixRemovedAt = issuedAt, RemovalNotedAt = issuedAt, DueAt = now, UpdatedAt = now }
            : Tombstone(before, id, now) with { WixRemovedAt = issuedAt };
    }

    /// <summary>
    /// An operator forgets the instance. Only a new consent, or an import with <c>revive</c>, brings it back. An unknown instance
    /// is recorded as forgotten too: otherwise an <c>AppInstalled</c> that is still on its way would register it.
    /// </summary>
    /// <returns><paramref name="before"/> itself when it is forgotten already.</returns>
    public static Instance Forget(Instance? before, InstanceId id, DateTimeOffset now) =>
        before is { Forgotten: true, IsErased: true } ? before : Tombstone(before, id, now) with { Forgotten = true };

    /// <summary>Whether it contains no personal data: no customer, no site. Earlier versions' tombstones kept both.</summary>
    public bool IsErased => this is { Customer: null, CustomerNamedAt: null, Site: null, AppVersion: null };

    /// <summary>A tombstone of an earlier version without what it should not have kept.</summary>
    public Instance Erased() => this with { Customer = null, CustomerNamedAt = null, Site = null, AppVersion = null };

    /// <summary>
    /// Whether the same removal is in doubt here as in <paramref name="asked"/>, the record that Wix was asked about: then Wix's
    /// answer settles it.
    /// </summary>
    public bool IsDoubtedAs(Instance asked) => RemovalNotedAt is not null && RemovalNotedAt == asked.RemovalNotedAt;

    /// <summary>The removal in doubt was real: Wix rejects every allowed grant for good.</summary>
    public Instance RemovalConfirmed(DateTimeOffset now) => Tombstone(this, Id, now);

    /// <summary>The removal in doubt was an old event: Wix has issued tokens since.</summary>
    public Instance RemovalRefuted() => this with { RemovalNotedAt = null };

    // Drop times that are too far in the future: compared with them, every later event would look old.
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
    private static Instance Tombstone(Instance? before, InstanceId id, DateTimeOffset now) => Next(before, id, InstanceStatus.Removed, now) with
    {
        Grant = before?.Grant ?? Grant.RefreshToken,
        ConsentedAt = before?.ConsentedAt,
        RefreshedAt = before?.RefreshedAt,
        LastUsedAt = before?.LastUsedAt,
        RemovedAt = before?.RemovedAt ?? now,
        Forgotten = before?.Forgotten ?? false,
    };

    // What an installation, its removal and the next one have in common: ids and times by which late events and lost answers
    // are recognised. Everything else begins anew.
    private static Instance Next(Instance? before, InstanceId id, InstanceStatus status, DateTimeOffset now) => new()
    {
        Id = id,
        Status = status,
        Generation = NextGeneration(before),
        ConsentId = before?.ConsentId,
        InstalledAt = before?.InstalledAt ?? now,
        UpdatedAt = now,
        WixConsentedAt = before?.WixConsentedAt,
        WixInstalledAt = before?.WixInstalledAt,
        WixRemovedAt = before?.WixRemovedAt,
        InstalledBefore = before?.InstalledBefore ?? false,
        ImportedAt = before?.ImportedAt,
        EventSequence = before?.EventSequence,
    };

    private static bool IsAnotherInstallation(Instance before, DateTimeOffset? issuedAt) =>
        (issuedAt - before.WixInstalledAt)?.Duration() > OneInstallation;

    // A reinstall, or a late report of the first install. Either way the tokens are tried, and an earlier removal no longer counts.
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
        var seen = WithoutEarlierCustomer(issuedAt) with { WixRemovedAt = issuedAt, InstalledBefore = true, UpdatedAt = now };
        return SetupCompletedAt < ConsentedAt && Status == InstanceStatus.Active
            ? seen with { SetupCompletedAt = null, SetupPending = sendSetupCompleted, DueAt = sendSetupCompleted ? now : DueAt }
            : seen;
    }

    private static DateTimeOffset? Later(DateTimeOffset? one, DateTimeOffset? other) => one > other ? one : other ?? one;
}
