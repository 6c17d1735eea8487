using System.Net;
using WixOAuth.PretendWix;

namespace WixOAuth.Processes;

/// <summary>How far an install got.</summary>
internal enum InstallEnd
{
    /// <summary>The App URL gave no answer.</summary>
    NotBegun,

    /// <summary>The redirect gave no answer: the process died under it.</summary>
    Broken,

    /// <summary>The browser was told something else than to close its window.</summary>
    Refused,

    /// <summary>The browser was sent to close its window: the tokens are saved, then.</summary>
    Closed,
}

/// <summary>The site's owner and their browser, without the pages in between: the App URL, the consent, the redirect.</summary>
internal static class Owner
{
    private static readonly HttpClient s_http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false })
    {
        Timeout = TimeSpan.FromSeconds(60),
    };

    /// <summary>Installs the app, or installs it again.</summary>
    public static async Task<InstallEnd> InstallAsync(PretendWixServer wix, Uri service, Guid instanceId, CancellationToken cancellationToken)
    {
        try
        {
            var redirect = await WalkToRedirectAsync(wix, service, instanceId, cancellationToken);
            return redirect is null ? InstallEnd.NotBegun : await RedirectAsync(redirect.Value.Url, redirect.Value.Cookie, cancellationToken);
        }
        catch (HttpRequestException)
        {
            return InstallEnd.NotBegun;
        }
    }

    /// <summary>Opens the App URL and consents; answers where Wix sends the browser, and the cookie it has.</summary>
    /// <exception cref="HttpRequestException">The service gives no answer.</exception>
    public static async Task<(Uri Url, string Cookie)?> WalkToRedirectAsync(
        PretendWixServer wix, Uri service, Guid instanceId, CancellationToken cancellationToken)
    {
        var appUrl = new Uri(service, $"/api/install?token={Uri.EscapeDataString(wix.IssueAppUrlToken(instanceId))}");
        using var answer = await s_http.GetAsync(appUrl, cancellationToken);
        if (answer.StatusCode != HttpStatusCode.Redirect || !answer.Headers.TryGetValues("Set-Cookie", out var cookies))
        {
            return null;
        }

        var state = answer.Headers.Location!.Query.Split("state=")[1].Split('&')[0];
        var code = wix.Consent(instanceId).Code;
        return (
            new Uri(service, $"/api/redirect?code={Uri.EscapeDataString(code)}&state={state}&instanceId={instanceId}"),
            string.Join("; ", cookies.Select(cookie => cookie.Split(';')[0])));
    }

    /// <summary>Opens the Redirect URL.</summary>
    public static async Task<InstallEnd> RedirectAsync(Uri url, string cookie, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, url) { Headers = { { "Cookie", cookie } } };
        try
        {
            using var answer = await s_http.SendAsync(request, cancellationToken);
            return answer.Headers.Location?.AbsolutePath == "/installer/close-window" ? InstallEnd.Closed : InstallEnd.Refused;
        }
        catch (HttpRequestException)
        {
            return InstallEnd.Broken;
        }
    }
}
