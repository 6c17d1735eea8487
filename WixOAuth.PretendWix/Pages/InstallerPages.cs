namespace WixOAuth.PretendWix.Pages;

/// <summary>The consent (wix-protocol §3) and the end of the install (§7).</summary>
internal sealed class InstallerPages(PretendWixServer server, WixState wix, PretendWixOptions options, PretendWixControl control)
{
    private const int SitesShown = 50;

    public void Map(WebApplication app)
    {
        app.MapGet("/installer/install", AskAsync);
        app.MapPost("/installer/install", DecideAsync);
        app.MapGet("/installer/close-window", CloseWindow);
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
            Page.Redirect(context, Page.WithQuery(appUrl.AbsoluteUri, ("token", wix.IssueInstallToken(site))), StatusCodes.Status302Found);
            return;
        }

        var isUpdate = site.Snapshot().Status == PretendSiteStatus.Installed;
        await Page.WriteAsync(
            context,
            $"Add {options.AppName}",
            new ConsentPage { Model = new(options.AppName, site.Name, isUpdate, server.RedirectUrl!.Authority) },
            isNarrow: true);
    }

    private Task ChooseSiteAsync(HttpContext context)
    {
        var query = context.Request.Query;
        var carried = query.Where(pair => pair.Key is "appId" or "redirectUrl" or "state").Select(pair => (pair.Key, pair.Value.ToString())).ToArray();
        var sites = wix.NamedSites.Take(SitesShown).Select(site => new SiteChoice(
            Page.WithQuery("/installer/install", [.. carried, ("site", site.InstanceId.ToString())]), site.Name, SiteParts.FaceOf(site.Name)));
        return Page.WriteAsync(context, "Choose a site", new ChooseSitePage { Model = new(options.AppName, [.. sites]) }, isNarrow: true);
    }

    private async Task DecideAsync(HttpContext context)
    {
        if (await CheckInstallAsync(context) is not { } request)
        {
            return;
        }

        var form = await Page.ReadFormAsync(context);
        var redirectUrl = server.RedirectUrl!.AbsoluteUri;
        switch (form["decision"].ToString())
        {
            case "agree" when request.Site is { } site:
                var code = server.Agree(site);
                Page.Redirect(
                    context,
                    Page.WithQuery(redirectUrl, ("code", code), ("state", request.State), ("instanceId", site.InstanceId.ToString())),
                    StatusCodes.Status302Found);
                break;
            case "cancel" when control.Switches.CancelSendsError:
                Page.Redirect(
                    context,
                    Page.WithQuery(redirectUrl, ("error", "access_denied"), ("error_description", "The site's owner cancelled."), ("state", request.State)),
                    StatusCodes.Status302Found);
                break;
            case "cancel":
                Page.Redirect(context, redirectUrl, StatusCodes.Status302Found);
                break;
            default:
                await Page.WriteProblemAsync(context, "Nothing was decided", "Go back and choose.");
                break;
        }
    }

    private async Task<InstallRequest?> CheckInstallAsync(HttpContext context)
    {
        var query = context.Request.Query;
        if (query.Any(pair => pair.Value.Count > 1))
        {
            await Page.WriteProblemAsync(context, "Something came twice", "A parameter of this link stands in it more than once.");
            return null;
        }

        if (!options.IsAppId(query["appId"]))
        {
            await Page.WriteProblemAsync(context, "We couldn't find this app", "The link's appId is missing or belongs to no app.");
            return null;
        }

        var redirectUrl = query["redirectUrl"].ToString();
        if (server.RedirectUrl is not { } registered || (redirectUrl != registered.AbsoluteUri && redirectUrl != registered.OriginalString))
        {
            await Page.WriteProblemAsync(
                context,
                "We couldn't find an app with this redirect url",
                "The link's redirectUrl is not, letter by letter, the one that the app registered.");
            return null;
        }

        var state = query["state"].ToString();
        if (query["token"].ToString() is { Length: > 0 } token)
        {
            var refusal = wix.CheckInstallToken(token, out var site);
            if (refusal == Refusal.None)
            {
                return new(site, Chosen: false, state);
            }

            await Page.WriteProblemAsync(context, "This link does not work", refusal == Refusal.Expired
                ? "Its token has expired. Start the installation again."
                : "Its token is not the one that was sent to the App URL. Was it URL-encoded?");
            return null;
        }

        if (query["site"].ToString() is not { Length: > 0 } chosen)
        {
            return new(null, Chosen: false, state);
        }

        if (Guid.TryParseExact(chosen, "D", out var id) && wix.TryGetSite(id, out var chosenSite))
        {
            return new(chosenSite, Chosen: true, state);
        }

        await Page.WriteProblemAsync(context, "No such site", "Start the installation again.");
        return null;
    }

    private Task CloseWindow(HttpContext context)
    {
        var token = context.Request.Query["access_token"];
        Site? site = null;
        var refusal = token.Count == 1 ? wix.CheckAccessToken(token.ToString(), out site, out _) : Refusal.Unknown;
        var status = refusal == Refusal.None ? StatusCodes.Status200OK : StatusCodes.Status400BadRequest;
        control.Record("close-window", null, site, status, refusal == Refusal.None ? null : refusal.ToString());
        if (refusal != Refusal.None)
        {
            return Page.WriteProblemAsync(context, "This window cannot be closed", refusal switch
            {
                Refusal.Expired => "Its access token has expired.",
                Refusal.Removed => "The app was removed from this site.",
                _ => "It was opened without a valid access token.",
            });
        }

        var view = site!.Snapshot();
        return Page.WriteAsync(
            context,
            "Installation finished",
            new FinishedPage
            {
                Model = new(options.AppName, view, SiteParts.StatusOf(view), server.EventsUrl is null ? null : EventPages.ListPathOf(view.InstanceId)),
            },
            isNarrow: true);
    }

    private sealed record InstallRequest(Site? Site, bool Chosen, string State);
}

/// <summary>What the owner is asked.</summary>
/// <param name="AppName">The app.</param>
/// <param name="SiteName">The site.</param>
/// <param name="IsUpdate">Whether the app is installed there already.</param>
/// <param name="Destination">The host that the browser is sent to.</param>
internal sealed record ConsentModel(string AppName, string SiteName, bool IsUpdate, string Destination);

/// <summary>Where the app can be added.</summary>
internal sealed record ChooseSiteModel(string AppName, IReadOnlyList<SiteChoice> Sites);

/// <summary>A site to choose.</summary>
internal sealed record SiteChoice(string Url, string Name, string Face);

/// <summary>The end of an install; <paramref name="EventsPath"/> is null where no events are received.</summary>
internal sealed record FinishedModel(string AppName, PretendSite Site, SiteStatus Status, string? EventsPath);
