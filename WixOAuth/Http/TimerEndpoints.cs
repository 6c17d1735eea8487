using Microsoft.Extensions.Logging;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>What the timers start. Nothing is ever thrown to the host: the next tick tries again.</summary>
public sealed class TimerEndpoints(RefreshSweep sweep, Housekeeping housekeeping, ILogger<TimerEndpoints> logger)
{
    /// <summary>The timer <c>RefreshTokens</c>.</summary>
    public Task RefreshTokens(CancellationToken cancellationToken) => GuardAsync(() => sweep.RunAsync(cancellationToken));

    /// <summary>The timer <c>Housekeeping</c>.</summary>
    public Task Housekeeping(CancellationToken cancellationToken) => GuardAsync(() => housekeeping.RunAsync(cancellationToken));

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
