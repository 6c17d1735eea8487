using System.Security.Cryptography;
using System.Text;
using System.Text.Encodings.Web;

namespace WixOAuth.Pages;

/// <summary>The frame that all pages share: plain HTML with one style sheet inside, no script, nothing from elsewhere.</summary>
internal static class Page
{
    private const string Style = """
        :root{color-scheme:light dark;--ink:#1c2430;--dim:#56606e;--ground:#f4f5f7;--card:#fff;--line:#d9dde3;--accent:#1a56db;--on-accent:#fff}
        @media (prefers-color-scheme:dark){:root{--ink:#e7eaee;--dim:#a3acb9;--ground:#12161c;--card:#1b212a;--line:#323b47;--accent:#8ab4f8;--on-accent:#10213d}}
        *{box-sizing:border-box}
        body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--ground);color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
        main{width:100%;max-width:34rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:2rem}
        h1{margin:0 0 .75rem;font-size:1.4rem;line-height:1.3;text-wrap:balance}
        p{margin:0 0 1rem;text-wrap:pretty}
        main>:last-child{margin-bottom:0}
        .dim{color:var(--dim);font-size:.9rem}
        .go{display:inline-block;padding:.6rem 1.1rem;border-radius:.5rem;background:var(--accent);color:var(--on-accent);text-decoration:none;font-weight:600}
        .go:hover{text-decoration:underline}
        a:focus-visible{outline:3px solid var(--accent);outline-offset:3px}
        """;

    private static readonly string StyleHash = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Style)));

    /// <summary>Only the style above; no script, no form, no frame. Who may frame the page is left open: Wix does.</summary>
    public static string ContentSecurityPolicy { get; } =
        $"default-src 'none'; style-src 'sha256-{StyleHash}'; base-uri 'none'; form-action 'none'";

    /// <summary>A whole page. The title is encoded here; the body is markup of ours.</summary>
    public static string Render(string title, string body) => $"""
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>{HtmlEncoder.Default.Encode(title)}</title>
        <style>{Style}</style>
        </head>
        <body>
        <main>
        <h1>{HtmlEncoder.Default.Encode(title)}</h1>
        {body}
        </main>
        </body>
        </html>
        """;
}
