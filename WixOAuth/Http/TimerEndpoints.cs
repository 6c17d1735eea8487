using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>What the timers start. Nothing is ever thrown to the host: the next tick tries again.</summary>
public sealed class TimerEndpoints(
    RefreshSweep sweep,
    Housekeeping housekeeping,
    TokenReencryption reencryption,
    BackupTimer backup,
    BackupMonitor backups,
    TimeProvider time,
    ILogger<TimerEndpoints> logger)
{
    /// <summary>The timer <c>RefreshTokens</c>.</summary>
    public async Task RefreshTokens(CancellationToken cancellationToken)
    {
        await GuardAsync(() => sweep.RunAsync(cancellationToken));

        // It asks once an hour, and logs what the alert waits for.
        await GuardAsync(() => backups.IsOverdueAsync(cancellationToken));
    }

    /// <summary>The timer <c>Housekeeping</c>.</summary>
    public async Task Housekeeping(CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(Tokens.Housekeeping.LongestRun, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        await GuardAsync(() => housekeeping.RunAsync(cancellationToken));
        await GuardAsync(() => reencryption.RunAsync(until.Token));
    }

    /// <summary>The timer <c>Backup</c>.</summary>
    public Task Backup(CancellationToken cancellationToken) => GuardAsync(() => backup.RunAsync(cancellationToken));

    private async Task GuardAsync(Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (OperationCanceledException)
        {
        }
        catch (StorageUnavailableException exception)
        {
            logger.Unavailable(exception.GetType().Name);
        }
        catch (Exception exception)
        {
            logger.Unexpected(exception.GetType().Name, exception.StackTrace);
        }
    }
}
