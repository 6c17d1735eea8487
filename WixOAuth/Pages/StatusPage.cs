namespace WixOAuth.Pages;

/// <summary>
/// The shell of the operators' page. It holds no data: its script asks for a key and puts in what
/// <see cref="StatusView"/> rendered.
/// </summary>
internal static class StatusPage
{
    private static readonly Asset s_style = new("status.css");
    private static readonly Asset s_script = new("status.js");

    /// <summary>The policy of the shell and of what it shows: never framed, one style sheet and one script, both its own.</summary>
    public static string ContentSecurityPolicy { get; } =
        $"default-src 'none'; style-src {s_style.Source}; script-src {s_script.Source}; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    /// <summary>The page without any data, which asks for a key.</summary>
    public static string Shell { get; } = Html.Of($"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>WixOAuth status</title>
        <style>{Html.FromAsset(s_style)}</style>
        </head>
        <body>
        {Html.FromAsset(new Asset("status.html"))}
        <script>{Html.FromAsset(s_script)}</script>
        </body>
        </html>
        """).ToString();

    /// <summary>The page for a request with the key in its address.</summary>
    public static string KeyInAddress { get; } = Page.Render(
        "Not with the key in the address",
        Html.Of($"""
            <p>Addresses are kept in your browser’s history and in logs, so a key does not belong there. Open the page without it and sign in.</p>
            <p><a class="go" href="status">Open the page</a></p>
            <p class="dim">The key that you opened this page with is in your history now: replace it where others use this computer.</p>
            """));

    /// <summary>The list of active instances whose last refresh failed.</summary>
    public const string Failing = "failing";

    /// <summary>What the page can list, by its words: all (no word), those of a status, those that fail.</summary>
    public static IReadOnlyList<string> Lists { get; } = ["", "active", Failing, "reinstall_required", "removed"];
}
