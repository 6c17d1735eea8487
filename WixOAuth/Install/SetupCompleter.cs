using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>
/// Tells Wix that an installation's set-up is complete (wix-protocol §6). Sending the event twice does no harm, so the
/// row is updated after it was sent.
/// </summary>
internal sealed partial class SetupCompleter(
    WixClient wix,
    IInstanceStore store,
    InstanceWriter writer,
    TokenService tokenService,
    TokenSchedule schedule,
    InstallMetrics metrics,
    TimeProvider time,

    // Eight: the last three are the metrics, the clock and the log.
    ILogger<SetupCompleter> logger)
{
    /// <summary>Tells Wix for an instance whose token is at hand; what fails stays pending for the sweep.</summary>
    /// <exception cref="StorageUnavailableException">Wix was told, but it could not be noted.</exception>
    public async Task<WixResponseKind> SendAsync(StoredInstance stored, AccessToken accessToken)
    {
        var id = stored.Instance.Id;
        var delivery = await wix.SendSetupCompletedAsync(accessToken, CancellationToken.None);
        metrics.SentSetupEvent(delivery);
        if (delivery != WixResponseKind.Success)
        {
            SetupNotCompleted(id, delivery);
            return delivery;
        }

        await writer.CommitAsync(
            id,
            stored,
            current =>
            {
                // A reinstall in the meantime needs its own event.
                if (current is null
                    || current.Status == InstanceStatus.Removed
                    || current.SetupCompletedAt is not null
                    || current.ConsentedAt != stored.Instance.ConsentedAt)
                {
                    return current;
                }

                var now = time.GetUtcNow();
                var completed = current.SetupCompleted(now);
                return completed with { DueAt = schedule.DueAt(completed, now) };
            });
        SetupCompleted(id);
        return delivery;
    }

    /// <summary>Tells Wix that our own app has set up an instance. Sends nothing if Wix accepted it before.</summary>
    /// <returns>
    /// The token it was done with, or why it could not be done; <see cref="WixResponseKind.Success"/> also when it was
    /// done before.
    /// </returns>
    public async Task<(TokenResult Token, WixResponseKind Delivery)> CompleteAsync(InstanceId id, CancellationToken cancellationToken)
    {
        var result = await tokenService.GetTokenAsync(id, TokenRequirements.Default, cancellationToken);
        if (result is not TokenResult.Token token || await store.FindAsync(id, cancellationToken) is not { } stored)
        {
            return (result, WixResponseKind.Unavailable);
        }

        return (result, stored.Instance.SetupCompletedAt is not null ? WixResponseKind.Success : await SendAsync(stored, token.AccessToken));
    }

    [LoggerMessage(204, LogLevel.Information, "Instance {InstanceId}: the set-up event was sent to Wix")]
    private partial void SetupCompleted(InstanceId instanceId);

    [LoggerMessage(205, LogLevel.Warning, "Instance {InstanceId}: the set-up event could not be sent to Wix ({Delivery})")]
    private partial void SetupNotCompleted(InstanceId instanceId, WixResponseKind delivery);
}
