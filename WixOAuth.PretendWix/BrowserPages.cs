using System.Globalization;
using System.Text.Encodings.Web;

namespace WixOAuth.PretendWix;

/// <summary>What the site's owner sees: the sites, the consent (wix-protocol §3) and the end of the install (§7).</summary>
internal sealed class BrowserPages(PretendWixServer server, Ledger ledger, PretendWixOptions options, PretendWixControl control)
{
    private const int MaxNameLength = 200;
    private const int SitesShown = 50;

    private const string Icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
        + "%3Crect width='16' height='16' rx='4' fill='%23e0a83b'/%3E%3Cpath d='M3 5l2 6 3-5 3 5 2-6' fill='none' stroke='%232b2a33' stroke-width='2'/%3E%3C/svg%3E";

    public void Map(WebApplication app)
    {
        app.MapGet("/", Home);
        app.MapPost("/sites", AddSiteAsync);
        app.MapGet("/sites/{instanceId:guid}/open", OpenAppUrl);
        app.MapPost("/sites/{instanceId:guid}/add", OpenAppUrl);
        app.MapPost("/sites/{instanceId:guid}/remove", Remove);
        app.MapGet("/sites/{instanceId:guid}/frame", Frame);
        app.MapGet("/installer/install", context => AskAsync(context));
        app.MapPost("/installer/install", DecideAsync);
        app.MapGet("/installer/close-window", CloseWindow);
    }

    private Task Home(HttpContext context)
    {
        var sites = ledger.NamedSites.Take(SitesShown).ToList();
        var others = ledger.SiteCount - sites.Count;
        return PageAsync(context, StatusCodes.Status200OK, "Your sites", Html.Of($"""
            <h1>Your sites</h1>
            <p class="lede">Play the owner of a few sites: add <strong>{options.AppName}</strong> to one, agree, and watch your token service do the rest.</p>
            {MissingUrls()}
            <ul class="sites">{Html.Join(sites.Select(SiteCard))}</ul>
            {(others > 0 ? Html.Of($"""<p class="muted">And {others} more.</p>""") : Html.Empty)}
            <h2>Another site</h2>
            <form class="card" method="post" action="/sites">
            <label for="name">Name of the site</label>
            <div class="actions"><input id="name" name="name" type="text" required maxlength="{MaxNameLength}" autocomplete="off"><button>Make it</button></div>
            </form>
            {Lately()}
            """), footer: Html.Of($"""Switches, faults and counts: <a href="/_control">/_control</a>"""));
    }

    private Html MissingUrls() => server.AppUrl is null || server.RedirectUrl is null
        ? Html.Of($"""<p class="note warn">This Wix does not know your app's App URL or Redirect URL yet, so nothing can be installed.</p>""")
        : Html.Empty;

    private static Html SiteCard(Site site)
    {
        var view = site.Snapshot();
        var id = view.InstanceId;
        var name = view.Name;
        var actions = view.Status == PretendSiteStatus.Installed
            ? Html.Of($"""
                <form method="post" action="/sites/{id}/add"><button>Update app (new consent)</button></form>
                <form method="post" action="/sites/{id}/remove"><button aria-label="Remove from {name}">Remove</button></form>
                """)
            : Html.Of($"""<form method="post" action="/sites/{id}/add"><button class="primary" aria-label="Add to site {name}">Add to site</button></form>""");
        var version = view.Status == PretendSiteStatus.Installed ? Html.Of($" · version {view.AppVersion}") : Html.Empty;
        var instance = view.Status == PretendSiteStatus.Installed ? Html.Of($"""<p class="muted">Instance <code>{id}</code></p>""") : Html.Empty;
        return Html.Of($"""
            <li class="card site">{Face(name)}
            <div><h2>{name}</h2><p class="muted">{view.Url.Host}{view.Url.AbsolutePath}{version}</p>{instance}</div>
            {StatusPill(view)}
            <div class="actions">{actions}<a class="button plain" href="/sites/{id}/frame" aria-label="Open in a frame for {name}">Open in a frame</a></div></li>
            """);
    }

    private static Html Face(string name) =>
        Html.Of($"""<span class="face" aria-hidden="true">{StringInfo.GetNextTextElement(name.TrimStart() is { Length: > 0 } text ? text : "?")}</span>""");

    private static Html StatusPill(PretendSite site) => site switch
    {
        { Status: PretendSiteStatus.NotInstalled } => Html.Of($"""<span class="pill">Not installed</span>"""),
        { Status: PretendSiteStatus.Removed } => Html.Of($"""<span class="pill bad">Removed</span>"""),
        { SetupComplete: true } => Html.Of($"""<span class="pill ok">Setup complete</span>"""),
        _ => Html.Of($"""<span class="pill warn">Setup incomplete</span>"""),
    };

