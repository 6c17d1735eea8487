using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Cronos;

namespace WixOAuth.Local;

/// <summary>When a timer function runs: a cron expression in UTC, or a time between two runs.</summary>
internal sealed class Schedule
{
    private readonly CronExpression? _cron;
    private readonly TimeSpan _interval;

    private Schedule(CronExpression? cron, TimeSpan interval)
    {
        _cron = cron;
        _interval = interval;
    }

    /// <summary>Reads six fields (seconds first), five fields as in cron, or a time as hh:mm:ss.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Schedule? schedule)
    {
        schedule = null;
        if (text.Contains(':', StringComparison.Ordinal))
        {
            if (TimeSpan.TryParse(text, CultureInfo.InvariantCulture, out var interval) && interval > TimeSpan.Zero)
            {
                schedule = new Schedule(null, interval);
            }
        }
        else
        {
            var fields = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Length;
            if (CronExpression.TryParse(text, fields == 6 ? CronFormat.IncludeSeconds : CronFormat.Standard, out var cron))
            {
                schedule = new Schedule(cron, TimeSpan.Zero);
            }
        }

        return schedule is not null;
    }

    /// <summary>The first time after <paramref name="now"/>; null when there is none.</summary>
    public DateTimeOffset? After(DateTimeOffset now) => _cron is null ? now + _interval : _cron.GetNextOccurrence(now, TimeZoneInfo.Utc);
}
