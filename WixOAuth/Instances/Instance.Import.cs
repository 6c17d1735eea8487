namespace WixOAuth.Instances;

/// <summary>What an import knows of a site besides its tokens.</summary>
/// <param name="Customer">The customer it belongs to; null where the import does not say.</param>
/// <param name="ConsentedAt">When its owner consented; null where the import does not say.</param>
/// <param name="Revive">Whether a removed or forgotten site may come back.</param>
/// <param name="Site">The site, if Wix told.</param>
/// <param name="AppVersion">The app's version, if Wix told.</param>
internal sealed record ImportedSite(string? Customer, DateTimeOffset? ConsentedAt, bool Revive, Site? Site, string? AppVersion);

/// <summary>What an import does to an instance, as <c>outcome</c> of the contract; the last one is an error there.</summary>
internal enum ImportOutcome
{
    /// <summary>The instance was not known, or was revived: it has the imported token now.</summary>
    Imported,

    /// <summary>The instance was known and has the imported token now.</summary>
    Refreshed,

    /// <summary>The stored refresh token is the imported one, and works.</summary>
    Unchanged,

    /// <summary>The stored refresh token works and is of the same consent or a later one: nothing changed.</summary>
    Kept,

    /// <summary>The app was removed from the site, or the site was forgotten; nothing changed.</summary>
    Removed,
}

// An import in an instance's life.
internal sealed partial record Instance
{
    /// <summary>
    /// What an import does to what is stored. A refresh token that works gives way only to one of a later consent; one
    /// that is rejected, unreadable or missing gives way to any.
    /// </summary>
    /// <param name="before">What is known.</param>
    /// <param name="site">What is imported.</param>
    /// <param name="hasToken">Whether a refresh token is imported with it.</param>
    /// <param name="isSameToken">Whether that is the stored one.</param>
    public static ImportOutcome DecideImport(Instance? before, ImportedSite site, bool hasToken, bool isSameToken)
    {
        return before switch
        {
            null => ImportOutcome.Imported,
            { Status: InstanceStatus.Removed } => site.Revive ? ImportOutcome.Imported : ImportOutcome.Removed,
            { Status: InstanceStatus.Active, RefreshTokenState: RefreshTokenState.Ok } when isSameToken => ImportOutcome.Unchanged,
            { Status: InstanceStatus.Active, RefreshTokenState: RefreshTokenState.Ok } =>
                hasToken && Nullable.Compare(site.ConsentedAt, before.ConsentedAt) > 0 ? ImportOutcome.Refreshed : ImportOutcome.Kept,
            _ => hasToken ? ImportOutcome.Refreshed : ImportOutcome.Kept,
        };
    }

    /// <summary>The instance has the imported tokens.</summary>
    /// <param name="before">What is known, for which <see cref="DecideImport"/> said so.</param>
    /// <param name="id">Of which instance.</param>
    /// <param name="site">What is imported.</param>
    /// <param name="tokens">Its tokens, encrypted for <see cref="NextGeneration"/>.</param>
    /// <param name="importId">The import's own id.</param>
    /// <param name="now">The time.</param>
    public static Instance Imported(Instance? before, InstanceId id, ImportedSite site, ProtectedTokens tokens, string importId, DateTimeOffset now)
    {
        var known = before is { Status: InstanceStatus.Removed } ? null : before;
        return Next(before, id, InstanceStatus.Active, now).WithTokens(tokens, importId, now) with
        {
            Grant = tokens.Refresh is null ? Grant.ClientCredentials : Grant.RefreshToken,
            Customer = known?.Customer ?? site.Customer,
            Site = site.Site ?? known?.Site,
            AppVersion = site.AppVersion ?? known?.AppVersion,

            // A revived site starts from the beginning, so that no tombstone of an older copy takes precedence.
            InstalledAt = known?.InstalledAt ?? now,
            ConsentedAt = Later(site.ConsentedAt, known?.ConsentedAt),

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
