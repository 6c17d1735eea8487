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

    /// <summary>Sends it. A stop of the program does not cancel this: an attempt whose result is not recorded would be repeated.</summary>
    /// <exception cref="SecretUnavailableException">The signing secret cannot be read now.</exception>
    public async Task<SendResult> SendAsync(OutboxEvent occurred, Instance? instance)
    {
        var secret = await secrets.GetAsync(CancellationToken.None);
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
        try
        {
            // The body of the answer is of no use, and a receiver may send one that never ends.
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, limit.Token);
            return ResultOf(response, now);
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException or OperationCanceledException)
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
