using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth.Events;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Maintenance.Backup;

namespace WixOAuth.Http;

/// <summary>
/// What the timers and the queue run. A failure is thrown to the host as a <see cref="TimerFailedException"/>, so that the
/// host reports the run as failed; the next tick tries again.
/// </summary>
internal sealed partial class TimerEndpoints(
    RefreshSweep sweep,
    ConsumedStateCleanup cleanup,
    Housekeeping housekeeping,
    TokenReencryption reencryption,
    BackupMonitor backups,
    ParkedEvents parked,
    TimeProvider time,
    ILogger<TimerEndpoints> logger,

    // Eleven: nine do the work of the timers, then the clock and the log. The last three are registered by settings.
    ShardMessages? shards = null,
    EventDelivery? events = null,
    BackupRun? backup = null)
{
    /// <summary>Maintenance starts nothing new after this time: hosts end a function after five minutes.</summary>
    public static readonly TimeSpan LongestMaintenance = TimeSpan.FromMinutes(4);

    private int _toldOfNoBackup;

    /// <summary>Resolves the endpoints and runs a function, until it ends, or the host cancels it or stops.</summary>
    /// <exception cref="TimerFailedException">They cannot be resolved, or the run failed.</exception>
    public static async Task RunAsync(
        IServiceProvider services, string function, Func<TimerEndpoints, CancellationToken, Task> run, CancellationToken cancellationToken)
    {
        TimerEndpoints timers;
        CancellationToken stopping;
        try
        {
            (timers, stopping) = (services.GetRequiredService<TimerEndpoints>(), services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
        }
        catch (Exception exception)
        {
            throw Failed(services.GetRequiredService<ILogger<TimerEndpoints>>(), function, exception);
        }

        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, stopping);
        await run(timers, until.Token);
    }

    /// <summary>
    /// The timer <c>RefreshTokens</c>: sweeps, or queues one message for each shard. In parallel it delivers waiting events, logs
    /// an overdue backup and, once an hour, removes consumed states.
    /// </summary>
    /// <exception cref="TimerFailedException">One of these failed.</exception>
    public async Task RefreshTokens(CancellationToken cancellationToken) => ThrowIfAny(await Task.WhenAll(
        FailureOfAsync(nameof(RefreshTokens), () => SweepOrSendAsync(cancellationToken), cancellationToken),
        FailureOfAsync(nameof(RefreshTokens), () => cleanup.RunHourlyAsync(cancellationToken), cancellationToken),
        FailureOfAsync(nameof(RefreshTokens), () => DeliverEventsAsync(cancellationToken), cancellationToken),
        FailureOfAsync(nameof(RefreshTokens), () => backups.IsOverdueAsync(cancellationToken), cancellationToken)));

    /// <summary>A message of the queue <c>refresh-shards</c>: a shard's number. Anything else is dropped, and logged.</summary>
    /// <exception cref="TimerFailedException">The sweep failed.</exception>
    public async Task RefreshShard(string? message, CancellationToken cancellationToken)
    {
        if (InstanceShard.TryParse(message, out var shard))
        {
            ThrowIfAny(await FailureOfAsync(nameof(RefreshShard), () => sweep.RunAsync(cancellationToken, shard), cancellationToken));
        }
        else
        {
            NotAShard(message?.Length ?? 0);
        }
    }

    /// <summary>
    /// The timer <c>Housekeeping</c>. Housekeeping takes at most half of the time. Re-encryption and the removal of old events
    /// share the rest, and run even when housekeeping fails.
    /// </summary>
    /// <exception cref="TimerFailedException">Housekeeping, re-encryption or the removal of old events failed.</exception>
    public async Task Housekeeping(CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(LongestMaintenance, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);

        // Without a receiver nobody delivers or parks what waits.
        var part = events is null ? OutboxPart.All : OutboxPart.Parked;
        ThrowIfAny(
            await FailureOfAsync(nameof(Housekeeping), () => housekeeping.RunAsync(cancellationToken), cancellationToken),
            await FailureOfAsync(nameof(Housekeeping), () => reencryption.RunAsync(until.Token), until.Token),
            await FailureOfAsync(nameof(Housekeeping), () => parked.RemoveOldAsync(part, until.Token), until.Token));
    }

    private async Task DeliverEventsAsync(CancellationToken cancellationToken)
    {
        if (events is not null)
        {
            await events.DeliverWaitingAsync(cancellationToken);
            await parked.CountAsync(cancellationToken);
        }
    }

    /// <summary>The timer <c>Backup</c>: copies the table, or says once that no copies are configured.</summary>
    /// <exception cref="TimerFailedException">The copy failed.</exception>
    public async Task Backup(CancellationToken cancellationToken)
    {
        if (backup is { } run)
        {
            var copying = async () =>
            {
                await run.RunAsync(progress: null, cancellationToken);
                backups.Finished();
            };
            ThrowIfAny(await FailureOfAsync(nameof(Backup), copying, cancellationToken));
        }
        else if (Interlocked.Exchange(ref _toldOfNoBackup, 1) == 0)
        {
            BackupNotConfigured();
        }
    }

    private async Task SweepOrSendAsync(CancellationToken cancellationToken)
    {
        if (shards is null || !await shards.TrySendAllAsync(cancellationToken))
        {
            await sweep.RunAsync(cancellationToken);
        }
    }

    [LoggerMessage(512, LogLevel.Warning, "A message of {Length} characters in the queue refresh-shards is not a shard number and was dropped")]
    private partial void NotAShard(int length);

    private async Task<TimerFailedException?> FailureOfAsync(string function, Func<Task> work, CancellationToken cancellationToken)
    {
        try
        {
            await work();
            return null;
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            return null;
        }
        catch (Exception exception)
        {
            return Failed(logger, function, exception);
        }
    }

    private static TimerFailedException Failed(ILogger logger, string function, Exception exception)
    {
        LogFailed(logger, function, exception.GetType().Name, exception.StackTrace);
        return new TimerFailedException($"{function} failed: {exception.GetType().Name}.");
    }

    private static void ThrowIfAny(params IEnumerable<TimerFailedException?> failures)
    {
        if (failures.FirstOrDefault(failure => failure is not null) is { } first)
        {
            throw first;
        }
    }

    [LoggerMessage(723, LogLevel.Warning, "No backups are made: neither Backup__ServiceUri nor Backup__ConnectionString is set. A deleted table would be lost")]
    private partial void BackupNotConfigured();

    [LoggerMessage(303, LogLevel.Error, "The timer function {Function} failed: {Error} {Stack}")]
    private static partial void LogFailed(ILogger logger, string function, string error, string? stack);
}

/// <summary>
/// Tells the host that a timer function failed. The host logs message and stack, so neither the cause nor its message is
/// in here: it may quote a secret.
/// </summary>
internal sealed class TimerFailedException(string message) : Exception(message);
