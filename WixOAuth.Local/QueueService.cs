using Azure.Storage.Queues;
using Azure.Storage.Queues.Models;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.Local;

/// <summary>
/// Runs queue functions as the Functions host does with the settings of host.json: up to 4 messages at a time, the next
/// batch when all are done, a message that is tried a third time goes to the poison queue. Does nothing where no queue
/// service is configured: the functions are disabled then.
/// </summary>
internal sealed partial class QueueService(FunctionMap map, IServiceProvider services, TimeProvider time, ILogger<QueueService> logger) : BackgroundService
{
    private const int BatchSize = 4;
    private const int MaxDequeueCount = 2;

    private static readonly TimeSpan s_pollingInterval = TimeSpan.FromSeconds(2);

    // The host holds a message for 10 minutes, renewed while it runs; the shards' messages live for one.
    private static readonly TimeSpan s_invisibleWhileRun = TimeSpan.FromMinutes(10);

    // Of a message that failed.
    private static readonly TimeSpan s_visibilityTimeout = TimeSpan.FromSeconds(5);

    protected override Task ExecuteAsync(CancellationToken stoppingToken) =>
        services.GetService<QueueServiceClient>() is { } service
            ? Task.WhenAll(map.Queues.Select(function => FollowAsync(function, service, stoppingToken)))
            : Task.CompletedTask;

    private async Task FollowAsync(Function<QueueTriggerAttribute> function, QueueServiceClient service, CancellationToken stoppingToken)
    {
        var (queue, poison) = (service.GetQueueClient(function.Trigger.QueueName), service.GetQueueClient($"{function.Trigger.QueueName}-poison"));
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                QueueMessage[] messages = await queue.ReceiveMessagesAsync(BatchSize, s_invisibleWhileRun, stoppingToken);
                if (messages.Length > 0)
                {
                    await Task.WhenAll(messages.Select(message => HandleAsync(function, queue, poison, message, stoppingToken)));
                    continue;
                }
            }
            catch (Azure.RequestFailedException missing) when (missing.Status == 404)
            {
                // The first tick creates the queue.
            }
            catch (Exception exception) when (!stoppingToken.IsCancellationRequested)
            {
                LogUnavailable(function.Name, exception.GetType().Name);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            await Task.Delay(s_pollingInterval, time, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task HandleAsync(Function<QueueTriggerAttribute> function, QueueClient queue, QueueClient poison, QueueMessage message, CancellationToken stoppingToken)
    {
        if (message.DequeueCount > MaxDequeueCount)
        {
            await poison.SendMessageAsync(message.Body, cancellationToken: CancellationToken.None);
        }
        else if (!await TryRunAsync(function, message.Body.ToString(), stoppingToken))
        {
            await queue.UpdateMessageAsync(message.MessageId, message.PopReceipt, message.Body, s_visibilityTimeout, CancellationToken.None);
            return;
        }

        await queue.DeleteMessageAsync(message.MessageId, message.PopReceipt, CancellationToken.None);
    }

    private async Task<bool> TryRunAsync(Function<QueueTriggerAttribute> function, string message, CancellationToken stoppingToken)
    {
        try
        {
            await function.InvokeAsync(services, message, stoppingToken);
            return true;
        }
        catch (Exception exception)
        {
            LogThrown(exception, function.Name);
            return false;
        }
    }

    [LoggerMessage(EventId = 3, Level = LogLevel.Error, Message = "The queue function {Function} threw; its message is tried again.")]
    private partial void LogThrown(Exception exception, string function);

    [LoggerMessage(EventId = 4, Level = LogLevel.Warning, Message = "The queue of {Function} cannot be read ({Reason}); it is tried again.")]
    private partial void LogUnavailable(string function, string reason);
}
