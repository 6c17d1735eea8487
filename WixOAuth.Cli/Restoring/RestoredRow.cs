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

    public static RestoredRow Read(TableEntity row)
    {
        var consentedAt = Time("ConsentedAt");
        return new RestoredRow(
            row.TryGetValue("Status", out var word) && word is string text ? SnakeCaseEnum.Parse<InstanceStatus>(text) : null,
            consentedAt ?? Time("ImportedAt"),
            Latest(consentedAt, Time("InstalledAt"), Time("WixInstalledAt")),
            Time("RemovedAt"),
            Time("WixRemovedAt"),
            row.TryGetValue("Generation", out var generation) && generation is long number ? number : 0,
            row.TryGetValue("Forgotten", out var forgotten) && forgotten is true)
        {
            DueAt = Time("DueAt"),
        };

        DateTimeOffset? Time(string name) => row.TryGetValue(name, out var value) ? value as DateTimeOffset? : null;
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

        return (Status == InstanceStatus.Removed, current.Status == InstanceStatus.Removed) switch
        {
            (true, false) => RemovedAt >= current.ConnectedAt,
            (false, true) => !(Latest(current.RemovedAt, current.WixRemovedAt) >= ConnectedAt),

            // Within one consent a removal was refuted, or is still in doubt.
            (false, false) when current.ConsentedAt != ConsentedAt && current.WixRemovedAt >= ConnectedAt => false,
            _ => Compare(this, current) > 0,
        };
    }

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
