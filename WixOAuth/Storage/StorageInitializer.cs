using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// Creates the table while the program starts. A storage that is not available does not prevent the start, because the App
/// URL needs none and Health reports it; creating the table is tried until it succeeds.
/// </summary>
internal sealed partial class StorageInitializer(IInstanceStore store, TimeProvider time, ILogger<StorageInitializer> logger) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

    private Task _first = Task.CompletedTask;

    public override Task StartAsync(CancellationToken cancellationToken)
    {
        // ExecuteAsync runs on the thread pool: requests that come before it must already wait for the table.
        _first = store.InitializeAsync(cancellationToken);
        return base.StartAsync(cancellationToken);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var creation = _first; ; creation = store.InitializeAsync(stoppingToken))
        {
            try
            {
                await creation.WaitAsync(stoppingToken);
                return;
            }
            catch (StorageUnavailableException)
            {
                Unavailable(Pause);
                await Task.Delay(Pause, time, stoppingToken);
            }
        }
    }

    [LoggerMessage(503, LogLevel.Error, "The storage is not available, so its table could not be created; tried again in {Pause}")]
    private partial void Unavailable(TimeSpan pause);
}
