using System.Collections.Concurrent;
using System.Net;
using System.Text;
using System.Text.Json;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>Wix in the process: each test says what it answers. For the real protocol over real HTTP see the pretend Wix.</summary>
internal sealed class StubWix : HttpMessageHandler
{
    public ConcurrentQueue<(string Path, JsonElement? Body, string? Authorization)> Calls { get; } = new();

    /// <summary>What it answers, by path and number of the call.</summary>
    public Func<string, JsonElement?, CancellationToken, Task<HttpResponseMessage>> Answer { get; set; } =
        (_, _, _) => Task.FromResult(Json(HttpStatusCode.OK, "{}"));

    public int CallsTo(string path) => Calls.Count(call => call.Path == path);

    public static HttpResponseMessage Json(HttpStatusCode status, string body, string? retryAfter = null)
    {
        var response = new HttpResponseMessage(status) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        if (retryAfter is not null)
        {
            response.Headers.TryAddWithoutValidation("Retry-After", retryAfter);
        }

        return response;
    }

    public static HttpResponseMessage Tokens(string access, string? refresh = null, int? expiresIn = null) => Json(
        HttpStatusCode.OK,
        JsonSerializer.Serialize(new Dictionary<string, object?>
        {
            ["access_token"] = access,
            ["refresh_token"] = refresh,
            ["expires_in"] = expiresIn,
        }.Where(pair => pair.Value is not null).ToDictionary()));

    public static HttpResponseMessage Status(int status, string? retryAfter = null) => Json((HttpStatusCode)status, """{"message":"no"}""", retryAfter);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        JsonElement? body = request.Content is null
            ? null
            : JsonSerializer.Deserialize<JsonElement>(await request.Content.ReadAsByteArrayAsync(cancellationToken));
        var path = request.RequestUri!.AbsolutePath;
        Calls.Enqueue((path, body, request.Headers.TryGetValues("Authorization", out var values) ? values.Single() : null));
        return await AnswerAsync(path, body, cancellationToken).ConfigureAwait(false);
    }

    // HttpClient goes on where its handler ends, unless there is a context, then later on the pool: a test that has one
    // wants nothing to happen where it can't see it.
    private Task<HttpResponseMessage> AnswerAsync(string path, JsonElement? body, CancellationToken cancellationToken)
    {
        var answered = new TaskCompletionSource<HttpResponseMessage>();
        _ = CompleteAsync();
        return answered.Task;

        async Task CompleteAsync()
        {
            Action complete;
            try
            {
                var answer = await Answer(path, body, cancellationToken);
                complete = () => answered.SetResult(answer);
            }
            catch (OperationCanceledException)
            {
                complete = () => answered.SetCanceled(cancellationToken);
            }
            catch (Exception exception)
            {
                complete = () => answered.SetException(exception);
            }

            var context = SynchronizationContext.Current;
            SynchronizationContext.SetSynchronizationContext(null);
            try
            {
                complete();
            }
            finally
            {
                SynchronizationContext.SetSynchronizationContext(context);
            }
        }
    }
}
