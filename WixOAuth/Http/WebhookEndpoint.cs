using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Secrets;
using WixOAuth.Telemetry;

namespace WixOAuth.Http;

internal sealed partial class WebhookEndpoint(
    WebhookReader reader, InstanceLifecycle life, BackgroundWork background, Instruments instruments, TimeProvider time, ILogger<WebhookEndpoint> logger)
{
    /// <summary>How long Wix is kept waiting: it counts an answer after 1,250 ms as none (wix-protocol §10).</summary>
    public static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(1);

    private readonly Histogram<double> _webhooks = instruments.Durations("wixoauth.webhook.duration", "Deliveries of webhooks.");
    private readonly LogThrottle _refusals = new(time);
    private readonly LogThrottle _unavailable = new(time);

    public Task<IResult> WixWebhook(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        var startedAt = time.GetTimestamp();
        using var activity = instruments.Trace("Webhook");
        var outcome = WebhookOutcome.Failed;
        try
        {
            (outcome, var answer) = await AnswerAsync(request, activity, cancellationToken);
            return answer;
        }
        catch (OperationCanceledException)
        {
            outcome = WebhookOutcome.Cancelled;
            throw;
        }
        finally
        {
            var word = SnakeCaseEnum.Of(outcome);
            activity.SetOutcome(word, failed: outcome is not (WebhookOutcome.Applied or WebhookOutcome.NotUsed));
            _webhooks.Record(time.GetElapsedTime(startedAt).TotalSeconds, Tags.OfOutcome(word));
        }
    });

    private async Task<(WebhookOutcome Outcome, IResult Answer)> AnswerAsync(HttpRequest request, Activity? activity, CancellationToken cancellationToken) =>
        await BodyReader.ReadAsync(request, WebhookReader.MaxLength, cancellationToken) switch
        {
            ({ } body, _) => await AnswerAsync(body, activity),
            (_, IsTooLong: true) => (WebhookOutcome.Malformed, Problems.TooLarge($"The body should have at most {WebhookReader.MaxLength} bytes.")),
            _ => (WebhookOutcome.Malformed, Problems.InvalidRequest("The body could not be read.")),
        };

    private async Task<(WebhookOutcome Outcome, IResult Answer)> AnswerAsync(ReadOnlyMemory<byte> body, Activity? activity)
    {
        using var limit = new CancellationTokenSource(LongestAnswer, time);
        Webhook webhook;
        try
        {
            webhook = await reader.ReadAsync(body, limit.Token);
        }
        catch (OperationCanceledException)
        {
            return (WebhookOutcome.TimedOut, Problems.StorageUnavailable(RetryAfter));
        }
        catch (SecretUnavailableException exception)
        {
            // Anybody can cause it while the keys cannot be read: the signature is not checked yet.
            if (_unavailable.TryPass(out _))
            {
                logger.Unavailable(exception.GetType().Name);
            }

            return (WebhookOutcome.Failed, Problems.StorageUnavailable(RetryAfter));
        }

        switch (webhook)
        {
            case Webhook.Known known:
                activity?.SetInstance(known.InstanceId);
                return await ApplyAsync(known, limit.Token);
            case Webhook.Untrusted untrusted:
                LogRefusal(untrusted.Reason);
                return (WebhookOutcome.Untrusted, Problems.Unauthorized("The webhook is not signed with a known key, or it has expired."));
            case Webhook.NotUsed:
                WebhookNotUsed();
                return (WebhookOutcome.NotUsed, new EmptyAnswer(StatusCodes.Status200OK));
            case Webhook.OfAnotherApp:
                WebhookOfAnotherApp();
                return (WebhookOutcome.NotUsed, new EmptyAnswer(StatusCodes.Status200OK));
            default:
                LogRefusal("it is not a JWT that contains an event");
                return (WebhookOutcome.Malformed, Problems.InvalidRequest("The body should be a JWT as Wix signs them."));
        }
    }

    private void LogRefusal(string reason)
    {
        // How many there are is a metric.
        if (_refusals.TryPass(out _))
        {
            WebhookRefused(reason);
        }
    }

    private async Task<(WebhookOutcome Outcome, IResult Answer)> ApplyAsync(Webhook.Known known, CancellationToken limit)
    {
        // A sender that disconnects while the storage is slow does not stop the work: the next delivery would be as slow.
        var applying = known.IsRemoval
            ? life.RemovedAsync(known.InstanceId, known.IssuedAt, CancellationToken.None)
            : life.InstalledAsync(known.InstanceId, known.IssuedAt, CancellationToken.None);
        try
        {
            await applying.WaitAsync(limit);
            return (WebhookOutcome.Applied, new EmptyAnswer(StatusCodes.Status200OK));
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            background.Start("webhook", () => applying);
            return (WebhookOutcome.TimedOut, Problems.StorageUnavailable(RetryAfter));
        }
    }

    // No content of a webhook that is not verified.
    [LoggerMessage(603, LogLevel.Warning, "A webhook was refused: {Reason}")]
    private partial void WebhookRefused(string reason);

    [LoggerMessage(604, LogLevel.Information, "A webhook of a kind that is not used here was ignored")]
    private partial void WebhookNotUsed();

    [LoggerMessage(605, LogLevel.Warning, "A webhook of another app was ignored: is Wix__AppId the app that these keys belong to?")]
    private partial void WebhookOfAnotherApp();
}
