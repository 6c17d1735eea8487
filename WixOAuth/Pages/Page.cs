namespace WixOAuth.Pages;

/// <summary>
/// The frame that the handshake's pages share: plain HTML with one style sheet inside, nothing from elsewhere, and no
/// script but that of a link's page.
/// </summary>
internal static class Page
{
    private static readonly Asset s_style = new("page.css");

    /// <summary>The script of a link's page, without which its button works too.</summary>
    public static Asset ConfirmScript { get; } = new("confirm.js");

    /// <summary>Only the style; no script, no form, no frame. Who may frame the page is left open: Wix does.</summary>
    public static string ContentSecurityPolicy { get; } =
        $"default-src 'none'; style-src {s_style.Source}; base-uri 'none'; form-action 'none'";

    /// <summary>
    /// The policy of an install link's page: framed, its button could be pressed by a tricked user. Browsers apply form-action to
    /// the redirect that follows too, and Wix may send on to a neighbour of the installer to sign in.
    /// </summary>
    public static string ConfirmPolicy(Uri installer)
    {
        var (origin, host) = (installer.GetLeftPart(UriPartial.Authority), installer.Host);
        var neighbours = host.StartsWith("www.", StringComparison.OrdinalIgnoreCase) ? $" {installer.Scheme}://*.{host[4..]}" : "";
        return $"default-src 'none'; style-src {s_style.Source}; script-src {ConfirmScript.Source}; base-uri 'none'; "
            + $"form-action 'self' {origin}{neighbours}; frame-ancestors 'none'";
    }

    /// <summary>A whole page.</summary>
    public static string Render(string title, Html body) => Render(title, Html.Of($"{title}"), body);

    /// <summary>A whole page whose heading is more than its title.</summary>
    public static string Render(string title, Html heading, Html body) => Html.Of($"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>{title}</title>
        <style>{Html.FromAsset(s_style)}</style>
        </head>
        <body>
        <main>
        <h1>{heading}</h1>
        {body}
        </main>
        </body>
        </html>
        """).ToString();
}
