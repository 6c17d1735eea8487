using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Maintenance;

/// <summary>Messages of the timers' work. Instances are named, tokens never.</summary>
internal static partial class MaintenanceLog
{
    [LoggerMessage(409, LogLevel.Error, "Instance {InstanceId}: the sweep could not refresh it: {Error}")]
    public static partial void SweepFailed(this ILogger logger, InstanceId instanceId, string error);

    [LoggerMessage(410, LogLevel.Information, "Sweep: {Due} due, {Refreshed} refreshed, {Skipped} skipped, {Failed} failed, app secret suspect: {Suspect}, in {Milliseconds:F0} ms; the longest had been due for {DueLag:F0} s")]
    public static partial void Swept(
        this ILogger logger, int due, int refreshed, int skipped, int failed, bool suspect, double milliseconds, double dueLag);

    [LoggerMessage(430, LogLevel.Error, "The sweep failed ({Error}) after {Refreshed} instances were refreshed and {Failed} were not, in {Milliseconds:F0} ms; the rest stays due")]
    public static partial void SweepAborted(this ILogger logger, string error, int refreshed, int failed, double milliseconds);

    [LoggerMessage(415, LogLevel.Information, "Housekeeping: {Tombstones} tombstones, {DueRows} orphaned due rows and {Tallies} tallies of refreshes removed in {Milliseconds:F0} ms")]
    public static partial void HousekeepingDone(this ILogger logger, int tombstones, int dueRows, int tallies, double milliseconds);

    [LoggerMessage(416, LogLevel.Critical, "A row was skipped, because this version of the program cannot read it: {Problem}")]
    public static partial void RowUnreadable(this ILogger logger, string problem);

    [LoggerMessage(417, LogLevel.Information, "Protection key {KeyId} is the newest: {OnNewest} instances need only it, {Reencrypted} of them were encrypted again; {OnOlder} need an older version")]
    public static partial void ReencryptionDone(this ILogger logger, string keyId, int onNewest, int reencrypted, int onOlder);

    [LoggerMessage(418, LogLevel.Warning, "Protection key {KeyId} is an older version that {Count} instances need: leave it enabled")]
    public static partial void OlderKeyNeeded(this ILogger logger, string keyId, int count);

    [LoggerMessage(419, LogLevel.Warning, "Protection key {KeyId}: the run did not finish in time, after re-encrypting {Reencrypted} instances; leave the older versions enabled, the next run continues")]
    public static partial void ReencryptionUnfinished(this ILogger logger, string keyId, int reencrypted);

    [LoggerMessage(428, LogLevel.Warning, "The state of the sweep could not be saved: {Error}")]
    public static partial void SweepStateNotSaved(this ILogger logger, string error);

    [LoggerMessage(431, LogLevel.Warning, "The instances could not be counted: {Error}")]
    public static partial void InstancesNotCounted(this ILogger logger, string error);

    [LoggerMessage(432, LogLevel.Warning, "{Count} instances had no row in the due index or a due time too far ahead, so no sweep would have refreshed them; they are due now")]
    public static partial void DueRowsAdded(this ILogger logger, int count);

    [LoggerMessage(433, LogLevel.Warning, "Instance {InstanceId}: it was refreshed, but the sweep's follow-up failed: {Error}")]
    public static partial void SweepIncomplete(this ILogger logger, InstanceId instanceId, string error);

    [LoggerMessage(209, LogLevel.Information, "{Count} consumed states and redeemed links were removed")]
    public static partial void ConsumedStatesRemoved(this ILogger logger, int count);
}
