using System.Net;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using WixOAuth.PretendWix.Pages;

namespace WixOAuth.PretendWix;

/// <summary>
/// A pretend Wix on its own Kestrel: the pages of an install, the API behind them, webhooks, and a hand to make it
/// misbehave. It is written from wix-protocol.md alone and shares no code with the service, so that it is a second opinion.
/// </summary>
public sealed class PretendWixServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly WixState _wix;
    private readonly Webhooks _webhooks;
    private readonly ReceivedEvents? _events;
    private readonly CancellationTokenSource _stopping = new();
    private Uri? _appUrl;
    private Uri? _redirectUrl;
    private Uri? _webhookUrl;

    private PretendWixServer(PretendWixOptions options)
    {
        _appUrl = options.AppUrl;
        _redirectUrl = options.RedirectUrl;
        _webhookUrl = options.WebhookUrl;

        var logger = options.LoggerFactory.CreateLogger("WixOAuth.PretendWix");
        Control = new(options);
        _wix = new(options, Control);
        Control.WixState = _wix;
        _webhooks = new(_wix, options, Control, logger);

        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestLineSize = 64 * 1024;
            kestrel.Limits.MaxRequestHeadersTotalSize = 128 * 1024;
            kestrel.Limits.MaxRequestBufferSize = 256 * 1024;
            kestrel.Limits.MaxRequestBodySize = 1024 * 1024;
        });
        builder.WebHost.UseUrls(options.ListenUrl.GetLeftPart(UriPartial.Authority));
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton<IHostLifetime, OwnedLifetime>();

        _app = builder.Build();
        _app.UseRouting();
        new WixApi(_wix, options, Control, new ApiCalls(_wix, Control, logger, _stopping.Token)).Map(_app);
        new SitePages(this, _wix, options, new Lately(this, _wix, Control)).Map(_app);
        new InstallerPages(this, _wix, options, Control).Map(_app);
        new TroublePages(this, _wix, Control).Map(_app);
        if (options.EventsSecret is { } secret)
        {
            _events = new ReceivedEvents(secret, options.TimeProvider);
            new EventPages(_events, _wix, Control).Map(_app);
        }

        new ControlEndpoints(this, _wix, Control).Map(_app);
        _app.UseEndpoints(static _ => { });
    }

    /// <summary>The page to start from.</summary>
    public Uri Url { get; private set; } = null!;

    /// <summary>What <c>Wix__ApiUrl</c> is set to.</summary>
    public Uri ApiUrl => new(Url.GetLeftPart(UriPartial.Authority));

    /// <summary>What <c>Wix__InstallerUrl</c> is set to.</summary>
    public Uri InstallerUrl => new(Url, "installer");

    /// <summary>What <c>Events__Url</c> is set to; null without <see cref="PretendWixOptions.EventsSecret"/>.</summary>
    public Uri? EventsUrl => _events is null ? null : new(Url, EventPages.Path);

    /// <summary>The latest events that were received, oldest first.</summary>
    public IReadOnlyList<PretendWixEvent> Events => _events?.Latest ?? [];

    /// <summary>Switches, faults, gates, counts and records.</summary>
    public PretendWixControl Control { get; }

    /// <summary>The App URL (wix-protocol §2).</summary>
    public Uri? AppUrl
    {
        get => Volatile.Read(ref _appUrl);
        set => Volatile.Write(ref _appUrl, value);
    }

    /// <summary>The registered Redirect URL (wix-protocol §3).</summary>
    public Uri? RedirectUrl
    {
        get => Volatile.Read(ref _redirectUrl);
        set => Volatile.Write(ref _redirectUrl, value);
    }

    /// <summary>Where webhooks go (wix-protocol §10).</summary>
    public Uri? WebhookUrl
    {
        get => Volatile.Read(ref _webhookUrl);
        set => Volatile.Write(ref _webhookUrl, value);
    }

    /// <summary>The public key that webhooks are checked with: what Wix shows on the app's dashboard (wix-protocol §10).</summary>
    public string WebhookPublicKeyPem => _webhooks.PublicKeyPem;

    /// <summary>All attempts to deliver webhooks, oldest first.</summary>
    public IReadOnlyList<PretendWixDelivery> Deliveries => _webhooks.Deliveries;

    /// <summary>All sites that were not seeded.</summary>
    public IReadOnlyList<PretendSite> Sites => [.. _wix.NamedSites.Select(site => site.Snapshot())];

    /// <summary>Starts one.</summary>
    /// <param name="options">What it is started with.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    /// <exception cref="IOException">The port is in use, or the state file cannot be written.</exception>
    /// <exception cref="InvalidDataException">The state file is invalid.</exception>
    public static async Task<PretendWixServer> StartAsync(PretendWixOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentException.ThrowIfNullOrEmpty(options.AppId);
        ArgumentException.ThrowIfNullOrEmpty(options.AppSecret);
        var server = new PretendWixServer(options);
        try
        {
            await server._app.StartAsync(cancellationToken);
            server.Url = server.FindUrl();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops it; calls under way are cut off.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stopping.IsCancellationRequested)
        {
            return;
        }

        await _stopping.CancelAsync();
        using (var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1), TimeProvider.System))
        {
            await _app.StopAsync(patience.Token);
        }

        await _app.DisposeAsync();
        _webhooks.Dispose();
        _stopping.Dispose();
    }

    /// <summary>Makes a site whose owner has not added the app.</summary>
    /// <param name="name">Its name.</param>
    public PretendSite CreateSite(string name) => _wix.AddSite(name).Snapshot();

    /// <summary>The site of an instance, seeded ones included.</summary>
    /// <param name="instanceId">The instance.</param>
    public PretendSite GetSite(Guid instanceId) => _wix.GetSite(instanceId).Snapshot();

    /// <summary>Makes a site and lets its owner consent, without a browser. Sends <c>AppInstalled</c> as a browser's consent does.</summary>
    /// <param name="siteName">The site's name.</param>
    public PretendInstall CreateInstall(string siteName) => Consent(_wix.AddSite(siteName).InstanceId);

    /// <summary>An owner's consent without a browser: an install, a reinstall or an upgrade (wix-protocol §9).</summary>
    /// <param name="instanceId">The instance.</param>
    public PretendInstall Consent(Guid instanceId)
    {
        var site = _wix.GetSite(instanceId);
        var token = _wix.IssueInstallToken(site);
        return new(site.InstanceId, site.SiteId, token, Agree(site));
    }

    /// <summary>A fresh code for an instance.</summary>
    /// <param name="instanceId">The instance.</param>
    public string IssueCode(Guid instanceId) => _wix.IssueCode(_wix.GetSite(instanceId));

    /// <summary>The token that the App URL would be opened with (wix-protocol §2).</summary>
    /// <param name="instanceId">The instance.</param>
    public string IssueAppUrlToken(Guid instanceId) => _wix.IssueInstallToken(_wix.GetSite(instanceId));

    /// <summary>An access token, as if just refreshed.</summary>
    /// <param name="instanceId">The instance.</param>
    public string IssueAccessToken(Guid instanceId) =>
        _wix.IssueAccessToken(_wix.GetSite(instanceId), Control.Switches.AccessTokenLifetime);

    /// <summary>The newest refresh token of an instance; a clone's, which has none, is never accepted.</summary>
    /// <param name="instanceId">The instance.</param>
    public string GetRefreshToken(Guid instanceId) => _wix.WriteRefreshToken(_wix.GetSite(instanceId));

    /// <summary>The owner removes the app; sends <c>AppRemoved</c>.</summary>
    /// <param name="instanceId">The instance.</param>
    /// <returns>Whether it was installed.</returns>
    public bool Remove(Guid instanceId)
    {
        var site = _wix.GetSite(instanceId);
        var removed = _wix.Remove(site);
        if (removed)
        {
            Announce("AppRemoved", site);
        }

        return removed;
    }

    /// <summary>The owner clones the site: an instance with the app but without consent or refresh token (wix-protocol §8).</summary>
    /// <param name="instanceId">The instance to clone.</param>
    public PretendSite Clone(Guid instanceId)
    {
        var origin = _wix.GetSite(instanceId);
        var clone = _wix.AddSite($"Copy of {origin.Name}", origin.InstanceId);
        Announce("AppInstalled", clone);
        return clone.Snapshot();
    }

    /// <summary>Installed instances that are the same in every run, for load; asking again changes nothing. They send no webhooks.</summary>
    /// <param name="count">How many, from the first.</param>
    public IReadOnlyList<PretendSeed> Seed(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, 1_000_000);
        return _wix.Seed(count);
    }

    /// <summary>A signed webhook that is not posted.</summary>
    /// <param name="eventType"><c>AppInstalled</c>, <c>AppRemoved</c>, or an unknown one.</param>
    /// <param name="instanceId">The instance it is about.</param>
    /// <param name="issuedAt">Its <c>iat</c>; now by default.</param>
    public string SignWebhook(string eventType, Guid instanceId, DateTimeOffset? issuedAt = null) =>
        _webhooks.Sign(eventType, _wix.GetSite(instanceId), issuedAt);

    /// <summary>Posts a delivered webhook once more, word for word, in the background.</summary>
    /// <param name="number">The delivery's number.</param>
    /// <returns>Whether there is such a delivery and a <see cref="WebhookUrl"/>.</returns>
    public bool ReplayWebhook(int number) => WebhookUrl is { } url && _webhooks.Replay(number, url);

    /// <summary>Ends when no webhook is under way.</summary>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task WebhooksSettledAsync(CancellationToken cancellationToken) => _webhooks.SettledAsync(cancellationToken);

    /// <summary>The control's first state, and no deliveries or events on record.</summary>
    internal void Reset()
    {
        Control.Reset();
        _webhooks.Clear();
        _events?.Clear();
    }

    /// <summary>The owner agrees; answers the code.</summary>
    internal string Agree(Site site)
    {
        if (_wix.Consent(site) != PretendSiteStatus.Installed)
        {
            Announce("AppInstalled", site);
        }

        return _wix.IssueCode(site);
    }

    private void Announce(string eventType, Site site)
    {
        if (WebhookUrl is { } url && Control.Switches.SendWebhooks)
        {
            _webhooks.Post(eventType, site, url);
        }
    }

    private Uri FindUrl()
    {
        var addresses = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses;
        var bound = new Uri(addresses.First());

        // Cookies and copied links go by the name: one name for everything on a laptop.
        var isLoopback = IPAddress.TryParse(bound.Host.Trim('[', ']'), out var address) && (IPAddress.IsLoopback(address) || address.Equals(IPAddress.Any));
        return isLoopback ? new UriBuilder(bound) { Host = "localhost" }.Uri : bound;
    }

    /// <summary>This server is stopped by its owner: it ignores the process's signals.</summary>
    private sealed class OwnedLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
