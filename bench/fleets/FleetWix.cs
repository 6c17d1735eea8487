using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using WixOAuth.Instances;
using WixOAuth.Scale;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Fleets;

/// <summary>A Wix that knows which refresh token of each site it would take, and when each access token ends.</summary>
internal sealed class FleetWix(SimulatedTime time, Random random, bool rotates) : HttpMessageHandler
{
    private const int RefreshedLife = 300;
    private const int ClientCredentialsLife = 14_400;

    private readonly Dictionary<InstanceId, (string RefreshToken, DateTimeOffset Since)> _sites = [];
    private readonly Dictionary<string, InstanceId> _byRefreshToken = [];
    private readonly Dictionary<string, DateTimeOffset> _ends = [];
    private readonly HashSet<InstanceId> _dead = [];
    private int _issued;

    /// <summary>What fails now.</summary>
    public List<FleetFault.Outage> Outages { get; } = [];

    /// <summary>How many requests for tokens there were.</summary>
    public int Calls { get; private set; }

    /// <summary>A consent; returns its tokens.</summary>
    public TokenAnswer.Granted Install(InstanceId id)
    {
        var (now, access, refresh) = (time.GetUtcNow(), NextAccessToken(RefreshedLife), NextRefreshToken(id));
        return new TokenAnswer.Granted(new AccessToken(access), new RefreshToken(refresh), now, now.AddSeconds(RefreshedLife));
    }

    /// <summary>The site removes the app.</summary>
    public void Kill(InstanceId id) => _dead.Add(id);

    /// <summary>The refresh token that it takes of a site, and since when.</summary>
    public (string RefreshToken, DateTimeOffset Since) Of(InstanceId id) => _sites[id];

    /// <summary>Whether it would take an access token now.</summary>
    public bool Takes(string accessToken) => _ends.TryGetValue(accessToken, out var end) && end > time.GetUtcNow();

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.Method == HttpMethod.Get)
        {
            await time.PassAsync(Latency());
            return Json(HttpStatusCode.OK, """{"site":{"siteId":"a-site"}}""");
        }

        Calls++;
        var byRefreshToken = request.RequestUri!.AbsolutePath == "/oauth/access";
        var body = JsonSerializer.Deserialize<JsonElement>(await request.Content!.ReadAsByteArrayAsync(cancellationToken));
        await time.PassAsync(Latency());
        if (Outages.Find(outage => (outage.EveryEndpoint || byRefreshToken) && random.Next(100) < outage.Percent) is not { } failing)
        {
            var response = Act(body, byRefreshToken);
            await time.PassAsync(Latency());
            return response;
        }

        switch (failing.Answer)
        {
            case "no connection":
                throw new HttpRequestException(HttpRequestError.ConnectionError, "refused");
            case "silence":
                await Task.Delay(Timeout.InfiniteTimeSpan, time, cancellationToken);
                break;
            case "answer lost":
                Act(body, byRefreshToken).Dispose();
                throw new HttpRequestException(HttpRequestError.ResponseEnded, "reset");
        }

        return Failure(failing.Answer);
    }

    // Half of what a call takes: it acts in the middle.
    private TimeSpan Latency() => TimeSpan.FromMilliseconds(random.Next(40, 120));

    private HttpResponseMessage Act(JsonElement body, bool byRefreshToken)
    {
        var used = byRefreshToken ? body.GetProperty("refresh_token").GetString()! : null;
        var isKnown = used is null
            ? InstanceId.TryParse(body.GetProperty("instance_id").GetString(), out var id) && _sites.ContainsKey(id)
            : _byRefreshToken.TryGetValue(used, out id) && _sites[id].RefreshToken == used;
        if (!isKnown || _dead.Contains(id))
        {
            return Json(HttpStatusCode.Forbidden, """{"message":"no"}""");
        }

        var life = byRefreshToken ? RefreshedLife : ClientCredentialsLife;
        var access = NextAccessToken(life);
        return Json(HttpStatusCode.OK, JsonSerializer.Serialize(byRefreshToken && rotates
            ? new Dictionary<string, object> { ["access_token"] = access, ["expires_in"] = life, ["refresh_token"] = NextRefreshToken(id) }
            : new Dictionary<string, object> { ["access_token"] = access, ["expires_in"] = life }));
    }

    private string NextAccessToken(int life)
    {
        var token = string.Create(CultureInfo.InvariantCulture, $"access-{++_issued}");
        _ends[token] = time.GetUtcNow().AddSeconds(life);
        return token;
    }

    private string NextRefreshToken(InstanceId id)
    {
        var token = string.Create(CultureInfo.InvariantCulture, $"refresh-{++_issued}");
        (_sites[id], _byRefreshToken[token]) = ((token, time.GetUtcNow()), id);
        return token;
    }

    private static HttpResponseMessage Failure(string answer)
    {
        var (status, how) = ((HttpStatusCode)int.Parse(answer.AsSpan(0, 3), CultureInfo.InvariantCulture), answer[3..].Trim());
        var response = how switch
        {
            "html" => new HttpResponseMessage(status) { Content = new StringContent("<html></html>", Encoding.UTF8, "text/html") },
            "empty" => new HttpResponseMessage(status) { Content = new ByteArrayContent([]) },
            _ => Json(status, """{"message":"no"}"""),
        };
        if (how == "hour")
        {
            response.Headers.TryAddWithoutValidation("Retry-After", "3600");
        }

        return response;
    }

    private static HttpResponseMessage Json(HttpStatusCode status, string body) =>
        new(status) { Content = new StringContent(body, Encoding.UTF8, "application/json") };
}
