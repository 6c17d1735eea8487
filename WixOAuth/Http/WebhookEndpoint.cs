using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Webhooks;

namespace WixOAuth.Http;

/// <summary>Wix's webhooks as HTTP. Nothing is ever thrown to the host.</summary>
public sealed class WebhookEndpoint(
    WebhookReader reader, InstanceLife life, BackgroundWork background, Telemetry telemetry, TimeProvider time, ILogger<WebhookEndpoint> logger)
{
    /// <summary>How long Wix is kept waiting: it counts an answer after 1,250 ms as none (wix-protocol §10).</summary>
    public static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(1);

    /// <summary><c>POST /api/webhooks</c>: see the contract's <c>WixWebhook</c>.</summary>
    public Task<IResult> WixWebhook(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        var startedAt = time.GetTimestamp();
        using var activity = telemetry.Trace("Webhook");
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
            telemetry.WebhookEnded(activity, outcome, time.GetElapsedTime(startedAt));
        }
    });

    private async Task<(WebhookOutcome Outcome, IResult Answer)> AnswerAsync(HttpRequest request, Activity? activity, CancellationToken cancellationToken)
    {
        var buffer = new byte[WebhookReader.MaxLength + 1];
        int length;
        try
        {
            length = request.ContentLength > WebhookReader.MaxLength
                ? buffer.Length
                : await request.Body.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
        }
        catch (IOException)
        {
            // A body that breaks off or breaks HTTP's rules.
            return (WebhookOutcome.Malformed, Problems.InvalidRequest("The body could not be read."));
        }

        if (length > WebhookReader.MaxLength)
        {
            return (WebhookOutcome.Malformed, Problems.TooLarge($"The body should have at most {WebhookReader.MaxLength} bytes."));
        }

        switch (await reader.ReadAsync(buffer.AsMemory(0, length)))
        {
            case Webhook.Known known:
                activity?.SetInstance(known.InstanceId);
                return await ApplyAsync(known);
            case Webhook.Untrusted untrusted:
                logger.WebhookRefused(untrusted.Reason);
                return (WebhookOutcome.Untrusted, Problems.Unauthorized("The webhook is not signed with a key that we know, or its time is over."));
            case Webhook.NotUsed:
                logger.WebhookNotUsed();
                return (WebhookOutcome.NotUsed, new EmptyAnswer(StatusCodes.Status200OK));
            case Webhook.OfAnotherApp:
                logger.WebhookOfAnotherApp();
                return (WebhookOutcome.NotUsed, new EmptyAnswer(StatusCodes.Status200OK));
            default:
                logger.WebhookRefused("it is no JWT with an event in it");
                return (WebhookOutcome.Malformed, Problems.InvalidRequest("The body should be a JWT as Wix signs them."));
        }
    }

    private async Task<(WebhookOutcome Outcome, IResult Answer)> ApplyAsync(Webhook.Known known)
    {
        // Whoever hangs up on a slow storage does not stop the work: the next delivery would be as slow.
        var applying = known.Event == WebhookEvent.AppRemoved
            ? life.RemovedAsync(known.InstanceId, known.IssuedAt, CancellationToken.None)
            : life.InstalledAsync(known.InstanceId, known.IssuedAt, CancellationToken.None);
        try
        {
            await applying.WaitAsync(LongestAnswer, time);
            return (WebhookOutcome.Applied, new EmptyAnswer(StatusCodes.Status200OK));
        }
        catch (TimeoutException)
        {
            background.Start("webhook", () => applying);
            return (WebhookOutcome.TimedOut, Problems.StorageUnavailable(RetryAfter));
        }
    }
}
