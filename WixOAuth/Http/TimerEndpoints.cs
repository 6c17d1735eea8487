using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Storage;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>What timers and the queue start. Nothing is ever thrown to the host: the next tick tries again.</summary>
public sealed partial class TimerEndpoints(
    RefreshSweep sweep, Housekeeping housekeeping, Reprotection reprotection, TimeProvider time, ILogger<TimerEndpoints> logger, ShardMessages? shards = null)
{
    /// <summary>The timer <c>RefreshTokens</c>: sweeps, or has the shards swept by whoever takes their messages.</summary>
    public Task RefreshTokens(CancellationToken cancellationToken) => GuardAsync(async () =>
    {
        if (shards is null || !await shards.TrySendAllAsync(cancellationToken))
        {
            await sweep.RunAsync(cancellationToken);
        }
    });

    /// <summary>A message of the queue <c>refresh-shards</c>: a shard's number. Anything else is dropped, and logged.</summary>
    public Task RefreshShard(string? message, CancellationToken cancellationToken)
    {
        if (InstanceShard.TryParse(message, out var shard))
        {
            return GuardAsync(() => sweep.RunAsync(shard, cancellationToken));
        }

        NotAShard(message?.Length ?? 0);
        return Task.CompletedTask;
    }

    /// <summary>The timer <c>Housekeeping</c>.</summary>
    public async Task Housekeeping(CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(Tokens.Housekeeping.LongestRun, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        await GuardAsync(() => housekeeping.RunAsync(cancellationToken));
        await GuardAsync(() => reprotection.RunAsync(until.Token));
    }

    [LoggerMessage(512, LogLevel.Warning, "A message of {Length} characters in the queue refresh-shards is no shard's number; it was dropped")]
    private partial void NotAShard(int length);

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
