namespace WixOAuth.PretendWix.Pages;

/// <summary>The sites of the pretend site owner.</summary>
internal sealed class SitePages(PretendWixServer server, WixState wix, PretendWixOptions options, Lately lately)
{
    private const int MaxNameLength = 200;
    private const int SitesShown = 50;

    public void Map(WebApplication app)
    {
        app.MapGet("/", Home);
        app.MapGet("/lately", context => Page.WritePartAsync(context, new LatelyTable { Model = lately.Rows() }));
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
        return Page.WriteAsync(context, "Your sites", new HomePage
        {
            Model = new(
                options.AppName,
                KnowsApp: server.AppUrl is not null && server.RedirectUrl is not null,
                [.. sites.Select(site => SiteCard.Of(site.Snapshot()))],
                others,
                MaxNameLength,
                server.EventsUrl is null ? null : EventPages.ListPath,
                lately.Rows()),
        });
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

        return Page.WriteAsync(context, "In a frame", new FramePage { Model = new(options.AppName, site.Name, site.InstanceId) });
    }
}

/// <summary>The sites, and what happened lately.</summary>
/// <param name="AppName">The app.</param>
/// <param name="KnowsApp">Whether the app's URLs are known.</param>
/// <param name="Sites">The first sites.</param>
/// <param name="Others">The number of sites that are not listed.</param>
/// <param name="MaxNameLength">The longest name of a new site.</param>
/// <param name="EventsPath">The path of the table of events; null when none are received.</param>
/// <param name="Lately">The latest calls and webhooks.</param>
internal sealed record HomeModel(
    string AppName, bool KnowsApp, IReadOnlyList<SiteCard> Sites, int Others, int MaxNameLength, string? EventsPath, IReadOnlyList<LatelyRow> Lately);

/// <summary>A site.</summary>
internal sealed record SiteCard(Guid InstanceId, string Name, string Face, string Address, bool IsInstalled, SiteStatus Status)
{
    public static SiteCard Of(PretendSite site)
    {
        var isInstalled = site.Status == PretendSiteStatus.Installed;
        return new(
            site.InstanceId,
            site.Name,
            SiteParts.FaceOf(site.Name),
            $"{site.Url.Host}{site.Url.AbsolutePath}{(isInstalled ? $" · version {site.AppVersion}" : "")}",
            isInstalled,
            SiteParts.StatusOf(site));
    }
}

/// <summary>The app in a frame.</summary>
internal sealed record FrameModel(string AppName, string SiteName, Guid InstanceId);
