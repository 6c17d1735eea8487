using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using WixOAuth.Install;
using WixOAuth.Pages;

namespace WixOAuth.Http;

/// <summary>
/// A response that writes itself, with the headers of every response. It needs none of the host's services,
/// so it is the same in every host.
/// </summary>
internal abstract class Answer(int statusCode) : IResult
{
    protected int StatusCode { get; } = statusCode;

    public Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.StatusCode = StatusCode;
        response.Headers.CacheControl = "no-store";
        response.Headers["Referrer-Policy"] = "no-referrer";
        response.Headers.XContentTypeOptions = "nosniff";
        response.Headers.StrictTransportSecurity = "max-age=31536000";
        return WriteAsync(response);
    }

    protected virtual Task WriteAsync(HttpResponse response) => Task.CompletedTask;

    protected static Task WriteAsync(HttpResponse response, string contentType, ReadOnlyMemory<byte> body)
    {
        response.ContentType = contentType;
        response.ContentLength = body.Length;

        // Not cancelled when the caller disconnects: that would be an exception outside the guard, and the server ignores such a write.
        // For HEAD the server leaves the body out.
        return response.Body.WriteAsync(body, CancellationToken.None).AsTask();
    }
}

internal sealed class EmptyAnswer(int statusCode) : Answer(statusCode);

/// <summary>JSON as the contract names it: snake_case, UTF-8.</summary>
internal sealed class JsonAnswer<T>(T body, System.Text.Json.Serialization.Metadata.JsonTypeInfo<T> type, int statusCode = StatusCodes.Status200OK)
    : Answer(statusCode)
{
    protected override Task WriteAsync(HttpResponse response) =>
        WriteAsync(response, "application/json; charset=utf-8", JsonSerializer.SerializeToUtf8Bytes(body, type));
}

/// <summary>A problem (RFC 9457) with the contract's <c>code</c>.</summary>
internal sealed class ProblemAnswer(int statusCode, string code, string title, TimeSpan? retryAfter = null) : Answer(statusCode)
{
    protected override Task WriteAsync(HttpResponse response)
    {
        if (retryAfter is { } wait)
        {
            response.Headers.RetryAfter = Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString("F0", System.Globalization.CultureInfo.InvariantCulture);
        }

        var problem = new ProblemBody("about:blank", title, StatusCode, code);
        return WriteAsync(response, "application/problem+json; charset=utf-8", JsonSerializer.SerializeToUtf8Bytes(problem, Json.Default.ProblemBody));
    }
}

/// <summary>An answer of the handshake: Wix can close its window only if we are not isolated from it (wix-protocol §2).</summary>
internal abstract class HandshakeAnswer(int statusCode) : Answer(statusCode)
{
    protected override Task WriteAsync(HttpResponse response)
    {
        response.Headers["Cross-Origin-Opener-Policy"] = "unsafe-none";
        return Task.CompletedTask;
    }
}

internal sealed class RedirectAnswer(BrowserUrl url, IReadOnlyList<InstallCookie>? set = null, IReadOnlyList<string>? removed = null) : HandshakeAnswer(302)
{
    protected override Task WriteAsync(HttpResponse response)
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

        return base.WriteAsync(response);
    }

    // Inside Wix's dashboard we are a foreign frame: only this form of a cookie survives there (wix-protocol §2).
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
internal sealed class SeeOtherAnswer(string path) : HandshakeAnswer(303)
{
    protected override Task WriteAsync(HttpResponse response)
    {
        response.Headers.Location = path;
        return base.WriteAsync(response);
    }
}

/// <summary>A page of the handshake. By default it may be framed, because Wix frames the handshake (wix-protocol §2).</summary>
internal sealed class HandshakePage(int statusCode, string html, string? policy = null) : HandshakeAnswer(statusCode)
{
    protected override async Task WriteAsync(HttpResponse response)
    {
        response.Headers.ContentSecurityPolicy = policy ?? Page.ContentSecurityPolicy;
        if (policy is not null)
        {
            response.Headers.XFrameOptions = "DENY";
        }

        await base.WriteAsync(response);
        await WriteAsync(response, "text/html; charset=utf-8", Encoding.UTF8.GetBytes(html));
    }
}
