using Microsoft.Extensions.Logging;

namespace WixOAuth.Maintenance.Backup;

internal static partial class BackupLog
{
    [LoggerMessage(721, LogLevel.Information, "Backup {Name}: {Instances} sites in {Rows} rows copied in {Milliseconds:F0} ms")]
    public static partial void BackupDone(this ILogger logger, string name, long instances, long rows, double milliseconds);

    [LoggerMessage(722, LogLevel.Error, "The backup failed: {Problem} The next run tries again")]
    public static partial void BackupFailed(this ILogger logger, string problem);

    [LoggerMessage(723, LogLevel.Warning, "No backups are made: neither Backup__ServiceUri nor Backup__ConnectionString is set. A deleted table would be lost")]
    public static partial void BackupNotConfigured(this ILogger logger);

    [LoggerMessage(724, LogLevel.Error, "Backup overdue: the last finished one is {Name}, more than {Hours:F0} hours old")]
    public static partial void BackupOverdue(this ILogger logger, string name, double hours);

    [LoggerMessage(725, LogLevel.Warning, "Backup {Name} has far fewer sites than the one before: {Instances} instead of {Before}")]
    public static partial void BackupShrunk(this ILogger logger, string name, long instances, long before);
}
