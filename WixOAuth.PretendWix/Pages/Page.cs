using System.Text.Encodings.Web;
using System.Text.Unicode;
using RazorSlices;

namespace WixOAuth.PretendWix.Pages;

/// <summary>The frame that all pages share: one style sheet and one script of their own, nothing from elsewhere.</summary>
internal static class Page
{
    // Names in any alphabet stay readable in the source of a page.
    private static readonly HtmlEncoder s_encoder = HtmlEncoder.Create(UnicodeRanges.All);

    public static Asset Style { get; } = new("page.css");

    public static Asset Script { get; } = new("page.js");

    // No form-action: browsers apply it to the redirects that follow, and these go to the app.
    private static readonly string s_policy = $"default-src 'none'; style-src {Style.Source}; script-src {Script.Source}; connect-src 'self'; "
        + "img-src data:; frame-src http: https:; base-uri 'none'";

    public static Task WriteAsync(HttpContext context, string title, RazorSlice content, bool isNarrow = false, int status = StatusCodes.Status200OK) =>
        WriteAsync(context, status, new Layout { Model = new(title, content, isNarrow) });

    /// <summary>A part of a page, for the script.</summary>
    public static Task WritePartAsync(HttpContext context, RazorSlice part) => WriteAsync(context, StatusCodes.Status200OK, part);

    public static Task WriteProblemAsync(HttpContext context, string title, string text, int status = StatusCodes.Status400BadRequest) =>
        WriteAsync(context, title, new ProblemPage { Model = new(title, text) }, isNarrow: true, status);

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

    private static async Task WriteAsync(HttpContext context, int status, RazorSlice slice)
    {
        var html = await slice.RenderAsync(s_encoder);
        Harden(context.Response);
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/html; charset=utf-8";
        await context.Response.WriteAsync(html, context.RequestAborted);
    }

    private static void Harden(HttpResponse response)
    {
        response.Headers.CacheControl = "no-store";
        response.Headers.ContentSecurityPolicy = s_policy;
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers["Referrer-Policy"] = "no-referrer";
    }
}

/// <summary>What the frame shows.</summary>
internal sealed record PageModel(string Title, RazorSlice Content, bool IsNarrow);

/// <summary>A refusal.</summary>
internal sealed record ProblemModel(string Title, string Text);
