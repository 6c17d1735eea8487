using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using WixOAuth.Instances;

namespace WixOAuth.Crash;

/// <summary>
/// Wix's two endpoints that give tokens (wix-protocol §5, §8). It keeps to the letter which refresh token is good, and
/// writes every call down. Each process has an address of its own, so that it is known who calls.
/// </summary>
internal sealed class FakeWix : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Journal _journal;
    private readonly Traps _traps;
    private readonly ConcurrentDictionary<Guid, Grants> _sites = new();
    private readonly ConcurrentDictionary<string, Grants> _byRefreshToken = new();
    private readonly ConcurrentDictionary<Guid, byte> _unavailable = new();
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
            (grants.Head, grants.Predecessor) = (NewRefreshToken(), null);
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

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private string NewRefreshToken() => $"refresh-{Interlocked.Increment(ref _issued)}";

    private async Task AnswerAsync(HttpContext context)
    {
        var receivedAt = Journal.Now;
        var path = context.Request.Path.Value!.Split('/', 3);
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
        var isBusy = _unavailable.ContainsKey(site) || Random.Shared.NextDouble() < BusyPart;
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
        context.Response.StatusCode = call.Outcome switch
        {
            WixOutcome.Accepted => StatusCodes.Status200OK,
            WixOutcome.Rejected => StatusCodes.Status400BadRequest,
            _ => StatusCodes.Status503ServiceUnavailable,
        };
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(
            call.Outcome == WixOutcome.Accepted ? Serialize(call) : "{}"u8.ToArray(), context.RequestAborted);
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
    }
}