    private Html Lately()
    {
        var calls = control.Calls.Select(call => (call.At, call.InstanceId, What: Describe(call), Answer: call.Status == 0 ? "none" : Code(call.Status)));
        var webhooks = server.Deliveries.Select(delivery => (
            delivery.At,
            InstanceId: (Guid?)delivery.InstanceId,
            What: $"Webhook {delivery.EventType} sent",
            Answer: delivery.Status is { } status ? Code(status) : delivery.Problem ?? "none"));
        var rows = calls.Concat(webhooks).OrderByDescending(row => row.At).Take(10).ToList();
        if (rows.Count == 0)
        {
            return Html.Empty;
        }

        return Html.Of($"""
            <h2>What happened lately</h2>
            <div class="card"><table>
            <thead><tr><th scope="col">UTC</th><th scope="col">What</th><th scope="col" class="wide">Site</th><th scope="col">Answer</th></tr></thead>
            <tbody>{Html.Join(rows.Select(row => Html.Of($"""
                <tr><td><time>{row.At.UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture)}</time></td><td>{row.What}</td>
                <td class="wide">{NameOf(row.InstanceId)}</td><td class="number">{row.Answer}</td></tr>
                """)))}</tbody></table></div>
            """);
    }

    private static string Code(int status) => status.ToString(CultureInfo.InvariantCulture);

    private string NameOf(Guid? instanceId) => instanceId is { } id && ledger.TryGetSite(id, out var site) ? site.Name : "unknown";

    private static string Describe(PretendWixCall call) => (call.Endpoint, call.Grant) switch
    {
        (PretendWixEndpoints.Access, "authorization_code") => "Code exchanged for tokens",
        (PretendWixEndpoints.Access, _) => "Access token refreshed",
        (PretendWixEndpoints.Token, _) => "Token by client credentials",
        (PretendWixEndpoints.TokenInfo, _) => "Token looked up",
        (PretendWixEndpoints.Instance, _) => "Site's details read",
        (PretendWixEndpoints.BiEvent, _) => "Setup reported",
        _ => "Install window closed",
    };

    private async Task AddSiteAsync(HttpContext context)
    {
        var form = await ReadFormAsync(context);
        var name = form["name"].ToString().Trim();
        if (name.Length is 0 or > MaxNameLength)
        {
            await ProblemAsync(context, "A site needs a name", "Give it one of up to 200 characters.");
            return;
        }

        ledger.AddSite(name);
        Redirect(context, "/", StatusCodes.Status303SeeOther);
    }

    private Task OpenAppUrl(HttpContext context)
    {
        if (!TryGetSite(context, out var site))
        {
            return ProblemAsync(context, "No such site", "Go back to your sites and choose one.", StatusCodes.Status404NotFound);
        }

        if (server.AppUrl is not { } appUrl)
        {
            return ProblemAsync(context, "No App URL", "This Wix does not know where your app is yet.");
        }

        Redirect(context, WithQuery(appUrl.AbsoluteUri, ("token", ledger.IssueInstallToken(site))), StatusCodes.Status302Found);
        return Task.CompletedTask;
    }

    private Task Remove(HttpContext context)
    {
        if (TryGetSite(context, out var site))
        {
            server.Remove(site.InstanceId);
        }

        Redirect(context, "/", StatusCodes.Status303SeeOther);
        return Task.CompletedTask;
    }

    private Task Frame(HttpContext context)
    {
        if (!TryGetSite(context, out var site))
        {
            return ProblemAsync(context, "No such site", "Go back to your sites and choose one.", StatusCodes.Status404NotFound);
        }

        return PageAsync(context, StatusCodes.Status200OK, "In a frame", Html.Of($"""
            <h1>The app in a frame</h1>
            <p class="lede">Some of Wix's flows load the App URL inside an iframe, as here for <strong><bdi>{site.Name}</bdi></strong>.
            An app that forbids framing shows nothing below.</p>
            <iframe class="stage" src="/sites/{site.InstanceId}/open" title="{options.AppName} on {site.Name}"></iframe>
            <p class="back"><a href="/" target="_top">Back to your sites</a></p>
            """));
    }

    private async Task AskAsync(HttpContext context)
    {
        if (await CheckInstallAsync(context) is not { } request)
        {
            return;
        }

        if (request.Site is not { } site)
        {
            await ChooseSiteAsync(context);
            return;
        }

        if (request.Chosen && control.Switches.SiteChoiceOpensAppUrl && server.AppUrl is { } appUrl)
        {
            Redirect(context, WithQuery(appUrl.AbsoluteUri, ("token", ledger.IssueInstallToken(site))), StatusCodes.Status302Found);
            return;
        }

        // The form has no action: it posts to this page's own address, so that no token stands in the page.
        var again = site.Snapshot().Status == PretendSiteStatus.Installed;
        await PageAsync(context, StatusCodes.Status200OK, $"Add {options.AppName}", Html.Of($"""
            <form class="card" method="post">
            <p class="muted">{site.Name}</p>
            <h1>{(again ? "Update" : "Add")} {options.AppName}?</h1>
            <p>It asks for your permission to</p>
            <ul class="asks"><li>read your site's name and address</li><li>read your products and contacts</li><li>manage its own installation</li></ul>
            <p class="muted">Afterwards you go on at <strong>{server.RedirectUrl!.Authority}</strong>.</p>
            <div class="actions decide"><button class="primary" name="decision" value="agree">Agree &amp; Add</button>
            <button name="decision" value="cancel">Cancel</button></div>
            </form>
            """), narrow: true);
    }

    private Task ChooseSiteAsync(HttpContext context)
    {
        var query = context.Request.Query;
        var carried = query.Where(pair => pair.Key is "appId" or "redirectUrl" or "state").Select(pair => (pair.Key, pair.Value.ToString())).ToArray();
        var sites = ledger.NamedSites.Take(SitesShown);
        return PageAsync(context, StatusCodes.Status200OK, "Choose a site", Html.Of($"""
            <div class="card"><h1>Where should {options.AppName} go?</h1>
            <p class="muted">Choose one of your sites.</p>
            <ul class="choices">{Html.Join(sites.Select(site => Html.Of($"""
                <li><a href="{WithQuery("/installer/install", [.. carried, ("site", site.InstanceId.ToString())])}">{Face(site.Name)}<span>{site.Name}</span></a></li>
                """)))}</ul></div>
            """), narrow: true);
    }

    private async Task DecideAsync(HttpContext context)
    {
        if (await CheckInstallAsync(context) is not { } request)
        {
            return;
        }

        var form = await ReadFormAsync(context);
        var redirectUrl = server.RedirectUrl!.AbsoluteUri;
        switch (form["decision"].ToString())
        {
            case "agree" when request.Site is { } site:
                var code = server.Agree(site);
                Redirect(
                    context,
                    WithQuery(redirectUrl, ("code", code), ("state", request.State), ("instanceId", site.InstanceId.ToString())),
                    StatusCodes.Status302Found);
                break;
            case "cancel" when control.Switches.CancelSendsError:
                Redirect(
                    context,
                    WithQuery(redirectUrl, ("error", "access_denied"), ("error_description", "The site's owner cancelled."), ("state", request.State)),
                    StatusCodes.Status302Found);
                break;
            case "cancel":
                Redirect(context, redirectUrl, StatusCodes.Status302Found);
                break;
            default:
                await ProblemAsync(context, "Nothing was decided", "Go back and choose.");
                break;
        }
    }

    private async Task<InstallRequest?> CheckInstallAsync(HttpContext context)
    {
        var query = context.Request.Query;
        if (query.Any(pair => pair.Value.Count > 1))
        {
            await ProblemAsync(context, "Something came twice", "A parameter of this link stands in it more than once.");
            return null;
        }

        if (!options.IsAppId(query["appId"]))
        {
            await ProblemAsync(context, "We couldn't find this app", "The link's appId is missing or belongs to no app.");
            return null;
        }

        var redirectUrl = query["redirectUrl"].ToString();
        if (server.RedirectUrl is not { } registered || (redirectUrl != registered.AbsoluteUri && redirectUrl != registered.OriginalString))
        {
            await ProblemAsync(
                context,
                "We couldn't find an app with this redirect url",
                "The link's redirectUrl is not, letter by letter, the one that the app registered.");
            return null;
        }

        var state = query["state"].ToString();
        if (query["token"].ToString() is { Length: > 0 } token)
        {
            var refusal = ledger.CheckInstallToken(token, out var site);
            if (refusal == Refusal.None)
            {
                return new(site, Chosen: false, state);
            }

            await ProblemAsync(context, "This link does not work", refusal == Refusal.Expired
                ? "Its token has expired. Start the installation again."
                : "Its token is not the one that was sent to the App URL. Was it URL-encoded?");
            return null;
        }

        if (query["site"].ToString() is not { Length: > 0 } chosen)
        {
            return new(null, Chosen: false, state);
        }

        if (Guid.TryParseExact(chosen, "D", out var id) && ledger.TryGetSite(id, out var chosenSite))
        {
            return new(chosenSite, Chosen: true, state);
        }

        await ProblemAsync(context, "No such site", "Start the installation again.");
        return null;
    }

    private Task CloseWindow(HttpContext context)
    {
        var token = context.Request.Query["access_token"];
        Site? site = null;
        var refusal = token.Count == 1 ? ledger.CheckAccessToken(token.ToString(), out site, out _) : Refusal.Unknown;
        var status = refusal == Refusal.None ? StatusCodes.Status200OK : StatusCodes.Status400BadRequest;
        control.Record("close-window", null, site, status, refusal == Refusal.None ? null : refusal.ToString());
        if (refusal != Refusal.None)
        {
            return ProblemAsync(context, "This window cannot be closed", refusal switch
            {
                Refusal.Expired => "Its access token has expired.",
                Refusal.Removed => "The app was removed from this site.",
                _ => "It was opened without a valid access token.",
            });
        }

        var view = site!.Snapshot();
        return PageAsync(context, StatusCodes.Status200OK, "Installation finished", Html.Of($"""
            <div class="card"><div class="mark ok" aria-hidden="true">✓</div>
            <h1>Installation finished</h1>
            <p class="muted">The real Wix would close this window now.</p>
            <dl><dt>App</dt><dd>{options.AppName} {view.AppVersion}</dd><dt>Site</dt><dd>{view.Name}</dd><dt>Instance</dt><dd><code>{view.InstanceId}</code></dd><dt>State</dt><dd>{StatusPill(view)}</dd></dl>
            <p class="muted">{(view.SetupComplete
                ? "Your app reported that it is ready."
                : "Wix waits for APP_FINISHED_CONFIGURATION. Your app may send it in a moment: reload to see.")}</p>
            <p class="back"><a href="/" target="_top">Back to your sites</a></p></div>
            """), narrow: true);
    }

    private bool TryGetSite(HttpContext context, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Site? site)
    {
        site = null;
        return Guid.TryParseExact(context.Request.RouteValues["instanceId"]?.ToString(), "D", out var id) && ledger.TryGetSite(id, out site);
    }

    private static async Task<IFormCollection> ReadFormAsync(HttpContext context)
    {
        try
        {
            return context.Request.HasFormContentType ? await context.Request.ReadFormAsync(context.RequestAborted) : FormCollection.Empty;
        }
        catch (InvalidDataException)
        {
            return FormCollection.Empty;
        }
    }

    private static string WithQuery(string url, params ReadOnlySpan<(string Name, string Value)> parameters)
    {
        var builder = new System.Text.StringBuilder(url);
        var separator = url.Contains('?', StringComparison.Ordinal) ? '&' : '?';
        foreach (var (name, value) in parameters)
        {
            builder.Append(separator).Append(name).Append('=').Append(UrlEncoder.Default.Encode(value));
            separator = '&';
        }

        return builder.ToString();
    }

    private static void Redirect(HttpContext context, string url, int status)
    {
        Harden(context.Response);
        context.Response.StatusCode = status;
        context.Response.Headers.Location = url;
    }

    private static Task ProblemAsync(HttpContext context, string title, string text, int status = StatusCodes.Status400BadRequest) =>
        PageAsync(context, status, title, Html.Of($"""
            <div class="card"><div class="mark bad" aria-hidden="true">!</div><h1>{title}</h1><p>{text}</p><p class="back"><a href="/" target="_top">Back to your sites</a></p></div>
            """), narrow: true);

    private static void Harden(HttpResponse response)
    {
        response.Headers.CacheControl = "no-store";
        response.Headers.ContentSecurityPolicy = PageStyle.Policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";
    }

    private static Task PageAsync(HttpContext context, int status, string title, Html content, bool narrow = false, Html? footer = null)
    {
        Harden(context.Response);
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/html; charset=utf-8";
        var page = Html.Of($"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{title} · Pretend Wix</title>
            <link rel="icon" href="{Icon}">
            <style>{Html.Trusted(PageStyle.Sheet)}</style>
            </head>
            <body>
            <header class="band"><p><strong><a href="/" target="_top">Pretend Wix</a></strong><span>A stand-in on your own machine. Nothing here reaches the real Wix.</span></p></header>
            <main{(narrow ? Html.Of($" class=\"narrow\"") : Html.Empty)}>
            {content}
            </main>
            {(footer is null ? Html.Empty : Html.Of($"<footer>{footer}</footer>"))}
            </body>
            </html>
            """);
        return context.Response.WriteAsync(page.ToString(), context.RequestAborted);
    }

    private sealed record InstallRequest(Site? Site, bool Chosen, string State);
}
