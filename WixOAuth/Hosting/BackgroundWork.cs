using System.Collections.Concurrent;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Hosting;

/// <summary>
/// Work that continues after a request was answered. The program waits for it when it stops, so that a stop does not lose
/// work that is nearly done: after every other service has stopped, since a server starts some while it ends its last requests.
/// </summary>
internal sealed partial class BackgroundWork(ILogger<BackgroundWork> logger) : IHostedLifecycleService
{
    private readonly ConcurrentDictionary<Task, byte> _running = new();

    /// <summary>Starts work without waiting for it. An exception is logged by its type only.</summary>
    public void Start(string name, Func<Task> work)
    {
        var task = RunAsync(name, work);
        if (!task.IsCompleted)
        {
            _running.TryAdd(task, 0);
            task.ContinueWith(done => _running.TryRemove(done, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    /// <summary>Completes when no work is running, including work that other work has started meanwhile.</summary>
    public async Task WhenIdleAsync(CancellationToken cancellationToken)
    {
        while (!_running.IsEmpty)
        {
            await Task.WhenAll(_running.Keys).WaitAsync(cancellationToken);
        }
    }

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public async Task StoppedAsync(CancellationToken cancellationToken)
    {
        try
        {
            await WhenIdleAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Abandoned(_running.Count);
        }
    }

    private async Task RunAsync(string name, Func<Task> work)
    {
        try
        {
            await work();
        }
        catch (Exception exception)
        {
            Failed(name, exception.GetType().Name);
        }
    }

    [LoggerMessage(501, LogLevel.Error, "Background work {Name} failed: {Error}")]
    private partial void Failed(string name, string error);

    [LoggerMessage(502, LogLevel.Warning, "The program stops while {Count} background tasks still run")]
    private partial void Abandoned(int count);
}
