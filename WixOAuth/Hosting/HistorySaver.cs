using Microsoft.Extensions.Hosting;
using WixOAuth.Tokens;

namespace WixOAuth.Hosting;

/// <summary>
/// Has the history of refreshes put down once a minute, and when the program stops. A process that sweeps does so after
/// each sweep; this is for those that only answer HTTP.
/// </summary>
internal sealed class HistorySaver(RefreshHistory history, TimeProvider time) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromMinutes(1);

    /// <inheritdoc />
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        try
        {
            await history.SaveAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The host waits no longer. A few counts are missing then.
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            using var timer = new PeriodicTimer(Pause, time);
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await history.SaveAsync(stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The program stops.
        }
    }
}
