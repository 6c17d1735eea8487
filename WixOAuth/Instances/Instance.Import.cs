namespace WixOAuth.Instances;

/// <summary>
/// What an import knows of a site besides its tokens; null for what neither the import nor Wix tells.
/// <paramref name="Revive"/> says whether a removed or forgotten site may come back.
/// </summary>
internal sealed record ImportedSite(string? Customer, DateTimeOffset? ConsentedAt, bool Revive, Site? Site, string? AppVersion);

/// <summary>
/// How an import ends, as <c>outcome</c> of the contract; <see cref="Removed"/> and the values after it are errors there.
/// <see cref="Instance.DecideImport"/> decides it.
/// </summary>
internal enum ImportOutcome
{
    Imported,
    Refreshed,
    Unchanged,
    Kept,
    Removed,

    /// <summary>No refresh token was given, and the settings forbid client credentials.</summary>
    TokenRequired,

    /// <summary>Wix refuses the token, or it belongs to another instance or app; nothing was saved.</summary>
    Rejected,

    /// <summary>Wix gave no clear answer; nothing was saved.</summary>
    WixUnavailable,
}

// An import in an instance's life.
internal sealed partial record Instance
{
    /// <summary>
    /// Decides what an import does to a stored instance. A working refresh token is replaced only by one of a later consent; a
    /// rejected, unreadable or missing one is replaced by any.
    /// </summary>
    public static ImportOutcome DecideImport(Instance? before, ImportedSite site, bool hasToken, bool isSameToken) => before switch
    {
        null => ImportOutcome.Imported,
        { Status: InstanceStatus.Removed } => site.Revive ? ImportOutcome.Imported : ImportOutcome.Removed,
        { Status: InstanceStatus.Active, RefreshTokenState: RefreshTokenState.Ok } when isSameToken => ImportOutcome.Unchanged,
        { Status: InstanceStatus.Active, RefreshTokenState: RefreshTokenState.Ok } =>
            hasToken && Nullable.Compare(site.ConsentedAt, before.ConsentedAt) > 0 ? ImportOutcome.Refreshed : ImportOutcome.Kept,
        _ => hasToken ? ImportOutcome.Refreshed : ImportOutcome.Kept,
    };

    /// <summary>
    /// The instance has the imported tokens, which <see cref="DecideImport"/> allowed. They are encrypted for
    /// <see cref="NextGeneration"/>.
    /// </summary>
    public static Instance Imported(Instance? before, InstanceId id, ImportedSite site, ProtectedTokens tokens, string importId, DateTimeOffset now)
    {
        var known = before is { Status: InstanceStatus.Removed } ? null : before;

        // Also while a removal is in doubt: an import never replaces a customer.
        var (customer, namedAt) = CustomerAfter(known is null ? null : known with { RemovalNotedAt = null }, site.Customer, now);
        return Next(before, id, InstanceStatus.Active, now).WithTokens(tokens, importId, now) with
        {
            Grant = tokens.Refresh is null ? Grant.ClientCredentials : Grant.RefreshToken,
            Customer = customer,
            CustomerNamedAt = namedAt,
            Site = site.Site ?? known?.Site,
            AppVersion = site.AppVersion ?? known?.AppVersion,

            // A revived site starts from the beginning, so that no tombstone of an older copy takes precedence.
            InstalledAt = known?.InstalledAt ?? now,

            // A consent of before the removal is over. With its time, the row of an older copy would take precedence.
            ConsentedAt = site.ConsentedAt <= before?.RemovedAt ? null : Later(site.ConsentedAt, known?.ConsentedAt),

            // An import does not count as a use: imported sites are not kept warm until they are used.
            LastUsedAt = known?.LastUsedAt ?? site.ConsentedAt,
            WixInstalledAt = Later(before?.WixInstalledAt, site.ConsentedAt),
            InstalledBefore = before?.WasInstalledBefore ?? false,
            SetupCompletedAt = known?.SetupCompletedAt,
            SetupPending = known?.SetupPending ?? false,
            ImportedAt = now,
        };
    }
}
