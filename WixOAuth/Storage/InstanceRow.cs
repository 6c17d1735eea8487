using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>An instance as a row of the table: one property for each that is known.</summary>
internal static class InstanceRow
{
    public static TableEntity Of(Instance instance)
    {
        var row = new TableEntity(InstanceRows.ShardOf(instance.Id), InstanceRows.InstanceKey(instance.Id));
        row.Put("Status", SnakeCaseEnum.Of(instance.Status));
        row.Put("Grant", SnakeCaseEnum.Of(instance.Grant));
        row.Put("AccessTokenGrant", instance.AccessTokenGrant is { } grant ? SnakeCaseEnum.Of(grant) : null);
        row.Put("Customer", instance.Customer);
        row.Put("CustomerNamedAt", instance.CustomerNamedAt);
        row.Put("SiteId", instance.Site?.Id);
        row.Put("SiteName", instance.Site?.Name);
        row.Put("SiteUrl", instance.Site?.Url);
        row.Put("AppVersion", instance.AppVersion);
        row.Put("RefreshToken", instance.RefreshToken);
        row.Put("RefreshTokenGeneration", instance.RefreshTokenGeneration);
        if (instance.RefreshTokenFault is { } fault)
        {
            row.Put("RefreshTokenFault", SnakeCaseEnum.Of(fault.Kind));
            row.Put("RefreshTokenFaultSince", fault.Since);
            row["RefreshTokenTries"] = fault.Tries;
            row.Put("RefreshTokenRetryAt", fault.RetryAt);
        }

        row.Put("AccessToken", instance.AccessToken);
        row.Put("AccessTokenIssuedAt", instance.AccessTokenIssuedAt);
        row.Put("AccessTokenExpiresOn", instance.AccessTokenExpiresOn);
        row["Generation"] = instance.Generation;
        row.Put("LeaseOwner", instance.Lease?.Owner);
        row.Put("LeaseUntil", instance.Lease?.Until);
        row.Put("CommitId", instance.CommitId);
        row.Put("ConsentId", instance.ConsentId);
        if (instance.Failures is { } failures)
        {
            row["FailureCount"] = failures.Count;
            row["Rejections"] = failures.Rejections;
            row.Put("FirstRejectedAt", failures.FirstRejectedAt);
            row.Put("FailedAt", failures.LastAt);
            row.Put("LastError", SnakeCaseEnum.Of(failures.LastError));
            row.Put("RetryAt", failures.RetryAt);
        }

        if (instance.CountedRejections is { } counted)
        {
            row["CountedRejections"] = counted.Count;
            row.Put("FirstCountedAt", counted.FirstAt);
        }

        row.Put("MarkedAt", instance.MarkedAt);
        row.Put("DueAt", instance.DueAt);
        row.Put("InstalledAt", instance.InstalledAt);
        row.Put("ConsentedAt", instance.ConsentedAt);
        row.Put("UpdatedAt", instance.UpdatedAt);
        row.Put("RefreshedAt", instance.RefreshedAt);
        row.Put("LastUsedAt", instance.LastUsedAt);
        row.Put("RemovedAt", instance.RemovedAt);
        row["Forgotten"] = instance.Forgotten;
        row.Put("WixConsentedAt", instance.WixConsentedAt);
        row.Put("WixInstalledAt", instance.WixInstalledAt);
        row.Put("WixRemovedAt", instance.WixRemovedAt);
        row.Put("RemovalNotedAt", instance.RemovalNotedAt);
        row["InstalledBefore"] = instance.InstalledBefore;
        row.Put("SetupCompletedAt", instance.SetupCompletedAt);
        row["SetupPending"] = instance.SetupPending;
        row.Put("CustomerConflictAt", instance.CustomerConflictAt);
        row.Put("ImportedAt", instance.ImportedAt);
        row.Put("EventSequence", instance.EventSequence);
        return row;
    }

    public static Instance Read(InstanceId id, TableEntity row)
    {
        var from = new RowReader(row);
        return new Instance
        {
            Id = id,
            Status = from.RequiredWord<InstanceStatus>("Status"),
            Grant = from.Word<Grant>("Grant") ?? default,
            AccessTokenGrant = from.Word<Grant>("AccessTokenGrant"),
            Customer = from.Text("Customer"),
            CustomerNamedAt = from.Time("CustomerNamedAt"),
            Site = ReadSite(from),
            AppVersion = from.Text("AppVersion"),
            RefreshToken = from.Protected("RefreshToken"),
            RefreshTokenGeneration = from.Optional<long>("RefreshTokenGeneration"),
            RefreshTokenFault = ReadFault(from),
            AccessToken = from.Protected("AccessToken"),
            AccessTokenIssuedAt = from.Time("AccessTokenIssuedAt"),
            AccessTokenExpiresOn = from.Time("AccessTokenExpiresOn"),
            Generation = from.Required<long>("Generation"),
            Lease = from.Text("LeaseOwner") is { } owner ? new Lease(owner, from.Required<DateTimeOffset>("LeaseUntil")) : null,
            CommitId = from.Text("CommitId"),
            ConsentId = from.Text("ConsentId"),
            Failures = ReadFailures(from),
            CountedRejections = from.Has("CountedRejections")
                ? new CountedRejections(from.Required<int>("CountedRejections"), from.Required<DateTimeOffset>("FirstCountedAt"))
                : null,
            MarkedAt = from.Time("MarkedAt"),
            DueAt = from.Time("DueAt"),
            InstalledAt = from.Required<DateTimeOffset>("InstalledAt"),
            ConsentedAt = from.Time("ConsentedAt"),
            UpdatedAt = from.Required<DateTimeOffset>("UpdatedAt"),
            RefreshedAt = from.Time("RefreshedAt"),
            LastUsedAt = from.Time("LastUsedAt"),
            RemovedAt = from.Time("RemovedAt"),
            Forgotten = from.Flag("Forgotten"),
            WixConsentedAt = from.Time("WixConsentedAt"),
            WixInstalledAt = from.Time("WixInstalledAt"),
            WixRemovedAt = from.Time("WixRemovedAt"),
            RemovalNotedAt = from.Time("RemovalNotedAt"),
            InstalledBefore = from.Flag("InstalledBefore"),
            SetupCompletedAt = from.Time("SetupCompletedAt"),
            SetupPending = from.Flag("SetupPending"),
            CustomerConflictAt = from.Time("CustomerConflictAt"),
            ImportedAt = from.Time("ImportedAt"),
            EventSequence = from.Optional<long>("EventSequence"),
        };
    }

    private static Site? ReadSite(RowReader from)
    {
        var site = new Site(from.Text("SiteId"), from.Text("SiteName"), from.Text("SiteUrl"));
        return site is { Id: null, Name: null, Url: null } ? null : site;
    }

    private static Failures? ReadFailures(RowReader from) =>
        from.Has("FailureCount")
            ? new Failures(
                from.Required<int>("FailureCount"),
                from.Required<int>("Rejections"),
                from.Time("FirstRejectedAt"),
                from.Required<DateTimeOffset>("FailedAt"),
                from.RequiredWord<TokenError>("LastError"),
                from.Time("RetryAt"))
            : null;

    private static RefreshTokenFault? ReadFault(RowReader from) =>
        from.Word<RefreshTokenFaultKind>("RefreshTokenFault") is { } kind
            ? new RefreshTokenFault(
                kind,
                from.Required<DateTimeOffset>("RefreshTokenFaultSince"),
                from.Required<int>("RefreshTokenTries"),
                from.Time("RefreshTokenRetryAt"))
            : null;
}
