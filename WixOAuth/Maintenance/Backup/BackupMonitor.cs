using System.Globalization;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Maintenance.Backup;

internal sealed partial class BackupMonitor(TimeProvider time, ILogger<BackupMonitor> logger, BackupContainer? container = null)
{
    /// <summary>Copies are made daily; one that is older than this is overdue.</summary>
    public static readonly TimeSpan OverdueAfter = TimeSpan.FromHours(26);

    private static readonly TimeSpan s_lookEvery = TimeSpan.FromHours(1);

    // The timer that sweeps waits for it.
    private static readonly TimeSpan s_longestLook = TimeSpan.FromSeconds(5);

    private Look? _last;

    /// <summary>
    /// Whether the last finished copy, or without one the container itself, is older than <see cref="OverdueAfter"/>; never
    /// where no copies are made. The blob service is asked once an hour, and an overdue copy is logged then.
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
            // A new copy is seen at once only by the process that made it; others see it at their next look.
            return IsOverdue(last);
        }

        // Set before the look, so that a failed look is not repeated for an hour. Meanwhile the last known copy still ages.
        _last = (_last ?? new Look(now, "unknown", now)) with { At = now };
        try
        {
            _last = await LookAsync(container, now, cancellationToken);
        }
        finally
        {
            if (IsOverdue(_last))
            {
                BackupOverdue(_last.Newest, OverdueAfter.TotalHours);
            }
        }

        return IsOverdue(_last);
    }

    internal void Finished() => _last = new Look(time.GetUtcNow(), "just finished", time.GetUtcNow());

    /// <summary>When a copy was begun, by its name; the earliest time for a name that is not a copy's.</summary>
    public static DateTimeOffset TimeOf(string name) =>
        DateTimeOffset.TryParseExact(name.Split('-')[0], "yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var at)
            ? at
            : DateTimeOffset.MinValue;

    private bool IsOverdue(Look last) => time.GetUtcNow() - last.MadeAt > OverdueAfter;

    private async Task<Look> LookAsync(BackupContainer copies, DateTimeOffset now, CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(s_longestLook, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        try
        {
            await copies.InitializeAsync(until.Token);
            return await copies.ListAsync(until.Token) is [.., var name]
                ? new Look(now, name, TimeOf(name))
                : new Look(now, "none", await copies.ReadAgeAsync(until.Token));
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new StorageUnavailableException("The blob service did not answer in time.", exception);
        }
    }

    [LoggerMessage(724, LogLevel.Error, "Backup overdue: the last finished one is {Name}, more than {Hours:F0} hours old")]
    private partial void BackupOverdue(string name, double hours);

    private sealed record Look(DateTimeOffset At, string Newest, DateTimeOffset MadeAt);
}
