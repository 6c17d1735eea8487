using System.Net;
using System.Text.RegularExpressions;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Links, forms and redirects, where the Redirect URL or a typed address ends in a slash.</summary>
[Collection(AzuriteFixture.Name)]
public sealed partial class AddressTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly TestBrowser _browser = new();
    private TestBed _bed = null!;

    public async Task InitializeAsync() => _bed = await TestBed.StartAsync(azurite);

    public async Task DisposeAsync()
    {
        _browser.Dispose();
        await _bed.DisposeAsync();
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("", "/")]
    [InlineData("/", "")]
    [InlineData("/", "/")]
    public async Task Every_address_that_is_handed_out_leads_where_it_should(string atRedirectUrl, string typed)
    {
        _bed.Wix.RedirectUrl = new Uri($"{_bed.Api}redirect{atRedirectUrl}");
        await _bed.RestartAsync(("Wix__RedirectUrl", _bed.Wix.RedirectUrl.OriginalString));

        // An install link.
        var link = await _bed.CreateLinkAsync("Ann");
        Assert.StartsWith($"{_bed.Api}install?start=", link, StringComparison.Ordinal);

        // The form of its page, on to the consent page and back to the Redirect URL as it is registered.
        var opened = new Uri(link.Replace("install?", $"install{typed}?", StringComparison.Ordinal));
        using var page = await _browser.GetAsync(opened);
        using var confirmed = await _browser.SubmitAsync(opened.AbsoluteUri, await page.Content.ReadAsStringAsync());
        var consent = TestBrowser.LocationOf(confirmed);
        Assert.Equal(_bed.Wix.RedirectUrl.OriginalString, TestBed.QueryOf(consent)["redirectUrl"]);

        // What refuses an install, and "Start again" on its page.
        using var refusal = await _browser.GetAsync(new Uri($"{_bed.Api}redirect{typed}?error=denied"));
        Assert.Equal(HttpStatusCode.SeeOther, refusal.StatusCode);
        await AssertStartsAgainAsync(new Uri(refusal.RequestMessage!.RequestUri!, refusal.Headers.Location!));
        await AssertStartsAgainAsync(new Uri($"{_bed.Api}install{typed}?token=once&token=twice"));

        // The operators' page.
        using var withKey = new HttpRequestMessage(HttpMethod.Get, new Uri($"{_bed.Api}status{typed}?code=x")) { Headers = { { "Accept", "text/html" } } };
        using var http = new HttpClient();
        using var refused = await http.SendAsync(withKey);
        using var status = await http.GetAsync(await LinkOfAsync(refused));
        Assert.Equal(HttpStatusCode.OK, status.StatusCode);
        Assert.Contains("type=\"password\"", await status.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private async Task AssertStartsAgainAsync(Uri address)
    {
        using var page = await _browser.GetAsync(address);
        using var again = await _browser.GetAsync(await LinkOfAsync(page));
        Assert.StartsWith(_bed.Wix.InstallerUrl.AbsoluteUri, TestBrowser.LocationOf(again).AbsoluteUri, StringComparison.Ordinal);
    }

    private static async Task<Uri> LinkOfAsync(HttpResponseMessage page)
    {
        Assert.Equal(HttpStatusCode.BadRequest, page.StatusCode);
        return new Uri(page.RequestMessage!.RequestUri!, Assert.Single(Link().Matches(await page.Content.ReadAsStringAsync())).Groups[1].Value);
    }

    [GeneratedRegex("href=\"([^\"]+)\"")]
    private static partial Regex Link();
}
