using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>A Wix that knows which refresh token of each site it would take, and when each access token ends.</summary>
internal sealed class FleetWix(bool rotates, Func<DateTimeOffset> now)
{
    private readonly Lock _lock = new();
    private readonly Random _random = new(1);
    private readonly Dictionary<string, InstanceId> _byRefreshToken = [];
    private readonly Dictionary<InstanceId, string> _refreshTokens = [];
    private readonly ConcurrentDictionary<string, DateTimeOffset> _ends = new();
    private readonly HashSet<InstanceId> _dead = [];
    private int _issued;

    /// <summary>What fails now; null when all is well.</summary>
    public FleetFault.Outage? Outage { get; set; }

    /// <summary>A consent; returns its refresh token.</summary>
    public string Install(InstanceId id)
    {
        lock (_lock)
        {
            return NextRefreshToken(id);
        }
    }

    public void Kill(InstanceId id)
    {
        lock (_lock)
        {
            _dead.Add(id);
        }
    }

    /// <summary>The refresh token that it takes of a site now.</summary>
    public string RefreshTokenOf(InstanceId id)
    {
        lock (_lock)
        {
            return _refreshTokens[id];
        }
    }

    public bool IsAlive(string accessToken) => _ends.TryGetValue(accessToken, out var end) && end > now();

    public async Task<HttpResponseMessage> AnswerAsync(string path, JsonElement? body, CancellationToken cancellationToken)
    {
        // Without a body it is asked for a site's name, once a day.
        if (body is not { } request)
        {
            return StubWix.Json(HttpStatusCode.OK, """{"site":{"siteId":"a-site"}}""");
        }

        await Task.Yield();
        cancellationToken.ThrowIfCancellationRequested();
        lock (_lock)
        {
            var byRefreshToken = path == "/oauth/access";
            if (Outage is { } outage && (outage.EveryEndpoint || byRefreshToken) && _random.Next(100) < outage.Percent)
            {
                return Failure(outage.Answer);
            }

            var used = byRefreshToken ? request.GetProperty("refresh_token").GetString()! : null;
            var isKnown = used is null
                ? InstanceId.TryParse(request.GetProperty("instance_id").GetString(), out var id)
                : _byRefreshToken.TryGetValue(used, out id) && _refreshTokens[id] == used;
            return !isKnown || _dead.Contains(id) ? StubWix.Status(403) : Grant(id, byRefreshToken);
        }
    }

    private HttpResponseMessage Grant(InstanceId id, bool byRefreshToken)
    {
        var (access, life) = ($"access-{++_issued}", byRefreshToken ? 300 : 14_400);
        _ends[access] = now().AddSeconds(life);
        return StubWix.Tokens(access, byRefreshToken && rotates ? NextRefreshToken(id) : null, life);
    }

    private string NextRefreshToken(InstanceId id)
    {
        var token = string.Create(CultureInfo.InvariantCulture, $"refresh-{++_issued}");
        (_refreshTokens[id], _byRefreshToken[token]) = (token, id);
        return token;
    }

    private static HttpResponseMessage Failure(string answer) => answer.Split(' ') switch
    {
        ["no", _] => throw new HttpRequestException(HttpRequestError.ConnectionError, "refused"),
        ["html", var status] => new HttpResponseMessage(StatusOf(status)) { Content = new StringContent("<html></html>", Encoding.UTF8, "text/html") },
        ["empty", var status] => new HttpResponseMessage(StatusOf(status)) { Content = new ByteArrayContent([]) },
        [var status] => StubWix.Status((int)StatusOf(status)),
        _ => throw new ArgumentException("No such answer.", nameof(answer)),
    };

    private static HttpStatusCode StatusOf(string status) => (HttpStatusCode)int.Parse(status, CultureInfo.InvariantCulture);
}
