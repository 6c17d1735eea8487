namespace WixOAuth.Scale;

/// <summary>What is assumed and not simulated. Change a figure here and run again.</summary>
internal static class Model
{
    /// <summary>One request to Table storage in the same region, as the client sees it.</summary>
    public static readonly TimeSpan StorageLatency = TimeSpan.FromMilliseconds(8);

    /// <summary>One refresh at Wix.</summary>
    public static readonly TimeSpan WixLatency = TimeSpan.FromMilliseconds(150);

    /// <summary>Of all installed sites, the part that is ever asked for; the others only get their daily check.</summary>
    public const double PartInUse = 0.4;

    /// <summary>GetTokens of a site in use, on the average of them all.</summary>
    public const double CallsPerDay = 48;

    /// <summary>The site of rank r among those in use has r to this power times fewer calls than the first.</summary>
    public const double ZipfExponent = 1.0;

    /// <summary>By how much the calls swing about their mean in a day, highest at 14:00 UTC.</summary>
    public const double DiurnalSwing = 0.8;

    public const double BusiestHour = 14;

    /// <summary>Keys in an answer of Table storage at most (its documented limit).</summary>
    public const int TablePage = 1_000;

    /// <summary>The memory of an instance of the Function App (infra/main.bicep).</summary>
    public const double InstanceGigabytes = 2;

    /// <summary>Key Vault is asked every 15 minutes for each of the secret and the key, by each of two instances.</summary>
    public const double KeyVaultReadsPerDay = 96 * 2 * 2;

    /// <summary>A log line in Log Analytics, with its columns: an assumption, to be replaced by a look into your own workspace.</summary>
    public const double BytesPerLogLine = 600;

    /// <summary>An activity there, likewise assumed.</summary>
    public const double BytesPerActivity = 1_000;

    /// <summary>
    /// Refresh and Wix refresh. The sampler's five traces a second do not bound them: those of a sweep are all of its one
    /// trace, and what a parent is sampled for, its children are too.
    /// </summary>
    public const double ActivitiesPerRefresh = 2;

    public const double DaysPerMonth = 365.25 / 12;
}
