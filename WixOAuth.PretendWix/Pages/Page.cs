using System.Text.Encodings.Web;

namespace WixOAuth.PretendWix.Pages;

/// <summary>The frame that all pages share: one style sheet and one script of their own, nothing from elsewhere.</summary>
internal static class Page
{
    private const string Icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
        + "%3Crect width='16' height='16' rx='4' fill='%23e0a83b'/%3E%3Cpath d='M3 5l2 6 3-5 3 5 2-6' fill='none' stroke='%232b2a33' stroke-width='2'/%3E%3C/svg%3E";

    private static readonly Asset s_style = new("page.css");
    private static readonly Asset s_script = new("page.js");

    // No form-action: browsers apply it to the redirects that follow, and these go to the app.
    private static readonly string s_policy = $"default-src 'none'; style-src {s_style.Source}; script-src {s_script.Source}; connect-src 'self'; "
        + "img-src data:; frame-src http: https:; base-uri 'none'";

    public static Task WriteAsync(HttpContext context, string title, Html content, bool isNarrow = false, int status = StatusCodes.Status200OK) =>
        WriteAsync(context, status, Html.Of($"""
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{title} · Pretend Wix</title>
            <link rel="icon" href="{Icon}">
            <style>{Html.FromAsset(s_style)}</style>
            </head>
            <body>
            <header class="band"><p><strong><a href="/" target="_top">Pretend Wix</a></strong><span>A stand-in on your own machine. Nothing here reaches the real Wix.</span></p></header>
            <main{(isNarrow ? Html.Of($" class=\"narrow\"") : Html.Empty)}>
            {content}
            </main>
            <script>{Html.FromAsset(s_script)}</script>
            </body>
            </html>
            """));

    /// <summary>A part of a page, for the script.</summary>
    public static Task WritePartAsync(HttpContext context, Html part) => WriteAsync(context, StatusCodes.Status200OK, part);

    public static Task WriteProblemAsync(HttpContext context, string title, string text, int status = StatusCodes.Status400BadRequest) =>
        WriteAsync(
            context,
            title,
            Html.Of($"""
                <div class="card"><div class="mark bad" aria-hidden="true">!</div><h1>{title}</h1><p>{text}</p><p class="back"><a href="/" target="_top">Back to your sites</a></p></div>
                """),
            isNarrow: true,
            status);

    public static void Redirect(HttpContext context, string url, int status)
    {
        Harden(context.Response);
        context.Response.StatusCode = status;
        context.Response.Headers.Location = url;
    }

    public static async Task<IFormCollection> ReadFormAsync(HttpContext context)
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

    public static string WithQuery(string url, params ReadOnlySpan<(string Name, string Value)> parameters)
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

    private static Task WriteAsync(HttpContext context, int status, Html html)
    {
        Harden(context.Response);
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/html; charset=utf-8";
        return context.Response.WriteAsync(html.ToString(), context.RequestAborted);
    }

    private static void Harden(HttpResponse response)
    {
        response.Headers.CacheControl = "no-store";
        response.Headers.ContentSecurityPolicy = s_policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";
    }
}
