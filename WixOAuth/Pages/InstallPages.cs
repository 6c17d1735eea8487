using WixOAuth.Install;

namespace WixOAuth.Pages;

/// <summary>
/// What the site's owner reads when an install does not continue. No page repeats anything of the request, except
/// that of a link, which shows the name that was given for it.
/// </summary>
internal static class InstallPages
{
    // In its own window: there the cookie works even for browsers that block it inside a frame. The App URL is the
    // neighbour of the Redirect URL, wherever both are.
    private static readonly Html StartAgain = Html.Of($"""
        <p><a class="go" href="install" target="_blank" rel="noopener">Start again</a></p>
        <p class="dim">It opens in a new window.</p>
        """);

    private static readonly Html NothingChanged = Html.Of($"""<p class="dim">Nothing was changed on your site.</p>""");

    private static readonly Dictionary<InstallProblem, string> Problems = new()
    {
        [InstallProblem.BadRequest] = Retry(
            "This address is not complete",
            "Something in the address was repeated, far too long or not what it should be. This happens when a link is copied only in part."),
        [InstallProblem.BadLink] = Page.Render(
            "This link is no longer good",
            Html.Of($"""
                <p>The link you opened has expired, was used before, or was not copied whole. A link like this one works once, for half an hour.</p>
                <p>Please ask for a new link where you got this one.</p>
                {NothingChanged}
                """)),
        [InstallProblem.CrossSite] = Page.Render(
            "That button was not pressed here",
            Html.Of($"""
                <p>Another page tried to confirm an install link for you. To protect your site, we stopped.</p>
                <p>If you did want to connect a site, open the link again and press its button.</p>
                {NothingChanged}
                """)),
        [InstallProblem.NotConsented] = Retry(
            "The app was not connected",
            "Wix did not send us your permission. If you pressed “Cancel”, all is as it was. If you did not mean to, start again."),
        [InstallProblem.InvalidState] = Retry(
            "We could not match this install to your browser",
            "Either the install was started in another browser, or your browser did not keep our cookie. To protect your site, we stopped."),
        [InstallProblem.ExpiredState] = Retry(
            "That took a little too long",
            "For your site’s safety an install has to be finished within ten minutes."),
        [InstallProblem.ReplayedState] = Retry(
            "This install was used before",
            "Each install works once, and this one has already been used with other details. To protect your site, we stopped."),
        [InstallProblem.BadInstance] = Retry(
            "Wix did not say which site this is",
            "The answer from Wix did not name your site, so we could not connect it."),
        [InstallProblem.Rejected] = Retry(
            "Wix did not accept this install",
            "Wix declined the permission it had given for this site. It may have expired or been used before."),
        [InstallProblem.WixUnavailable] = Retry(
            "We could not reach Wix",
            "Wix did not answer clearly, so we cannot tell whether your site was connected. It is safe to start again."),
        [InstallProblem.StorageUnavailable] = Retry(
            "We are having trouble at our end",
            "Your site could not be connected just now. Please try again in a few minutes; it is safe to start again."),
        [InstallProblem.Busy] = Retry(
            "Very many sites are being connected",
            "Your site has to wait for its turn. Please try again in a minute; it is safe to start again."),
        [InstallProblem.Unexpected] = Retry("Something went wrong here", "The fault is ours. It is safe to start again."),
    };

    /// <summary>The install was finished before.</summary>
    public static string Connected { get; } = Page.Render(
        "You are connected",
        Html.Of($"<p>Your site and the app are connected. You can close this window.</p>"));

    /// <summary>The link was confirmed in this browser, whose owner pressed twice or went back.</summary>
    public static string UsedHere { get; } = Retry(
        "You have confirmed this link already",
        "A link works once. If your site is not connected yet, start again here, and it will be connected as you confirmed.");

    /// <summary>Asks the bearer of a link whether to go on.</summary>
    /// <param name="start">The link.</param>
    /// <param name="customer">Whom the site is to be connected to. Text from outside.</param>
    public static string Confirm(string start, string customer) => Page.Render(
        "Connect a Wix site",
        Html.Of($"Connect a Wix site to <bdi>{customer}</bdi>"),
        Html.Of($"""
            <p>If you go on, Wix asks you for a site. That site is then connected to <strong><bdi>{customer}</bdi></strong>.</p>
            <form method="post" action="install">
            <input type="hidden" name="start" value="{start}">
            <button class="go">Choose a site</button>
            </form>
            <script>{Html.FromAsset(Page.ConfirmScript)}</script>
            <p class="dim">You did not expect this, or do not know this name? Then close this page: nothing has happened yet.</p>
            """));

    /// <summary>The page of a problem.</summary>
    public static string Of(InstallProblem problem) => Problems[problem];

    private static string Retry(string title, string text) => Page.Render(title, Html.Of($"""
        <p>{text}</p>
        {StartAgain}
        """));
}
