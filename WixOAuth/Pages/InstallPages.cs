using WixOAuth.Install;

namespace WixOAuth.Pages;

/// <summary>
/// What the site's owner reads when an install does not continue. No page repeats anything of the request, except
/// that of a link, which shows the name that was given for it.
/// </summary>
internal static class InstallPages
{
    // What is left of an install that came back too late or elsewhere does not tell whether it began with a link.
    private const string AskForNewLink = "If you began with a link that somebody sent you, ask for a new one where you got it instead of starting again here.";

    private static readonly Dictionary<InstallProblem, ProblemModel> s_problems = new()
    {
        [InstallProblem.BadRequest] = new(
            "This address is not complete",
            ["Something in the address was repeated, far too long or not what it should be. This happens when a link is copied only in part."]),
        [InstallProblem.BadLink] = new(
            "This link no longer works",
            [
                "The link you opened has expired, was used before, or was not copied in full. A link like this one works once, for half an hour.",
                "Please ask for a new link where you got this one.",
            ],
            CanStartAgain: false),
        [InstallProblem.CrossSite] = new(
            "This install was not confirmed on our page",
            [
                "Another page tried to confirm an install link for you. To protect your site, we stopped.",
                "If you did want to connect a site, open the link again and press its button.",
            ],
            CanStartAgain: false),
        [InstallProblem.NotConsented] = new(
            "The app was not connected",
            ["Wix did not send us your permission. If you pressed “Cancel”, nothing has changed. If you did not mean to, start again."]),
        [InstallProblem.InvalidState] = new(
            "We could not match this install to your browser",
            [
                "Either the install was started in another browser, or your browser did not keep our cookie. To protect your site, we stopped.",
                AskForNewLink,
            ]),
        [InstallProblem.ExpiredState] = new(
            "That took a little too long",
            ["For your site’s safety an install has to be finished within ten minutes.", AskForNewLink]),
        [InstallProblem.ReplayedState] = new(
            "This install was used before",
            ["Each install works once, and this one has already been used with other details. To protect your site, we stopped."]),
        [InstallProblem.BadInstance] = new(
            "Wix did not say which site this is",
            ["The answer from Wix did not name your site, so we could not connect it."]),
        [InstallProblem.Rejected] = new(
            "Wix did not accept this install",
            ["Wix declined the permission it had given for this site. It may have expired or been used before."]),
        [InstallProblem.WixUnavailable] = new(
            "We could not reach Wix",
            ["Wix did not answer clearly, so we cannot tell whether your site was connected. It is safe to start again."]),
        [InstallProblem.StorageUnavailable] = new(
            "We are having trouble at our end",
            ["Your site could not be connected just now. Please try again in a few minutes; it is safe to start again."]),
        [InstallProblem.Busy] = new(
            "Very many sites are being connected",
            ["Your site has to wait for its turn. Please try again in a minute; it is safe to start again."]),
        [InstallProblem.Unexpected] = new(
            "Something went wrong here",
            ["The fault is ours. It is safe to start again."]),
    };

    private static readonly string[] s_openLinkAgain =
        ["Your site was not connected. Please open the link again in a few minutes. If it no longer works then, ask for a new one where you got it."];

    private static readonly ProblemModel s_usedHere = new(
        "You have confirmed this link already",
        ["A link works once. If your site is not connected yet, start again here, and it will be connected as you confirmed."]);

    public static Task<string> ConnectedAsync() => Page.RenderAsync("You are connected", new ConnectedPage());

    /// <summary>The link was confirmed in this browser, whose owner pressed twice or went back.</summary>
    public static Task<string> UsedHereAsync(string appUrl) => RenderAsync(s_usedHere, appUrl);

    public static Task<string> ConfirmAsync(InstallResult.Confirm confirm) =>
        Page.RenderAsync("Connect a Wix site", new ConfirmPage { Model = confirm });

    public static Task<string> ProblemAsync(InstallProblem problem, string appUrl) => RenderAsync(s_problems[problem], appUrl);

    /// <summary>Of a link that is not confirmed: an install that starts at the App URL would not know its customer.</summary>
    public static Task<string> LinkProblemAsync(InstallProblem problem) => RenderAsync(
        s_problems[problem] is { CanStartAgain: true } model ? model with { Paragraphs = s_openLinkAgain, CanStartAgain = false } : s_problems[problem], appUrl: "");

    private static Task<string> RenderAsync(ProblemModel problem, string appUrl) =>
        Page.RenderAsync(problem.Title, new ProblemPage { Model = problem with { AppUrl = appUrl } });
}

internal sealed record ProblemModel(string Title, IReadOnlyList<string> Paragraphs, bool CanStartAgain = true)
{
    /// <summary>The path where an install starts. Not relative: the address of the page may end in a slash.</summary>
    public string AppUrl { get; init; } = "";
}
