using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using WixOAuth.Instances;

namespace WixOAuth.Crash;

/// <summary>
/// Wix's two endpoints that give tokens (wix-protocol §5, §8), and what an import and a clone need besides. It keeps to
/// the letter which refresh token is good, and writes every call for a token down. Each process has an address of its
/// own, so that it is known who calls.
/// </summary>
internal sealed class FakeWix : IAsyncDisposable
{
    // The service waits for ten seconds, from before the request arrives here.
    private static readonly TimeSpan s_tooLate = TimeSpan.FromSeconds(8);

    private readonly WebApplication _app;
    private readonly Journal _journal;
    private readonly Traps _traps;
    private readonly ConcurrentDictionary<Guid, Grants> _sites = new();
    private readonly ConcurrentDictionary<string, Grants> _byRefreshToken = new();
    private readonly ConcurrentDictionary<string, Guid> _byAccessToken = new();
    private readonly ConcurrentDictionary<Guid, byte> _unavailable = new();
    private readonly RSA _webhookKey = RSA.Create(2_048);
    private int _issued;

    private FakeWix(Journal journal, Traps traps)
    {
        (_journal, _traps) = (journal, traps);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        _app = builder.Build();
        _app.Run(AnswerAsync);
    }

    /// <summary>How long access tokens live, in seconds: from, and below.</summary>
    public (int From, int Below) Lifetime { get; set; } = (5, 20);

    /// <summary>The longest that either half of an answer takes, in milliseconds.</summary>
    public int MaxLatency { get; set; } = 100;

    /// <summary>Which part of the calls is answered by 503.</summary>
    public double BusyPart { get; set; }

    /// <summary>The last storm; it ends by itself.</summary>
    public Storm? Storm { get; set; }

    /// <summary>Of which sites it tells more than tokens.</summary>
    public IReadOnlyCollection<Guid> Described { get; set; } = [];

    /// <summary>The public key of the webhooks.</summary>
    public string WebhookKey => _webhookKey.ExportSubjectPublicKeyInfoPem();

    public static async Task<FakeWix> StartAsync(Journal journal, Traps traps, CancellationToken cancellationToken)
    {
        var wix = new FakeWix(journal, traps);
        await wix._app.StartAsync(cancellationToken);
        return wix;
    }

