using RazorSlices;

namespace WixOAuth.Pages;

/// <summary>
/// The frame that the handshake's pages share: plain HTML with one style sheet inside, nothing from elsewhere, and no
/// script but that of a link's page.
/// </summary>
internal static class Page
{
    public static Asset Style { get; } = new("page.css");

    /// <summary>The script of a link's page, without which its button works too.</summary>
    public static Asset ConfirmScript { get; } = new("confirm.js");

    /// <summary>Only the style; no script, no form, no frame. Who may frame the page is left open: Wix does.</summary>
    public static string ContentSecurityPolicy { get; } =
        $"default-src 'none'; style-src {Style.Source}; base-uri 'none'; form-action 'none'";

    /// <summary>
    /// The policy of an install link's page: framed, its button could be pressed by a tricked user. Browsers apply form-action to
    /// the redirect that follows too, and Wix may send on to a neighbour of the installer to sign in.
    /// </summary>
    public static string ConfirmPolicy(Uri installer)
    {
        var (origin, host) = (installer.GetLeftPart(UriPartial.Authority), installer.Host);
        var neighbours = host.StartsWith("www.", StringComparison.OrdinalIgnoreCase) ? $" {installer.Scheme}://*.{host[4..]}" : "";
        return $"default-src 'none'; style-src {Style.Source}; script-src {ConfirmScript.Source}; base-uri 'none'; "
            + $"form-action 'self' {origin}{neighbours}; frame-ancestors 'none'";
    }

    /// <summary>A whole page; the content of <c>main</c> has its own heading.</summary>
    public static async Task<string> RenderAsync(string title, RazorSlice content) => await new Layout { Model = new(title, content) }.RenderAsync();
}

internal sealed record PageModel(string Title, RazorSlice Content);
