using System.Net;
using System.Text.RegularExpressions;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>
/// A browser of one person: it keeps cookies as Chromium does on localhost (where Secure ones are kept without TLS) and
/// follows nothing by itself, so that a test sees each answer.
/// </summary>
internal sealed class TestBrowser : IDisposable
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

    /// <summary>Sends a form of the page at the same origin.</summary>
    public Task<HttpResponseMessage> PostAsync(Uri url, params (string Name, string Value)[] form) => PostAsync(url, [("Sec-Fetch-Site", "same-origin")], form);

    /// <summary>Sends a form with these headers.</summary>
    public async Task<HttpResponseMessage> PostAsync(Uri url, (string Name, string Value)[] headers, params (string Name, string Value)[] form)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, url)
        {
            Content = new FormUrlEncodedContent(form.Select(field => KeyValuePair.Create(field.Name, field.Value))),
        };
        foreach (var (name, value) in headers)
        {
            request.Headers.Add(name, value);
        }

        return await SendAsync(request, CancellationToken.None);
    }

    public async Task<HttpResponseMessage> HeadAsync(Uri url)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, url);
        return await SendAsync(request, CancellationToken.None);
    }

    /// <summary>Opens an install link and presses the button of its page; answers where that leads.</summary>
    public async Task<Uri> ConfirmAsync(string link)
    {
        using var page = await GetAsync(link);
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
        using var response = await SubmitAsync(link, await page.Content.ReadAsStringAsync());
        return LocationOf(response);
    }

    /// <summary>Presses the button of an install link's page.</summary>
    public Task<HttpResponseMessage> SubmitAsync(string link, string page, params (string Name, string Value)[] headers)
    {
        var form = Regex.Match(page, "<form method=\"post\" action=\"([^\"]+)\">\\s*<input type=\"hidden\" name=\"([^\"]+)\" value=\"([^\"]+)\">");
        Assert.True(form.Success, page);
        return PostAsync(
            new Uri(new Uri(link), form.Groups[1].Value), headers.Length == 0 ? [("Sec-Fetch-Site", "same-origin")] : headers, (form.Groups[2].Value, form.Groups[3].Value));
    }

    /// <summary>Follows a refusal of the Redirect to its page, which has nothing of the refused address.</summary>
    public static async Task<HttpResponseMessage> FollowRefusalAsync(HttpResponseMessage response)
    {
        if (response.StatusCode != HttpStatusCode.SeeOther)
        {
            return response;
        }

        Assert.Matches("^/api/redirect\\?problem=[a-z_]+$", response.Headers.Location!.OriginalString);
        Assert.False(response.Headers.Contains("Set-Cookie"));
        Assert.Empty(await response.Content.ReadAsByteArrayAsync());
        using var browser = new TestBrowser();
        return await browser.GetAsync(new Uri(response.RequestMessage!.RequestUri!, response.Headers.Location));
    }

    /// <summary>The same cookies in a separate browser.</summary>
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
        Assert.True(response.StatusCode == HttpStatusCode.Redirect, $"{response.StatusCode} to {response.Headers.Location}");
        return response.Headers.Location!.IsAbsoluteUri
            ? response.Headers.Location
            : new Uri(response.RequestMessage!.RequestUri!, response.Headers.Location);
    }
}
