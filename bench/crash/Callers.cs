using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using WixOAuth.Processes;
using WixOAuth.Secrets;

namespace WixOAuth.Crash;

/// <summary>Asks for tokens as our own apps do: of whichever process answers, and again when none does.</summary>
internal sealed class Callers(Fleet fleet, Journal journal) : IDisposable
{
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(3);

    private readonly HttpClient _http = new(new SocketsHttpHandler { UseProxy = false }) { Timeout = Timeout.InfiniteTimeSpan };

    /// <summary>Asks until there is a token.</summary>
    /// <returns>The token; null when <paramref name="cancellationToken"/> ended the wait.</returns>
    public async Task<string?> WishAsync(Guid site, TimeSpan minTtl, string? rejected, CancellationToken cancellationToken)
    {
        var startedAt = Journal.Now;
        var asks = new List<Ask>();
        try
        {
            while (true)
            {
                var (ask, retryAfter) = await AskAsync(await fleet.PickAsync().WaitAsync(cancellationToken), site, minTtl, rejected, cancellationToken);
                asks.Add(ask);
                if (ask.Status == (int)HttpStatusCode.OK)
                {
                    journal.Add(new Wish(site, startedAt, ask.EndedAt) { Asks = asks });
                    return ask.AccessToken;
                }

                if (ask.Status != 0)
                {
                    await Task.Delay(retryAfter < s_longestPause ? retryAfter : s_longestPause, TimeProvider.System, cancellationToken);
                }
            }
        }
        catch (OperationCanceledException)
        {
            journal.Add(new Wish(site, startedAt, null) { Asks = asks });
            return null;
        }
    }

    /// <summary>Asks once.</summary>
    public async Task<(Ask Ask, TimeSpan RetryAfter)> AskAsync(
        Node node, Guid site, TimeSpan minTtl, string? rejected, CancellationToken cancellationToken)
    {
        var fingerprint = rejected is null ? "" : $"&rejected={new AccessToken(rejected).Fingerprint()}";
        var query = string.Create(CultureInfo.InvariantCulture, $"?min_ttl={minTtl.TotalSeconds:F0}{fingerprint}");
        var ask = new Ask(node.Number, site, minTtl, rejected, Journal.Now, default, 0);
        try
        {
            using var answer = await SendAsync(node, HttpMethod.Get, $"/api/instances/{site}/token{query}", cancellationToken);
            if (answer.StatusCode != HttpStatusCode.OK)
            {
                return Note(ask with { Status = (int)answer.StatusCode }, answer.Headers.RetryAfter?.Delta ?? TimeSpan.FromSeconds(1));
            }

            var body = await answer.Content.ReadFromJsonAsync<JsonElement>(cancellationToken);
            return Note(
                ask with
                {
                    Status = (int)answer.StatusCode,
                    AccessToken = body.GetProperty("access_token").GetString(),
                    ExpiresIn = TimeSpan.FromSeconds(body.GetProperty("expires_in").GetInt64()),
                    ExpiresOn = body.GetProperty("expires_on").GetDateTimeOffset(),
                },
                TimeSpan.Zero);
        }
        catch (Exception exception) when (IsBroken(exception) || exception is JsonException)
        {
            return Note(ask, TimeSpan.Zero);
        }

        (Ask Ask, TimeSpan RetryAfter) Note(Ask ended, TimeSpan retryAfter)
        {
            ended = ended with { EndedAt = Journal.Now };
            journal.Add(ended);
            return (ended, retryAfter);
        }
    }

    /// <summary>Has a site refreshed, whatever its token is like.</summary>
    /// <returns>Whether it was; false also when the process ended.</returns>
    public Task<bool> RefreshAsync(Node node, Guid site, CancellationToken cancellationToken) =>
        PostAsync(node, $"/api/instances/{site}/refresh", cancellationToken);

    /// <summary>Fires the timer that refreshes what is due.</summary>
    public Task<bool> SweepAsync(Node node, CancellationToken cancellationToken) =>
        PostAsync(node, "/admin/functions/RefreshTokens", cancellationToken);

    public void Dispose() => _http.Dispose();

    // A bare SocketException comes where the other side ends while the connection is being made.
    private static bool IsBroken(Exception exception) => exception is HttpRequestException or IOException or SocketException;

    private async Task<bool> PostAsync(Node node, string path, CancellationToken cancellationToken)
    {
        try
        {
            using var answer = await SendAsync(node, HttpMethod.Post, path, cancellationToken);
            return answer.IsSuccessStatusCode;
        }
        catch (Exception exception) when (IsBroken(exception))
        {
            return false;
        }
    }

    private async Task<HttpResponseMessage> SendAsync(Node node, HttpMethod method, string path, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, new Uri(node.Process.Url, path)) { Headers = { { "x-functions-key", Surroundings.FunctionKey } } };
        return await _http.SendAsync(request, cancellationToken);
    }
}
