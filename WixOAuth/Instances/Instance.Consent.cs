namespace WixOAuth.Instances;

/// <summary>
/// The result of a consent. The customer is null where the install began without a link of one; the site, the app's version
/// and the time by Wix's clock are null where Wix did not tell.
/// </summary>
internal sealed record Consent(string? Customer, Site? Site, string? AppVersion, DateTimeOffset? WixIssuedAt, bool SendSetupCompleted);

// A consent in an instance's life.
internal sealed partial record Instance
{
    /// <summary>
    /// A consent and an <c>AppInstalled</c> no further apart are one installation: a code lives that long (wix-protocol
    /// §4).
    /// </summary>
    public static readonly TimeSpan OneInstallation = TimeSpan.FromMinutes(10);

    /// <summary>
    /// The owner consented: new tokens. An upgrade keeps the completed set-up; after a removal, or where only a
    /// reinstall could help, it is a new installation, whose set-up Wix waits for again (wix-protocol §6, §9). The tokens are
    /// encrypted for <see cref="NextGeneration"/>.
    /// </summary>
    /// <returns><paramref name="before"/> itself when it is of a newer consent, whose tokens are the good ones.</returns>
    public static Instance Consented(Instance? before, InstanceId id, Consent consent, ProtectedTokens tokens, string consentId, DateTimeOffset now)
    {
        before = before?.WithPlausibleWixTimes(now);
        consent = consent with { WixIssuedAt = Capped(consent.WixIssuedAt, now) };

        // A consent is saved while its code is valid. A stored time further ahead is due to a wrong clock, and must not prevent the
        // site from being connected again.
        if (before?.WixConsentedAt - consent.WixIssuedAt is { } ahead && ahead > TimeSpan.Zero && ahead <= OneInstallation)
        {
            return before!;
        }

        var (customer, namedAt) = CustomerAfter(before, consent.Customer, consent.WixIssuedAt ?? now);
        var setupCompletedAt = before is { Status: InstanceStatus.Active } ? before.SetupCompletedAt : null;
        var installedAt = Later(before?.WixInstalledAt, consent.WixIssuedAt);
        return Next(before, id, InstanceStatus.Active, now).WithTokens(tokens, consentId, now) with
        {
            Grant = Grant.RefreshToken,
            Customer = customer,
            CustomerNamedAt = namedAt,
            Site = consent.Site ?? SiteOf(before),
            AppVersion = consent.AppVersion ?? before?.AppVersion,
            ConsentId = consentId,
            ConsentedAt = now,
            LastUsedAt = now,
            WixConsentedAt = consent.WixIssuedAt ?? before?.WixConsentedAt,
            WixInstalledAt = installedAt,

            // A removal overtook this consent: what it brought may be void already.
            RemovalNotedAt = consent.WixIssuedAt is not null && before?.WixRemovedAt > installedAt ? before.WixRemovedAt : null,
            InstalledBefore = before is not null
                && (before.WasInstalledBefore || before.ConsentedAt is not null || IsAnotherInstallation(before, consent.WixIssuedAt)),
            SetupCompletedAt = setupCompletedAt,
            SetupPending = consent.SendSetupCompleted && setupCompletedAt is null,
            CustomerConflictAt = IsCustomerConflict(before, consent) ? now : null,
        };
    }

    /// <summary>
    /// Whether a consent names another customer than the one the site belongs to: a customer is never overwritten, since
    /// the bearer of a link could take over the site's account.
    /// </summary>
    public static bool IsCustomerConflict(Instance? before, Consent consent) =>
        consent.Customer is { } customer && CustomerOf(before) is { } present && present != customer;

    /// <summary>
    /// Our own app sets the customer that the site belongs to; null for none. Naming the stored one again renews the time, because Wix
    /// may tell of an earlier removal later.
    /// </summary>
    /// <returns>This instance itself when it has that customer since <paramref name="now"/> already.</returns>
    public Instance WithCustomer(string? customer, DateTimeOffset now) =>
        Customer == customer && (customer is null || CustomerNamedAt >= now)
            ? this
            : this with { Customer = customer, CustomerNamedAt = customer is null ? null : now, UpdatedAt = now };

    // A named customer never replaces a stored one. Naming the stored one again renews the time.
    private static (string? Customer, DateTimeOffset? NamedAt) CustomerAfter(Instance? before, string? named, DateTimeOffset at) =>
        CustomerOf(before) is { } present
            ? (present, present == named ? at : before!.CustomerNamedAt)
            : (named, named is null ? null : at);

    // A removed instance has none, even where an earlier version left it in the row.
    private static string? CustomerOf(Instance? before) =>
        before is { Status: not InstanceStatus.Removed } ? before.WithoutEarlierCustomer(before.RemovalNotedAt).Customer : null;

    // After a removal another owner may install the app: a customer that was named before the removal does not apply to them.
    private Instance WithoutEarlierCustomer(DateTimeOffset? removedAt) =>
        Customer is null || removedAt is null || CustomerNamedAt > removedAt ? this : this with { Customer = null, CustomerNamedAt = removedAt };

    private static Site? SiteOf(Instance? before) => before is { Status: not InstanceStatus.Removed } ? before.Site : null;
}
