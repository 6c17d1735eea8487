using Azure;
using Azure.Core;
using Azure.Core.Pipeline;
using Azure.Storage.Queues;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Maintenance;

/// <summary>The queue that tells the processes of this service which shard to sweep; each message is a shard's number in plain text.</summary>
/// <remarks>Sending needs the role Storage Queue Data Message Sender, and Storage Queue Data Reader to count poison messages.</remarks>
internal sealed partial class ShardMessages(QueueServiceClient service, MaintenanceMetrics metrics, ILogger<ShardMessages> logger)
{
    public const string Name = "refresh-shards";

    /// <summary>Where the Functions host puts a message that was tried too often.</summary>
    public const string PoisonName = Name + "-poison";

    // A message that was not taken by the next tick is useless: the next tick sends another.
    private static readonly TimeSpan Life = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LongestCall = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(1);

    private readonly QueueClient _queue = service.GetQueueClient(Name);
    private readonly QueueClient _poison = service.GetQueueClient(PoisonName);

    /// <summary>The queue service that the settings name. A timer waits for it: it fails soon, and the timer sweeps by itself then.</summary>
    /// <exception cref="ArgumentException">The settings name none, or its URL without a credential.</exception>
    public static QueueServiceClient Open(SweepOptions options, TokenCredential? credential, HttpPipelineTransport? transport = null)
    {
        var client = StorageClients.Configure(new QueueClientOptions(), maxRetries: 1, LongestCall, LongestPause, LongestPause, transport);
        return StorageClients.Open(
            options, credential, text => new QueueServiceClient(text, client), (uri, identity) => new QueueServiceClient(uri, identity, client));
    }

    /// <returns>Whether all were sent. If false, some may have been; sweeping a shard twice does no harm.</returns>
    public async Task<bool> TrySendAllAsync(CancellationToken cancellationToken)
    {
        try
        {
            await SendAllAsync(cancellationToken);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            NotSent(ReasonOf(exception));
            return false;
        }

        try
        {
            metrics.PoisonShards((await _poison.GetPropertiesAsync(cancellationToken)).Value.ApproximateMessagesCount);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            // The messages are sent: sweeping here as well would do the work twice.
            NotCounted(ReasonOf(exception));
        }

        return true;
    }

    private async Task SendAllAsync(CancellationToken cancellationToken)
    {
        try
        {
            await Task.WhenAll(InstanceShard.All.Select(shard => _queue.SendMessageAsync(shard.ToString(), null, Life, cancellationToken)));
        }
        catch (RequestFailedException missing) when (missing.Status == 404)
        {
            // In Azure the deployment has created both; on a laptop nothing has.
            await _queue.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
            await _poison.CreateIfNotExistsAsync(cancellationToken: cancellationToken);
            await Task.WhenAll(InstanceShard.All.Select(shard => _queue.SendMessageAsync(shard.ToString(), null, Life, cancellationToken)));
        }
    }

    private static string ReasonOf(Exception exception) =>
        exception is RequestFailedException refused ? $"{refused.Status} {refused.ErrorCode}" : exception.GetType().Name;

    [LoggerMessage(511, LogLevel.Warning, "The shards could not be sent to the queue ({Reason}); this process sweeps them all itself")]
    private partial void NotSent(string reason);

    [LoggerMessage(513, LogLevel.Warning, "The messages in the queue refresh-shards-poison could not be counted ({Reason})")]
    private partial void NotCounted(string reason);
}
