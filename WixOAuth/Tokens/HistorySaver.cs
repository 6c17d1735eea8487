using Microsoft.Extensions.Hosting;

namespace WixOAuth.Tokens;

/// <summary>
/// Saves the history of refreshes in a process that only answers HTTP, where no sweep saves it; and in any process when it
/// stops.
/// </summary>
internal sealed class HistorySaver(RefreshHistory history, TimeProvider time) : BackgroundService
{
    private readonly PeriodicTimer _timer = new(RefreshHistory.Stretch, time);

    public override void Dispose()
    {
        _timer.Dispose();
        base.Dispose();
    }

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

    internal Task SaveUnlessSweptAsync(CancellationToken cancellationToken) =>
        history.IsLeftToSweeps ? Task.CompletedTask : history.SaveAsync(cancellationToken);

    // A host that stops expects the exception of the cancellation; one that is only disposed of gets none from a timer that was.
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (await _timer.WaitForNextTickAsync(stoppingToken))
        {
            await SaveUnlessSweptAsync(stoppingToken);
        }
    }
}
