using System.Net;
using System.Text.RegularExpressions;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>
/// A browser of one person: it keeps cookies as Chromium does on localhost (where Secure ones are kept without TLS) and
/// follows nothing by itself, so that a test sees each answer.
/// </summary>
public sealed class TestBrowser : IDisposable
{
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false })
    {
        DefaultRequestHeaders = { { "User-Agent", "TestBrowser" } },
    };

    public Dictionary<string, string> Cookies { get; } = [];

    public async Task<HttpResponseMessage> GetAsync(Uri url, CancellationToken cancellationToken = default)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, url);
        return await SendAsync(request, cancellationToken);
    }

    public Task<HttpResponseMessage> GetAsync(string url) => GetAsync(new Uri(url));

    public async Task<HttpResponseMessage> PostAsync(Uri url, params (string Name, string Value)[] form)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, url)
        {
            Content = new FormUrlEncodedContent(form.Select(field => KeyValuePair.Create(field.Name, field.Value))),
        };
        return await SendAsync(request, CancellationToken.None);
    }

    /// <summary>The same cookies in a browser of its own.</summary>
    public TestBrowser Clone()
    {
        var clone = new TestBrowser();
        foreach (var (name, value) in Cookies)
        {
            clone.Cookies[name] = value;
        }

        return clone;
    }

    public void Dispose() => _http.Dispose();

    private async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (Cookies.Count > 0)
        {
            request.Headers.TryAddWithoutValidation("Cookie", string.Join("; ", Cookies.Select(cookie => $"{cookie.Key}={cookie.Value}")));
        }

        var response = await _http.SendAsync(request, cancellationToken);
        if (response.Headers.TryGetValues("Set-Cookie", out var cookies))
        {
            foreach (var match in cookies.Select(cookie => Regex.Match(cookie, "^([^=]+)=([^;]*)(.*)$")))
            {
                var name = match.Groups[1].Value;
                if (match.Groups[3].Value.Contains("max-age=0", StringComparison.OrdinalIgnoreCase))
                {
                    Cookies.Remove(name);
                }
                else
                {
                    Cookies[name] = match.Groups[2].Value;
                }
            }
        }

        return response;
    }

    public static Uri LocationOf(HttpResponseMessage response)
    {
        Assert.Equal(HttpStatusCode.Redirect, response.StatusCode);
        return response.Headers.Location!.IsAbsoluteUri
            ? response.Headers.Location
            : new Uri(response.RequestMessage!.RequestUri!, response.Headers.Location);
    }
}
