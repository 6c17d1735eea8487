using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using System.Text;

namespace WixOAuth.Client.Tests.Support;

/// <summary>A WixOAuth service behind the client's own HTTP pipeline: it answers as a test tells it, and records what was asked.</summary>
internal sealed class StubService : HttpMessageHandler
{
    private readonly ConcurrentQueue<HttpRequestMessage> _requests = new();
    private int _issued;

    /// <summary>Awaited before each answer.</summary>
    public Func<Task> Gate { get; set; } = () => Task.CompletedTask;

    /// <summary>The answer; a fresh token of five minutes unless a test says otherwise.</summary>
    public Func<HttpRequestMessage, HttpResponseMessage>? Answer { get; set; }

    public TimeSpan Lifetime { get; set; } = TimeSpan.FromMinutes(5);

    public IReadOnlyList<HttpRequestMessage> Requests => [.. _requests];

    public HttpResponseMessage NewToken() => Token($"token-{Interlocked.Increment(ref _issued)}");

    public HttpResponseMessage Token(string token) => Json(
        HttpStatusCode.OK,
        "application/json",
        $$"""{"instance_id":"x","access_token":"{{token}}","expires_in":{{(long)Lifetime.TotalSeconds}},"expires_on":"2026-05-04T03:07:01Z"}""");

    public static HttpResponseMessage Problem(int status, string code, int? retryAfter = null)
    {
        var response = Json((HttpStatusCode)status, "application/problem+json", $$"""{"type":"about:blank","title":"No.","status":{{status}},"code":"{{code}}"}""");
        response.Headers.RetryAfter = retryAfter is { } seconds ? new RetryConditionHeaderValue(TimeSpan.FromSeconds(seconds)) : null;
        return response;
    }

    public static HttpResponseMessage Json(HttpStatusCode status, string type, string body) =>
        new(status) { Content = new StringContent(body, Encoding.UTF8, type) };

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        _requests.Enqueue(request);
        await Gate().WaitAsync(cancellationToken);
        return Answer?.Invoke(request) ?? NewToken();
    }
}
