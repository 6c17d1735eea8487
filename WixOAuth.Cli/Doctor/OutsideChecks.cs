using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.WebUtilities;

namespace WixOAuth.Cli.Doctor;

/// <summary>Checks of what is public of a deployment: none of them spends or stores anything.</summary>
internal sealed class OutsideChecks(Uri url, Uri wixApi, TimeProvider time) : IDisposable
{
    /// <summary>The length of a code that has to pass (wix-protocol §4).</summary>
    private const int LongestCode = 7_500;

    private static readonly string[] s_vital = ["storage", "secrets"];
    private static readonly TimeSpan s_clockTolerance = TimeSpan.FromSeconds(30);
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false }) { Timeout = TimeSpan.FromSeconds(20) };

    // How far the service's clock was ahead of this machine's when it answered.
    private TimeSpan? _serviceOffset;

    public async IAsyncEnumerable<Finding> RunAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        yield return url.Scheme == Uri.UriSchemeHttps
            ? Finding.Ok("https", $"{url.Host} is served by https")
            : url.IsLoopback
                ? Finding.Warning("https", "http on this machine: fine for a laptop, Wix needs https")
                : Finding.Failed("https", "give Wix https addresses only: the install's cookie is lost over http");
        (string Name, Func<string, CancellationToken, Task<Finding>> Run)[] checks =
        [
            ("App URL", CheckAppUrlAsync),
            ("HEAD", CheckHeadAsync),
            ("Redirect URL", CheckRedirectAsync),
            ("long codes", CheckLongRedirectAsync),
            ("health", CheckHealthAsync),
            ("clock", CheckClockAsync),
        ];
        foreach (var (name, run) in checks)
        {
            yield return await GuardAsync(name, run, cancellationToken);
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task<Finding> CheckAppUrlAsync(string check, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(HttpMethod.Get, "install", cancellationToken);
        _serviceOffset = response.Headers.Date - time.GetUtcNow();
        if (response.StatusCode != HttpStatusCode.Redirect || response.Headers.Location is not { IsAbsoluteUri: true } consent)
        {
            return Finding.Failed(check, $"it answers {(int)response.StatusCode} instead of sending on to Wix's consent page: is {url} the service's address, and is it running?");
        }

        var redirect = QueryHelpers.ParseQuery(consent.Query).GetValueOrDefault("redirectUrl").ToString();
        if (!Uri.TryCreate(redirect, UriKind.Absolute, out var back) || !back.Authority.Equals(url.Authority, StringComparison.OrdinalIgnoreCase))
        {
            return Finding.Failed(check, $"its Redirect URL is on the host {back?.Authority ?? "?"}, not on {url.Authority}: put both on one host (Wix__RedirectUrl, and the App URL on Wix's dashboard), or the cookie does not come back");
        }

        return HasOpener(response)
            ? Finding.Ok(check, "sends on to Wix's consent page; the Redirect URL is on the same host")
            : Finding.Failed(check, "the header Cross-Origin-Opener-Policy: unsafe-none is missing: let no proxy change it, or Wix cannot close its window");
    }

    private async Task<Finding> CheckHeadAsync(string check, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(HttpMethod.Head, "install", cancellationToken);
        return response.StatusCode == HttpStatusCode.Redirect
            ? Finding.Ok(check, "answered as GET")
            : Finding.Warning(check, $"the App URL answers HEAD with {(int)response.StatusCode}: link checkers report it as broken; update the service, or let HEAD through the proxy");
    }

    private async Task<Finding> CheckRedirectAsync(string check, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(HttpMethod.Get, "redirect", cancellationToken);
        return IsOurPage(response)
            ? Finding.Ok(check, "answers with a page of the service")
            : Finding.Failed(check, $"it answers {(int)response.StatusCode} without the service's headers: something in front of it answers instead (a sign-in, a firewall, a wrong route); let /api/redirect through");
    }

    private async Task<Finding> CheckLongRedirectAsync(string check, CancellationToken cancellationToken)
    {
        var query = $"redirect?code={new string('a', LongestCode)}&state=none&instanceId={Guid.Empty}";
        using var response = await SendAsync(HttpMethod.Get, query, cancellationToken);
        return IsOurPage(response)
            ? Finding.Ok(check, "a redirect with a code of 7,500 characters arrives")
            : Finding.Failed(check, $"a redirect with a code of 7,500 characters is answered {(int)response.StatusCode} on the way: raise the limit of the proxy or firewall for request lines to 8 KiB, and deploy on Linux");
    }

    private async Task<Finding> CheckHealthAsync(string check, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(HttpMethod.Get, "health", cancellationToken);
        var body = JsonDocument.Parse(await response.Content.ReadAsStringAsync(cancellationToken)).RootElement;
        var bad = s_vital.Where(name => body.GetProperty(name).GetString() != "healthy").ToList();
        if (bad.Count > 0)
        {
            return Finding.Failed(check, $"{string.Join(" and ", bad)} unhealthy: see the runbook, \"Every customer says the app stopped working\"");
        }

        var degraded = body.TryGetProperty("degraded", out var words) ? words.EnumerateArray().Select(word => word.GetString()).ToList() : [];
        return degraded.Count == 0
            ? Finding.Ok(check, "storage and secrets are healthy")
            : Finding.Warning(check, $"degraded: {string.Join(", ", degraded)}; each word is explained in the runbook");
    }

    private async Task<Finding> CheckClockAsync(string check, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Head, wixApi);
        using var response = await _http.SendAsync(request, cancellationToken);
        if (response.Headers.Date is not { } wix)
        {
            return Finding.Skipped(check, "Wix's answer has no date");
        }

        // Not the two times: the checks between them may have taken a minute.
        var whose = _serviceOffset is null ? "machine" : "service";
        var off = ((_serviceOffset ?? TimeSpan.Zero) - (wix - time.GetUtcNow())).Duration();
        return off <= s_clockTolerance
            ? Finding.Ok(check, $"the {whose}'s clock is within {s_clockTolerance.TotalSeconds:F0} s of Wix's")
            : Finding.Failed(check, $"the {whose}'s clock is {off.TotalSeconds:F0} s away from Wix's: set it by NTP; otherwise token lifetimes are misjudged");
    }

    private static bool IsOurPage(HttpResponseMessage response) =>
        HasOpener(response) && (response.StatusCode is HttpStatusCode.BadRequest or HttpStatusCode.SeeOther);

    private static bool HasOpener(HttpResponseMessage response) =>
        response.Headers.TryGetValues("Cross-Origin-Opener-Policy", out var policy) && policy.Contains("unsafe-none");

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(method, new Uri($"{url.AbsoluteUri.TrimEnd('/')}/api/{path}"));
        return await _http.SendAsync(request, cancellationToken);
    }

    private static async Task<Finding> GuardAsync(string name, Func<string, CancellationToken, Task<Finding>> check, CancellationToken cancellationToken)
    {
        try
        {
            return await check(name, cancellationToken);
        }
        catch (HttpRequestException exception)
        {
            return Finding.Failed(name, $"could not be reached ({exception.HttpRequestError}): check the address, DNS and the certificate");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return Finding.Failed(name, "did not answer within 20 seconds: is it running?");
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException)
        {
            return Finding.Failed(name, "the answer is not the service's: something in front of it answers instead (a sign-in, a firewall, a wrong route); let /api/health through");
        }
    }
}
