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

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (!await TryInitializeAsync(stoppingToken))
            {
                await Task.Delay(Pause, time, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The program stops.
        }
    }

    private async Task<bool> TryInitializeAsync(CancellationToken cancellationToken)
    {
        try
        {
            await store.InitializeAsync(cancellationToken);
            return true;
        }
        catch (StorageUnavailableException)
        {
            Unavailable(Pause);
            return false;
        }
    }

    [LoggerMessage(503, LogLevel.Error, "The storage is not available, so its table could not be created; tried again in {Pause}")]
    private partial void Unavailable(TimeSpan pause);
}
