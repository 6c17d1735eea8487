using Microsoft.AspNetCore.Http;
using WixOAuth.Install;

namespace WixOAuth.Http;

/// <summary>Reads the handshake's cookies, at most a fixed number: a client can send any number.</summary>
internal static class InstallCookies
{
    /// <summary>More than a browser has, also when it opens many tabs at once.</summary>
    private const int MaxRead = 40;

    public static IReadOnlyList<KeyValuePair<string, string>> Read(HttpRequest request)
    {
        List<KeyValuePair<string, string>> cookies = [];
        foreach (var header in request.Headers.Cookie)
        {
            foreach (var range in header.AsSpan().Split(';'))
            {
                // Only what RFC 6265 puts between cookies. A browser lets a neighbouring host set "\u2000__Host-…", which a
                // Unicode trim would make a cookie of ours.
                var cookie = header.AsSpan(range).Trim(" \t");
                if (cookie.StartsWith(InstallStateService.CookiePrefix, StringComparison.Ordinal) && cookie.IndexOf('=') is > 0 and var equals)
                {
                    cookies.Add(KeyValuePair.Create(cookie[..equals].ToString(), cookie[(equals + 1)..].ToString()));
                    if (cookies.Count == MaxRead)
                    {
                        return cookies;
                    }
                }
            }
        }

        return cookies;
    }
}
