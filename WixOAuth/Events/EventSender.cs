using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Events;

internal readonly record struct SendResult(SendOutcome Outcome, TimeSpan? RetryAfter = null);

internal enum SendOutcome
{
    Delivered,

    /// <summary>The receiver answered 410: it wants no such event any more.</summary>
    Gone,

    /// <summary>The receiver answered another status, redirects included.</summary>
    Refused,

    /// <summary>The receiver could not be reached, or did not answer within the limit.</summary>
    Unreachable,
}

/// <summary>Sends one event to <c>Events__Url</c>, signed as Standard Webhooks describes. Redirects are not followed.</summary>
internal sealed class EventSender(HttpClient http, ISecretSource<EventSecrets> secrets, ServiceSettings settings, TimeProvider time)
{
    /// <summary>The limit for one attempt, its answer included.</summary>
    public static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private readonly Uri _source = new(settings.Wix.RedirectUrl.GetLeftPart(UriPartial.Authority));

    /// <exception cref="SecretUnavailableException">The signing secret cannot be read now.</exception>
    /// <exception cref="OperationCanceledException">The program stops.</exception>
    public async Task<SendResult> SendAsync(OutboxEvent occurred, Instance? instance, CancellationToken cancellationToken)
    {
        var secret = await secrets.GetAsync(cancellationToken);
        var body = CloudEvent.Serialize(occurred, instance, _source);
        var now = time.GetUtcNow();
        using var request = new HttpRequestMessage(HttpMethod.Post, settings.Events.Url)
        {
            Content = new StringContent(body, Encoding.UTF8, new MediaTypeHeaderValue(CloudEvent.MediaType, "utf-8")),
        };
        request.Headers.Add("webhook-id", occurred.Id);
        request.Headers.Add("webhook-timestamp", now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture));
        request.Headers.Add("webhook-signature", secret.Sign(occurred.Id, now, body));

        using var limit = new CancellationTokenSource(Timeout, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            // The body of the answer is of no use, and a receiver may send one that never ends.
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, either.Token);
            return ResultOf(response, now);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException
            || (exception is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            return new SendResult(SendOutcome.Unreachable);
        }
    }

    private static SendResult ResultOf(HttpResponseMessage response, DateTimeOffset now) => response switch
    {
        { IsSuccessStatusCode: true } => new SendResult(SendOutcome.Delivered),
        { StatusCode: HttpStatusCode.Gone } => new SendResult(SendOutcome.Gone),
        _ => new SendResult(SendOutcome.Refused, response.Headers.RetryAfter is { } after ? after.Delta ?? (after.Date - now) : null),
    };
}
