using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Cli.Restoring;

/// <summary>
/// What a restore has to know of an instance's row, read leniently: a row of another version, or a damaged one, still
/// has a place in the order. <paramref name="ConsentedAt"/> is the time of the import when the consent is not known.
/// <paramref name="ConnectedAt"/> is the latest of the consent, the first save and Wix's time of the installation.
/// <paramref name="WixRemovedAt"/> is the last removal by Wix's clock, even if the site was installed again since.
/// </summary>
internal readonly record struct RestoredRow(
    InstanceStatus? Status,
    DateTimeOffset? ConsentedAt,
    DateTimeOffset? ConnectedAt,
    DateTimeOffset? RemovedAt,
    DateTimeOffset? WixRemovedAt,
    long Generation,
    bool Forgotten)
{
    public DateTimeOffset? DueAt { get; init; }

    public string? Customer { get; init; }

    /// <summary>
    /// Whether there never was a consent or an import: webhooks alone made it. In a table that was not lost, no such row follows one that
    /// was forgotten.
    /// </summary>
    public bool IsOfWebhooksAlone => ConsentedAt is null && !HadConsent;

    private bool HasRefreshToken { get; init; }

    private bool HadConsent { get; init; }

    private bool InstalledBefore { get; init; }

    private DateTimeOffset? InstalledAt { get; init; }

    private DateTimeOffset? ImportedAt { get; init; }

    private DateTimeOffset? WixInstalledAt { get; init; }

    private bool IsRemoved => Status == InstanceStatus.Removed;

    public static RestoredRow Read(TableEntity row)
    {
        var (consentedAt, importedAt, installedAt, wixInstalledAt) = (Time("ConsentedAt"), Time("ImportedAt"), Time("InstalledAt"), Time("WixInstalledAt"));
        return new RestoredRow(
            Value("Status") is string text ? SnakeCaseEnum.Parse<InstanceStatus>(text) : null,
            consentedAt ?? importedAt,
            Latest(consentedAt, installedAt, wixInstalledAt),
            Time("RemovedAt"),
            Time("WixRemovedAt"),
            Value("Generation") is long number ? number : 0,
            Value("Forgotten") is true)
        {
            DueAt = Time("DueAt"),
            Customer = Value("Customer") as string,
            HasRefreshToken = Value("RefreshToken") is byte[],
            HadConsent = Value("ConsentId") is string,
            InstalledBefore = Value("InstalledBefore") is true,
            InstalledAt = installedAt,
            ImportedAt = importedAt,
            WixInstalledAt = wixInstalledAt,
        };

        object? Value(string name) => row.TryGetValue(name, out var value) ? value : null;

        DateTimeOffset? Time(string name) => Value(name) as DateTimeOffset?;
    }

    /// <summary>
    /// Whether this row, of a copy, takes the place of the one that is there: the later consent wins, within one consent
    /// the higher generation. A removal beats only consents that are older than it, also where the site was installed again
    /// since: the tokens and the customer of before must not come back.
    /// </summary>
    public bool Replaces(RestoredRow current)
    {
        if (current.Status is null || Status is null)
        {
            return Status is not null;
        }

        return (IsRemoved, current.IsRemoved) switch
        {
            (true, false) => Ends(current),
            (false, true) => !(current.Ends(this) || current.WixRemovedAt >= ConnectedAt),
            (true, true) when Forgotten != current.Forgotten => Forgotten ? !(current.ConsentedAt > RemovedAt) : ConsentedAt > current.RemovedAt,

            // Within one consent a removal was refuted, or is still in doubt.
            (false, false) when current.ConsentedAt != ConsentedAt && current.WixRemovedAt >= ConnectedAt => false,
            (false, false) when BringsTokenBackTo(current) => true,
            (false, false) when current.BringsTokenBackTo(this) => false,
            _ => Compare(this, current) > 0,
        };
    }

    /// <summary>
    /// Whether this row's customer ends with it when <paramref name="other"/> stays, and not because the site was removed since,
    /// or because our own app changed the customer of one and the same row.
    /// </summary>
    public bool LosesCustomerTo(RestoredRow other) =>
        Customer is not null && Customer != other.Customer
        && !IsRemoved && !other.IsRemoved
        && InstalledAt != other.InstalledAt
        && !(other.WixRemovedAt >= ConnectedAt)
        && !(other.InstalledBefore && other.ImportedAt > ConnectedAt);

    // Whether this tombstone ends an installed site. Wix repeats webhooks, also into an emptied table: what they make there is as old as
    // Wix says, though by our clock it is of now. No AppInstalled revives a forgotten site.
    private bool Ends(RestoredRow site)
    {
        if (Forgotten && site.IsOfWebhooksAlone)
        {
            return true;
        }

        if (!Forgotten && site.ConsentedAt is null)
        {
            return (WixRemovedAt ?? RemovedAt) >= (site.WixInstalledAt ?? site.ConnectedAt);
        }

        var neverKnewIt = !Forgotten && InstalledAt > site.ConnectedAt;
        return (neverKnewIt ? WixRemovedAt ?? RemovedAt : RemovedAt) >= site.ConnectedAt;
    }

    // Whether the other row is of a site that was imported without its token into an emptied table, and of no other customer.
    private bool BringsTokenBackTo(RestoredRow other) =>
        HasRefreshToken && other is { HasRefreshToken: false, InstalledBefore: false }
        && other.ImportedAt > ConnectedAt
        && (other.Customer is null || other.Customer == Customer);

    private static int Compare(RestoredRow one, RestoredRow other)
    {
        var consents = Nullable.Compare(one.ConsentedAt, other.ConsentedAt);
        return consents != 0 ? consents : (one.Forgotten, one.Generation).CompareTo((other.Forgotten, other.Generation));
    }

    private static DateTimeOffset? Latest(params ReadOnlySpan<DateTimeOffset?> times)
    {
        DateTimeOffset? latest = null;
        foreach (var time in times)
        {
            latest = Nullable.Compare(time, latest) > 0 ? time : latest;
        }

        return latest;
    }
}
