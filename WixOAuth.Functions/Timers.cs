using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;
using WixOAuth.Maintenance;

namespace WixOAuth.Functions;

/// <summary>Functions that run on a schedule, and the queue function that sweeps one shard.</summary>
public sealed class Timers(IServiceProvider services)
{
    [Function(nameof(RefreshTokens))]
    public Task RefreshTokens([TimerTrigger("%RefreshSchedule%")] TimerInfo timer, CancellationToken cancellationToken) =>
        TimerEndpoints.RunAsync(services, nameof(RefreshTokens), (timers, until) => timers.RefreshTokens(until), cancellationToken);

    [Function(nameof(RefreshShard))]
    public Task RefreshShard([QueueTrigger(ShardMessages.Name, Connection = "Sweep")] string shard, CancellationToken cancellationToken) =>
        TimerEndpoints.RunAsync(services, nameof(RefreshShard), (timers, until) => timers.RefreshShard(shard, until), cancellationToken);

    [Function(nameof(Housekeeping))]
    public Task Housekeeping([TimerTrigger("%HousekeepingSchedule%")] TimerInfo timer, CancellationToken cancellationToken) =>
        TimerEndpoints.RunAsync(services, nameof(Housekeeping), (timers, until) => timers.Housekeeping(until), cancellationToken);

    [Function(nameof(Backup))]
    public Task Backup([TimerTrigger("%BackupSchedule%")] TimerInfo timer, CancellationToken cancellationToken) =>
        TimerEndpoints.RunAsync(services, nameof(Backup), (timers, until) => timers.Backup(until), cancellationToken);
}
