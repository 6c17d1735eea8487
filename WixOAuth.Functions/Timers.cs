using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>Functions that run on a schedule.</summary>
public sealed class Timers(TimerEndpoints endpoints)
{
    [Function(nameof(RefreshTokens))]
    public Task RefreshTokens([TimerTrigger("%RefreshSchedule%")] TimerInfo timer, CancellationToken cancellationToken) =>
        endpoints.RefreshTokens(cancellationToken);

    [Function(nameof(Housekeeping))]
    public Task Housekeeping([TimerTrigger("%HousekeepingSchedule%")] TimerInfo timer, CancellationToken cancellationToken) =>
        endpoints.Housekeeping(cancellationToken);

    [Function(nameof(Backup))]
    public Task Backup([TimerTrigger("%BackupSchedule%")] TimerInfo timer, CancellationToken cancellationToken) =>
        endpoints.Backup(cancellationToken);
}
