using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Configuration;
using NCrontab;

namespace WixOAuth.Functions;

/// <summary>The schedules of the timers, read with the parser that the Functions host uses.</summary>
internal static class Schedules
{
    private const string Expected = "should be a cron expression of six fields, seconds first, such as '0 */5 * * * *'";

    // Any time serves: a cron expression that never occurs in nine years, leap years included, never occurs.
    private static readonly DateTime s_anyTime = new(2000, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    // Not in the settings of earlier versions, which go on working: without it the function does not run.
    private const string Backup = "BackupSchedule";

    /// <summary>One line for each schedule that is missing or bad. The Functions host itself reports neither.</summary>
    public static IEnumerable<string> FindProblems(IConfiguration configuration) => new[] { "RefreshSchedule", "HousekeepingSchedule", Backup }
        .Where(setting => !TryParse(configuration[setting], out _) && (setting != Backup || IsBackupSet(configuration)))
        .Select(Describe);

    public static bool IsBackupSet(IConfiguration configuration) => !string.IsNullOrWhiteSpace(configuration[Backup]);

    /// <summary>What to say about a bad schedule.</summary>
    public static string Describe(string name) => $"{name} {Expected}.";

    /// <summary>Reads a cron expression of six fields, seconds first, in UTC.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out CrontabSchedule? schedule)
    {
        schedule = CrontabSchedule.TryParse(text?.Trim(), new CrontabSchedule.ParseOptions { IncludingSeconds = true });
        return schedule is not null && schedule.GetNextOccurrence(s_anyTime, s_anyTime.AddYears(9)) < s_anyTime.AddYears(9);
    }
}
