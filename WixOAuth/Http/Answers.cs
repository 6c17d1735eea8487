using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;
using WixOAuth.Install;
using WixOAuth.Pages;

namespace WixOAuth.Http;

/// <summary>
/// A response that writes itself, with the headers of every response. It needs none of the host's services,
/// so it is the same in every host. <paramref name="setHeaders"/> adds its own.
/// </summary>
internal abstract class Answer(int statusCode, string? contentType = null, byte[]? body = null, Action<HttpResponse>? setHeaders = null) : IResult
{
    protected const string JsonType = "application/json; charset=utf-8";
    protected const string HtmlType = "text/html; charset=utf-8";

    public Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.StatusCode = statusCode;
        response.Headers.CacheControl = "no-store";
        response.Headers["Referrer-Policy"] = "no-referrer";
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.StrictTransportSecurity = "max-age=31536000";
        setHeaders?.Invoke(response);
        if (body is null)
        {
            return Task.CompletedTask;
        }

        response.ContentType = contentType;
        response.ContentLength = body.Length;

        // Not cancelled when the caller disconnects: that would be an exception outside the guard, and the server ignores such a write.
        // For HEAD the server leaves the body out.
        return response.Body.WriteAsync(body, CancellationToken.None).AsTask();
    }
}

internal sealed class EmptyAnswer(int statusCode) : Answer(statusCode);

/// <summary>JSON as the contract names it: snake_case, UTF-8.</summary>
internal sealed class JsonAnswer<T>(T body, JsonTypeInfo<T> type, int statusCode = StatusCodes.Status200OK)
    : Answer(statusCode, JsonType, JsonSerializer.SerializeToUtf8Bytes(body, type));

internal sealed class OpenApiAnswer(byte[] document) : Answer(200, JsonType, document);

/// <summary>A problem (RFC 9457) with the contract's <c>code</c>.</summary>
internal sealed class ProblemAnswer(int statusCode, string code, string title, TimeSpan? retryAfter = null) : Answer(
    statusCode,
    "application/problem+json; charset=utf-8",
    JsonSerializer.SerializeToUtf8Bytes(new ProblemBody("about:blank", title, statusCode, code), Json.Default.ProblemBody),
    response => response.Headers.RetryAfter =
        retryAfter is { } wait ? Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString("F0", CultureInfo.InvariantCulture) : null);

/// <summary>An answer of the handshake. Its opener must keep access to the window, or Wix cannot close it (wix-protocol §2).</summary>
internal abstract class HandshakeAnswer(int statusCode, Action<HttpResponse> setHeaders, byte[]? page = null) : Answer(statusCode, HtmlType, page, response =>
{
    response.Headers["Cross-Origin-Opener-Policy"] = "unsafe-none";
    setHeaders(response);
});

internal sealed class RedirectAnswer(BrowserUrl url, IReadOnlyList<InstallCookie>? set = null, IReadOnlyList<string>? removed = null)
    : HandshakeAnswer(302, response =>
    {
        response.Headers.Location = url.Reveal();
        foreach (var cookie in set ?? [])
        {
            response.Cookies.Append(cookie.Name, cookie.Value, Options(cookie.MaxAge));
        }

        foreach (var name in removed ?? [])
        {
            response.Cookies.Append(name, "", Options(TimeSpan.Zero));
        }
    })
{
    // In Wix's dashboard our pages are in a third-party frame, where browsers keep only partitioned cookies (wix-protocol §2).
    private static CookieOptions Options(TimeSpan maxAge) => new()
    {
        HttpOnly = true,
        Secure = true,
        SameSite = SameSiteMode.None,
        Path = "/",
        MaxAge = maxAge,
        IsEssential = true,
        Extensions = { "Partitioned" },
    };
}

/// <summary>Redirects to an address without code and state, so that these leave the address bar.</summary>
internal sealed class SeeOtherAnswer(string path) : HandshakeAnswer(303, response => response.Headers.Location = path);

/// <summary>A page of the handshake. By default it may be framed, because Wix frames the handshake (wix-protocol §2).</summary>
internal sealed class HandshakePage(int statusCode, string html, string? policy = null) : HandshakeAnswer(
    statusCode,
    response =>
    {
        response.Headers.ContentSecurityPolicy = policy ?? Page.ContentSecurityPolicy;
        response.Headers.XFrameOptions = policy is null ? null : "DENY";
    },
    Encoding.UTF8.GetBytes(html));

/// <summary>A page for operators, or a part of it: never framed, alone in its window.</summary>
internal sealed class OperatorsPage(string html, string policy, int statusCode = StatusCodes.Status200OK) : Answer(
    statusCode,
    HtmlType,
    Encoding.UTF8.GetBytes(html),
    response =>
    {
        response.Headers.ContentSecurityPolicy = policy;
        response.Headers.XFrameOptions = "DENY";
        response.Headers["Cross-Origin-Opener-Policy"] = "same-origin";
    });
