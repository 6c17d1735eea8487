using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Maintenance;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>What the timers start. Nothing is ever thrown to the host: the next tick tries again.</summary>
public sealed class TimerEndpoints(
    RefreshSweep sweep, ConsumedStateCleanup cleanup, Housekeeping housekeeping, TokenReencryption reencryption, TimeProvider time, ILogger<TimerEndpoints> logger)
{
    /// <summary>Maintenance takes up nothing new after this time: hosts end a function after five minutes.</summary>
    public static readonly TimeSpan LongestMaintenance = TimeSpan.FromMinutes(4);

    /// <summary>The timer <c>RefreshTokens</c>. Once an hour consumed states are removed beside the sweep.</summary>
    public Task RefreshTokens(CancellationToken cancellationToken) => Task.WhenAll(
        GuardAsync(() => sweep.RunAsync(cancellationToken)),
        GuardAsync(() => cleanup.RunHourlyAsync(cancellationToken)));

    /// <summary>The timer <c>Housekeeping</c>. Housekeeping takes half of the time at most, so that re-encryption has the other.</summary>
    public async Task Housekeeping(CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(LongestMaintenance, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        await GuardAsync(() => housekeeping.RunAsync(cancellationToken));
        await GuardAsync(() => reencryption.RunAsync(until.Token));
    }

    private async Task GuardAsync(Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (OperationCanceledException)
        {
        }
        catch (Exception exception)
        {
            logger.Unexpected(exception.GetType().Name, exception.StackTrace);
        }
    }
}