    /// <summary>A process's own address.</summary>
    public Uri ApiUrlOf(int node) => new(
        new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()),
        node.ToString(CultureInfo.InvariantCulture));

    /// <summary>A consent.</summary>
    /// <returns>Its refresh token.</returns>
    public string Install(Site site)
    {
        var grants = new Grants(site, NewRefreshToken());
        _sites[site.Id] = grants;
        _byRefreshToken[grants.Head] = grants;
        return grants.Head;
    }

    /// <summary>The refresh token of a site becomes void.</summary>
    public void Revoke(Guid site)
    {
        var grants = _sites[site];
        lock (grants)
        {
            (grants.Revoked, grants.Head, grants.Predecessor) = (grants.Head, NewRefreshToken(), null);
        }
    }

    /// <summary>A refresh token that became void is good again.</summary>
    public void Restore(Guid site)
    {
        var grants = _sites[site];
        lock (grants)
        {
            (grants.Head, grants.Revoked) = (grants.Revoked ?? grants.Head, null);
        }
    }

    /// <summary>Every call for a site is answered by 503, or none any more.</summary>
    public void SetAvailable(Guid site, bool available)
    {
        if (available)
        {
            _unavailable.TryRemove(site, out _);
        }
        else
        {
            _unavailable[site] = 0;
        }
    }

    /// <summary>The newest good refresh token of each site.</summary>
    public IReadOnlyDictionary<Guid, string> GoodTokens() => _sites.ToDictionary(site => site.Key, site => site.Value.Head);

    /// <summary>A webhook as Wix signs it (wix-protocol §10).</summary>
    public string SignWebhook(string eventType, Guid site, DateTimeOffset issuedAt)
    {
        var data = JsonSerializer.Serialize(new { data = "{}", instanceId = site, eventType });
        var claims = JsonSerializer.Serialize(new { data, iat = issuedAt.ToUnixTimeSeconds(), exp = issuedAt.AddDays(41).ToUnixTimeSeconds() });
        var signed = $"{Encode("""{"kid":"k","alg":"RS256"}""")}.{Encode(claims)}";
        lock (_webhookKey)
        {
            return $"{signed}.{Base64Url.EncodeToString(_webhookKey.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
        }

        static string Encode(string text) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _webhookKey.Dispose();
    }

    private string NewRefreshToken() => $"refresh-{Interlocked.Increment(ref _issued)}";

    private async Task AnswerAsync(HttpContext context)
    {
        var receivedAt = Journal.Now;
        var path = context.Request.Path.Value!.Split('/', 3);
        if (path[2] is not ("oauth/access" or "oauth2/token"))
        {
            await DescribeAsync(context, path[2]);
            return;
        }

        using var body = await JsonDocument.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
        var node = int.Parse(path[1], CultureInfo.InvariantCulture);
        var grant = path[2] == "oauth2/token" ? Grant.ClientCredentials : Grant.RefreshToken;
        var used = grant == Grant.RefreshToken ? body.RootElement.GetProperty("refresh_token").GetString() : null;
        var grants = used is null ? _sites[body.RootElement.GetProperty("instance_id").GetGuid()] : _byRefreshToken.GetValueOrDefault(used);
        if (grants is null)
        {
            throw new InvalidOperationException("A refresh token that was never issued.");
        }

        var site = grants.Site.Id;
        if (!await _traps.PassAsync(node, grant == Grant.RefreshToken ? Point.RefreshAsked : Point.MintAsked, site))
        {
            context.Abort();
            return;
        }

        // Not cancelled: a request that has arrived is carried out, whatever became of its sender.
        await WaitAsync();
        var storm = StormFor(grant);
        var isBusy = storm is not null || _unavailable.ContainsKey(site) || Random.Shared.NextDouble() < BusyPart;
        var call = Act(new WixCall(receivedAt, Journal.Now, node, site, grant, used, isBusy ? WixOutcome.Unavailable : WixOutcome.Rejected), grants);
        _journal.Add(call);
        var point = call.Outcome switch
        {
            WixOutcome.Accepted when grant == Grant.ClientCredentials => Point.Minted,
            WixOutcome.Accepted => Point.RefreshSpent,
            WixOutcome.Rejected => Point.RefreshRejected,
            _ => (Point?)null,
        };
        if (point is { } acted && !await _traps.PassAsync(node, acted, site))
        {
            context.Abort();
            return;
        }

        await WaitAsync();
        if (storm is not null)
        {
            context.Response.StatusCode = storm.Status;
            context.Response.ContentType = "text/html; charset=utf-8";
            await context.Response.WriteAsync("<!doctype html><title>Forbidden</title><h1>Request blocked</h1>", context.RequestAborted);
            return;
        }

        context.Response.StatusCode = call.Outcome switch
        {
            WixOutcome.Accepted => StatusCodes.Status200OK,
            WixOutcome.Rejected => StatusCodes.Status400BadRequest,
            _ => StatusCodes.Status503ServiceUnavailable,
        };
        context.Response.ContentType = "application/json";
        try
        {
            await context.Response.Body.WriteAsync(
                call.Outcome == WixOutcome.Accepted ? Serialize(call) : "{}"u8.ToArray(), context.RequestAborted);
        }
        finally
        {
            if (context.RequestAborted.IsCancellationRequested || Journal.Now - receivedAt > s_tooLate)
            {
                _journal.AddUnheard(call);
            }
        }
    }

    private Storm? StormFor(Grant grant) =>
        Storm is { } storm && Journal.Now < storm.Until && (storm.EveryEndpoint || grant == Grant.RefreshToken) && Random.Shared.NextDouble() < storm.Part
            ? storm
            : null;

    /// <summary>token-info, Get App Instance and the BI event.</summary>
    private async Task DescribeAsync(HttpContext context, string path)
    {
        var token = context.Request.Headers.Authorization.ToString();
        if (path == "oauth2/token-info")
        {
            using var body = await JsonDocument.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
            token = body.RootElement.GetProperty("token").GetString()!;
        }

        if (!_byAccessToken.TryGetValue(token, out var site) || !Described.Contains(site))
        {
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
            return;
        }

        await context.Response.WriteAsJsonAsync<object>(
            path switch
            {
                "oauth2/token-info" => new { active = true, clientId = Processes.Surroundings.AppId, instanceId = site },
                "apps/v1/instance" => new { instance = new { instanceId = site }, site = new { siteId = site, siteDisplayName = "A site" } },
                _ => new { },
            },
            context.RequestAborted);
    }

    private WixCall Act(WixCall call, Grants grants)
    {
        if (call.Outcome == WixOutcome.Unavailable)
        {
            return call;
        }

        var granted = call with
        {
            Outcome = WixOutcome.Accepted,
            AccessToken = $"access-{Interlocked.Increment(ref _issued)}-{new string('x', 1_000)}",
            Lifetime = TimeSpan.FromSeconds(Random.Shared.Next(Lifetime.From, Lifetime.Below)),
        };
        _byAccessToken[granted.AccessToken] = call.Site;
        if (call.Grant == Grant.ClientCredentials)
        {
            return granted;
        }

        lock (grants)
        {
            if (call.Used != grants.Head && call.Used != grants.Predecessor)
            {
                return call;
            }

            if (grants.Site.Rotation != Rotation.Same)
            {
                grants.Predecessor = grants.Site.Rotation == Rotation.Grace ? call.Used : null;
                grants.Head = NewRefreshToken();
                _byRefreshToken[grants.Head] = grants;
            }

            return granted with { Issued = grants.Head };
        }
    }

    private static byte[] Serialize(WixCall call) => JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
    {
        ["access_token"] = call.AccessToken!,
        ["expires_in"] = (int)call.Lifetime.TotalSeconds,
    }.Concat(call.Issued is { } refresh ? [KeyValuePair.Create("refresh_token", (object)refresh)] : []).ToDictionary());

    private Task WaitAsync() => Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(MaxLatency + 1)), TimeProvider.System, CancellationToken.None);

    private sealed class Grants(Site site, string head)
    {
        public Site Site => site;

        public string Head { get; set; } = head;

        public string? Predecessor { get; set; }

        public string? Revoked { get; set; }
    }
}
