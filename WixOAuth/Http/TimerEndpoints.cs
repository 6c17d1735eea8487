using Microsoft.Extensions.Logging;
using WixOAuth.Events;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>What the timers start. Nothing is ever thrown to the host: the next tick tries again.</summary>
public sealed class TimerEndpoints(
    RefreshSweep sweep,
    Housekeeping housekeeping,
    Reprotection reprotection,
    ParkedEvents parked,
    TimeProvider time,
    ILogger<TimerEndpoints> logger,
    EventDelivery? events = null)
{
    /// <summary>The timer <c>RefreshTokens</c>.</summary>
    public Task RefreshTokens(CancellationToken cancellationToken) =>
        Task.WhenAll(GuardAsync(() => sweep.RunAsync(cancellationToken)), GuardAsync(() => DeliverEventsAsync(cancellationToken)));

    /// <summary>The timer <c>Housekeeping</c>.</summary>
    public async Task Housekeeping(CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(Tokens.Housekeeping.LongestRun, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        await GuardAsync(() => housekeeping.RunAsync(cancellationToken));
        await GuardAsync(() => reprotection.RunAsync(until.Token));
        await GuardAsync(() => parked.RemoveOldAsync(until.Token));
    }

    private async Task DeliverEventsAsync(CancellationToken cancellationToken)
    {
        if (events is not null)
        {
            await events.DeliverWaitingAsync(cancellationToken);
            await parked.CountAsync(cancellationToken);
        }
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
