namespace WixOAuth.PretendWix.Pages;

/// <summary>The sites of the pretend site owner.</summary>
internal sealed class SitePages(PretendWixServer server, WixState wix, PretendWixOptions options, Lately lately)
{
    private const int MaxNameLength = 200;
    private const int SitesShown = 50;

    public void Map(WebApplication app)
    {
        app.MapGet("/", Home);
        app.MapGet("/lately", context => Page.WritePartAsync(context, lately.Render()));
        app.MapPost("/sites", AddSiteAsync);
        app.MapGet("/sites/{instanceId:guid}/open", OpenAppUrl);
        app.MapPost("/sites/{instanceId:guid}/add", OpenAppUrl);
        app.MapPost("/sites/{instanceId:guid}/remove", Remove);
        app.MapGet("/sites/{instanceId:guid}/frame", Frame);
    }

    private Task Home(HttpContext context)
    {
        var sites = wix.NamedSites.Take(SitesShown).ToList();
        var others = wix.SiteCount - sites.Count;
        return Page.WriteAsync(context, "Your sites", Html.Of($"""
            <h1>Your sites</h1>
            <p class="lede">Play the owner of a few sites: add <strong>{options.AppName}</strong> to one, agree, and watch your token service do the rest.</p>
            {MissingUrls()}
            <p><a class="button" href="/trouble">Make Wix fail</a></p>
            <ul class="sites">{Html.Join(sites.Select(SiteCard))}</ul>
            {(others > 0 ? Html.Of($"""<p class="muted">And {others} more.</p>""") : Html.Empty)}
            <h2>Another site</h2>
            <form class="card" method="post" action="/sites">
            <label for="name">Name of the site</label>
            <div class="actions"><input id="name" name="name" type="text" required maxlength="{MaxNameLength}" autocomplete="off"><button>Make it</button></div>
            </form>
            {(server.EventsUrl is null ? Html.Empty : EventPages.Section)}
            <h2>What happened lately</h2>
            <div class="card" data-live="/lately">{lately.Render()}</div>
            """));
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
            <li class="card site">{SiteParts.Face(name)}
            <div><h2>{name}</h2><p class="muted">{view.Url.Host}{view.Url.AbsolutePath}{version}</p>{instance}</div>
            {SiteParts.StatusPill(view)}
            <div class="actions">{actions}<a class="button plain" href="/sites/{id}/frame" aria-label="Open in a frame for {name}">Open in a frame</a></div></li>
            """);
    }

    private async Task AddSiteAsync(HttpContext context)
    {
        var form = await Page.ReadFormAsync(context);
        var name = form["name"].ToString().Trim();
        if (name.Length is 0 or > MaxNameLength)
        {
            await Page.WriteProblemAsync(context, "A site needs a name", "Give it one of up to 200 characters.");
            return;
        }

        wix.AddSite(name);
        Page.Redirect(context, "/", StatusCodes.Status303SeeOther);
    }

    private Task OpenAppUrl(HttpContext context)
    {
        if (!wix.TryGetSite(context, out var site))
        {
            return Page.WriteProblemAsync(context, "No such site", "Go back to your sites and choose one.", StatusCodes.Status404NotFound);
        }

        if (server.AppUrl is not { } appUrl)
        {
            return Page.WriteProblemAsync(context, "No App URL", "This Wix does not know where your app is yet.");
        }

        Page.Redirect(context, Page.WithQuery(appUrl.AbsoluteUri, ("token", wix.IssueInstallToken(site))), StatusCodes.Status302Found);
        return Task.CompletedTask;
    }

    private Task Remove(HttpContext context)
    {
        if (wix.TryGetSite(context, out var site))
        {
            server.Remove(site.InstanceId);
        }

        Page.Redirect(context, "/", StatusCodes.Status303SeeOther);
        return Task.CompletedTask;
    }

    private Task Frame(HttpContext context)
    {
        if (!wix.TryGetSite(context, out var site))
        {
            return Page.WriteProblemAsync(context, "No such site", "Go back to your sites and choose one.", StatusCodes.Status404NotFound);
        }

        return Page.WriteAsync(context, "In a frame", Html.Of($"""
            <h1>The app in a frame</h1>
            <p class="lede">Some of Wix's flows load the App URL inside an iframe, as here for <strong><bdi>{site.Name}</bdi></strong>.
            An app that forbids framing shows nothing below.</p>
            <iframe class="stage" src="/sites/{site.InstanceId}/open" title="{options.AppName} on {site.Name}"></iframe>
            <p class="back"><a href="/" target="_top">Back to your sites</a></p>
            """));
    }
}
