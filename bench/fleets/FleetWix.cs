using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using WixOAuth.Instances;
using WixOAuth.Scale;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Fleets;

/// <summary>What Wix remembers of the requests for tokens of a site.</summary>
internal sealed class WixRecord
{
    /// <summary>When it was asked last.</summary>
    public DateTimeOffset? AskedAt { get; set; }

    /// <summary>The first rejection after the last token that arrived.</summary>
    public DateTimeOffset? RejectedSince { get; set; }

    /// <summary>How often it rejected the refresh token since then.</summary>
    public int RefreshTokenRejections { get; set; }

    /// <summary>How often it rejected client credentials since then.</summary>
    public int ClientCredentialsRejections { get; set; }
}

/// <summary>A Wix that knows which refresh token of each site it would take, and when each access token ends.</summary>
internal sealed class FleetWix(SimulatedTime time, Random random, FleetSchedule schedule) : HttpMessageHandler
{
    private const int RefreshedLife = 300;
    private const int ClientCredentialsLife = 14_400;

    private readonly Dictionary<InstanceId, (string RefreshToken, DateTimeOffset Since)> _sites = [];
    private readonly Dictionary<string, InstanceId> _byRefreshToken = [];
    private readonly Dictionary<string, DateTimeOffset> _ends = [];
    private readonly HashSet<InstanceId> _dead = [];
    private readonly Dictionary<InstanceId, WixRecord> _records = [];
    private readonly List<FleetFault.Outage> _outages = [];
    private readonly HashSet<(FleetFault.Outage Outage, InstanceId Site)> _hit = [];
    private int _issued;

    /// <summary>How many requests for tokens there were.</summary>
    public int Calls { get; private set; }

    /// <summary>Whether anything fails now.</summary>
    public bool IsFailing => _outages.Count > 0;

    /// <summary>An owner consents, which voids what was granted to the site before. Returns the tokens.</summary>
    /// <param name="id">The site.</param>
    /// <param name="sentAt">When the code was sent, by the sender's clock.</param>
    public async Task<TokenAnswer.Granted> ConsentAsync(InstanceId id, DateTimeOffset sentAt)
    {
        await time.PassAsync(Latency());
        var (access, refresh) = (NextAccessToken(RefreshedLife), NextRefreshToken(id));
        _records[id] = new WixRecord();
        await time.PassAsync(Latency());
        return new TokenAnswer.Granted(new AccessToken(access), new RefreshToken(refresh), sentAt, sentAt.AddSeconds(RefreshedLife));
    }

    /// <summary>Something begins to fail.</summary>
    /// <param name="outage">What.</param>
    /// <param name="sites">For which sites, where it is not for all.</param>
    public void Begin(FleetFault.Outage outage, IEnumerable<InstanceId> sites)
    {
        _outages.Add(outage);
        _hit.UnionWith(sites.Select(site => (outage, site)));
    }

    public void End(FleetFault.Outage outage) => _outages.Remove(outage);

    /// <summary>Whether an outage of some sites is one of this site.</summary>
    public bool Hits(FleetFault.Outage outage, InstanceId site) => _hit.Contains((outage, site));

    /// <summary>The site removes the app.</summary>
    public void Kill(InstanceId id) => _dead.Add(id);

    /// <summary>The refresh token that it takes of a site, and since when.</summary>
    public (string RefreshToken, DateTimeOffset Since) Of(InstanceId id) => _sites[id];

    public WixRecord RecordOf(InstanceId id) => _records[id];

    /// <summary>How often it rejected each allowed grant since the last token.</summary>
    public int RejectionsOf(InstanceId id)
    {
        var record = _records[id];
        return schedule.Fallback ? Math.Min(record.RefreshTokenRejections, record.ClientCredentialsRejections) : record.RefreshTokenRejections;
    }

    /// <summary>When an access token ends.</summary>
    public DateTimeOffset EndOf(string accessToken) => _ends[accessToken];

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
        var (id, isValid) = Identify(body, byRefreshToken);
        _records[id].AskedAt = time.GetUtcNow();
        await time.PassAsync(Latency());
        if (_outages.Find(outage => Fails(outage, id, byRefreshToken)) is not { } failing)
        {
            var response = Act(id, isValid(), byRefreshToken, isHeard: true);
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
                Act(id, isValid(), byRefreshToken, isHeard: false).Dispose();
                throw new HttpRequestException(HttpRequestError.ResponseEnded, "reset");
        }

        if (failing.Rejects)
        {
            Rejected(id, byRefreshToken);
        }

        return Failure(failing.Answer);
    }

    // Half of what a call takes: it acts in the middle.
    private TimeSpan Latency() => TimeSpan.FromMilliseconds(random.Next(40, 120));

    private bool Fails(FleetFault.Outage outage, InstanceId id, bool byRefreshToken) =>
        (outage.EveryEndpoint || byRefreshToken)
        && (outage.Scope == OutageScope.Sites ? Hits(outage, id) : random.Next(100) < outage.Percent);

    // The site that a request is for, and whether what it shows is valid at a time.
    private (InstanceId Id, Func<bool> IsValid) Identify(JsonElement body, bool byRefreshToken)
    {
        if (!byRefreshToken)
        {
            return (new InstanceId(body.GetProperty("instance_id").GetGuid()), () => true);
        }

        var used = body.GetProperty("refresh_token").GetString()!;
        var id = _byRefreshToken[used];
        return (id, () => _sites[id].RefreshToken == used);
    }

    private HttpResponseMessage Act(InstanceId id, bool isValid, bool byRefreshToken, bool isHeard)
    {
        if (!isValid || _dead.Contains(id))
        {
            Rejected(id, byRefreshToken);
            return Json(HttpStatusCode.Forbidden, """{"message":"no"}""");
        }

        if (isHeard)
        {
            _records[id] = new WixRecord { AskedAt = _records[id].AskedAt };
        }

        var life = byRefreshToken ? RefreshedLife : ClientCredentialsLife;
        var access = NextAccessToken(life);
        return Json(HttpStatusCode.OK, JsonSerializer.Serialize(byRefreshToken && schedule.Rotates
            ? new Dictionary<string, object> { ["access_token"] = access, ["expires_in"] = life, ["refresh_token"] = NextRefreshToken(id) }
            : new Dictionary<string, object> { ["access_token"] = access, ["expires_in"] = life }));
    }

    private void Rejected(InstanceId id, bool byRefreshToken)
    {
        var record = _records[id];
        record.RejectedSince ??= time.GetUtcNow();
        (record.RefreshTokenRejections, record.ClientCredentialsRejections) = byRefreshToken
            ? (record.RefreshTokenRejections + 1, record.ClientCredentialsRejections)
            : (record.RefreshTokenRejections, record.ClientCredentialsRejections + 1);
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
