using System.Globalization;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Maintenance.Backup;

/// <summary>Tells whether the last copy is too old.</summary>
/// <param name="container">Where the copies are; null where none are made, which is never overdue.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Told of an overdue copy, once an hour.</param>
internal sealed class BackupMonitor(BackupContainer? container, TimeProvider time, ILogger<BackupMonitor> logger)
{
    /// <summary>Copies are made daily; one that is older than this is overdue.</summary>
    public static readonly TimeSpan OverdueAfter = TimeSpan.FromHours(26);

    private static readonly TimeSpan s_lookEvery = TimeSpan.FromHours(1);
    private (DateTimeOffset At, bool IsOverdue)? _last;

    /// <summary>
    /// Whether the last finished copy, or without one the container itself, is older than <see cref="OverdueAfter"/>. The
    /// blob service is asked once an hour; what it answered holds until then.
    /// </summary>
    /// <exception cref="StorageUnavailableException">The blob service fails.</exception>
    public async Task<bool> IsOverdueAsync(CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();
        if (container is null)
        {
            return false;
        }

        if (_last is { } last && now - last.At < s_lookEvery && now >= last.At)
        {
            // A copy that is finished within the hour ends it at once only in the process that made it.
            return last.IsOverdue;
        }

        // Also when this fails: the next look is in an hour.
        _last = (now, _last?.IsOverdue ?? false);
        await container.InitializeAsync(cancellationToken);
        var newest = await container.ListAsync(cancellationToken) is [.., var name] ? name : null;
        var since = newest is null ? await container.ReadAgeAsync(cancellationToken) : TimeOf(newest);
        var isOverdue = now - since > OverdueAfter;
        if (isOverdue)
        {
            logger.BackupOverdue(newest ?? "none", OverdueAfter.TotalHours);
        }

        _last = (now, isOverdue);
        return isOverdue;
    }

    /// <summary>A copy was just finished.</summary>
    internal void Finished() => _last = (time.GetUtcNow(), false);

    /// <summary>When a copy was begun, by its name; the earliest time for a name that is not a copy's.</summary>
    public static DateTimeOffset TimeOf(string name)
    {
        return DateTimeOffset.TryParseExact(
            name.Split('-')[0], "yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at)
                ? at
                : DateTimeOffset.MinValue;
    }
}
