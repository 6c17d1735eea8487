using System.Net;
using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Moq;
using WixOAuth.Install;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Install links and the customers that they tie sites to.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class InstallLinkTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly TestBrowser _browser = new();
    private TestBed _bed = null!;

    public async Task InitializeAsync() => _bed = await TestBed.StartAsync(azurite);

    public async Task DisposeAsync()
    {
        _browser.Dispose();
        await _bed.DisposeAsync();
    }

    [Fact]
    public async Task A_link_opens_a_page_that_asks_first_and_touches_nothing()
    {
        var link = await _bed.CreateLinkAsync("acme", "Acme & Søns <Ltd>");

        using var response = await _browser.GetAsync(link);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        TestBed.AssertCommonHeaders(response);
        Assert.Equal("DENY", TestBed.Header(response, "X-Frame-Options"));
        var installer = _bed.Wix.InstallerUrl.GetLeftPart(UriPartial.Authority);
        Assert.Matches(
            $"^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; base-uri 'none'; form-action 'self' {Regex.Escape(installer)}; frame-ancestors 'none'$",
            TestBed.Header(response, "Content-Security-Policy"));
        var page = await response.Content.ReadAsStringAsync();
        Assert.Contains("<h1>Connect a Wix site to <bdi>Acme &amp; S&#xF8;ns &lt;Ltd&gt;</bdi></h1>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("acme", page, StringComparison.Ordinal);
        Assert.Equal((1, 1), (Regex.Count(page, "<script"), Regex.Count(page, "<button")));
        Assert.Empty(_browser.Cookies);
        Assert.Empty(await _bed.RowsAsync());
        Assert.Empty(_bed.Wix.Control.Calls);
    }

    [Fact]
    public async Task Without_a_display_name_the_page_shows_the_customer()
    {
        using var response = await _browser.GetAsync(await _bed.CreateLinkAsync("acme"));

        Assert.Contains("<bdi>acme</bdi>", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    // With true Wix asks for the site, and opens the App URL again, with a token.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_confirmed_link_carries_its_customer_through_the_install(bool throughTheAppUrlAgain)
    {
        var consent = await _browser.ConfirmAsync(await _bed.CreateLinkAsync("Zoë & Søns 😀", "Somebody"));
        Assert.Equal(["appId", "redirectUrl", "state"], TestBed.QueryOf(consent).Keys.Order(StringComparer.Ordinal));
        var site = _bed.Wix.CreateSite("One");

        TestBrowser.LocationOf(await _browser.GetAsync(
            throughTheAppUrlAgain ? await _bed.WalkToRedirectAsync(_browser, site.InstanceId) : RedirectOf(consent, site.InstanceId)));

        Assert.Equal("Zoë & Søns 😀", await CustomerOfAsync(site.InstanceId));
    }

    // The attack: a page of the attacker opens the attacker's link in a visitor's browser.
    [Fact]
    public async Task A_link_that_was_only_opened_gives_no_site_away()
    {
        await _browser.GetAsync(await _bed.CreateLinkAsync("attacker"));

        Assert.Null(await CustomerOfAsync(await InstallAsync(_browser)));
    }

    [Fact]
    public async Task A_link_of_an_attacker_does_not_take_away_the_customer_that_was_confirmed()
    {
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("acme"));
        await _browser.GetAsync(await _bed.CreateLinkAsync("attacker"));

        Assert.Equal("acme", await CustomerOfAsync(await InstallAsync(_browser)));
    }

    [Theory]
    [InlineData("Sec-Fetch-Site", "same-origin", true)]
    [InlineData("Sec-Fetch-Site", "cross-site", false)]
    [InlineData("Sec-Fetch-Site", "same-site", false)]
    [InlineData("Sec-Fetch-Site", "none", false)]
    [InlineData("Origin", "null", true)]
    [InlineData("Origin", "https://evil.example", false)]
    [InlineData("Origin", "our own", true)]
    [InlineData("X-Nothing", "x", false)]
    public async Task The_button_can_be_pressed_on_our_page_only(string name, string value, bool isOurs)
    {
        var link = await _bed.CreateLinkAsync("acme");
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();

        using var response = await _browser.SubmitAsync(link, page, (name, value == "our own" ? _bed.Host.Url.GetLeftPart(UriPartial.Authority) : value));

        Assert.Equal(isOurs ? HttpStatusCode.Redirect : HttpStatusCode.Forbidden, response.StatusCode);
        Assert.Equal(isOurs ? 1 : 0, _browser.Cookies.Count);
        Assert.Equal(isOurs ? 1 : 0, (await _bed.RowsAsync()).Count);

        // A refusal does not use the link up.
        using var again = await _browser.SubmitAsync(link, page);
        Assert.Equal(isOurs ? HttpStatusCode.BadRequest : HttpStatusCode.Redirect, again.StatusCode);
    }

    [Fact]
    public async Task Sec_Fetch_Site_decides_where_both_come()
    {
        var link = await _bed.CreateLinkAsync("acme");
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();

        using var response = await _browser.SubmitAsync(link, page, ("Sec-Fetch-Site", "cross-site"), ("Origin", "null"));

        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
    }

    [Fact]
    public async Task A_link_works_once_also_for_many_at_once()
    {
        var link = await _bed.CreateLinkAsync("acme");
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();

        var responses = await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
        {
            using var browser = new TestBrowser();
            return await browser.SubmitAsync(link, page);
        }));

        Assert.Single(responses, response => response.StatusCode == HttpStatusCode.Redirect);
        Assert.All(responses.Where(response => response.StatusCode != HttpStatusCode.Redirect), response => Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode));
        await _bed.RestartAsync();
        using var late = await _browser.SubmitAsync(link, page);
        Assert.Equal(HttpStatusCode.BadRequest, late.StatusCode);
        Assert.DoesNotContain("Start again", await late.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Buttons_of_links_share_the_limit_of_the_redirects_and_a_busy_page_uses_no_link_up()
    {
        var link = await _bed.CreateLinkAsync("acme");
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();
        var limiter = _bed.Host.Services.GetRequiredService<ExchangeLimiter>();
        var inside = await Task.WhenAll(Enumerable.Range(0, ExchangeLimiter.MaxConcurrent).Select(_ => limiter.TryEnterAsync(CancellationToken.None).AsTask()));
        using var leaving = new CancellationTokenSource();
        var waiting = Enumerable.Range(0, ExchangeLimiter.MaxWaiting).Select(_ => limiter.TryEnterAsync(leaving.Token).AsTask()).ToList();

        using (var busy = await _browser.SubmitAsync(link, page))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, busy.StatusCode);
            await AssertAsksToOpenTheLinkAgainAsync(busy);
            Assert.Empty(await _bed.RowsAsync());
        }

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.WhenAll(waiting));
        Assert.All(inside, turn => turn!.Dispose());
        TestBrowser.LocationOf(await _browser.SubmitAsync(link, page));
    }

    [Fact]
    public async Task A_link_that_is_given_twice_is_refused_and_not_spent()
    {
        var link = await _bed.CreateLinkAsync("acme");
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();

        using (var refused = await _browser.PostAsync(new Uri(_bed.Api, "install?start=a&start=b"), ("start", StartOf(link))))
        {
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        }

        TestBrowser.LocationOf(await _browser.SubmitAsync(link, page));
    }

    [Fact]
    public async Task The_error_pages_of_a_link_offer_no_new_start_without_its_customer()
    {
        var link = await _bed.CreateLinkAsync("acme");
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();
        using (var twice = await _browser.GetAsync(new Uri(_bed.Api, $"install?start={StartOf(link)}&start=x")))
        {
            Assert.Equal(HttpStatusCode.BadRequest, twice.StatusCode);
            await AssertAsksToOpenTheLinkAgainAsync(twice);
        }

        var keys = new Mock<IKeyRing>();
        keys.Setup(source => source.GetCurrentAsync(It.IsAny<CancellationToken>())).Throws(new SecretUnavailableException("down"));
        keys.Setup(source => source.FindAsync(It.IsAny<string>(), It.IsAny<CancellationToken>())).Throws(new SecretUnavailableException("down"));
        await using var broken = await TestBed.StartAsync(azurite, services => services.Replace(ServiceDescriptor.Singleton(keys.Object)));
        var there = new Uri(broken.Api, $"install?start={StartOf(link)}").ToString();
        using var opened = await _browser.GetAsync(there);
        using var pressed = await _browser.SubmitAsync(there, page);
        foreach (var failed in new[] { opened, pressed })
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, failed.StatusCode);
            await AssertAsksToOpenTheLinkAgainAsync(failed);
        }
    }

    [Fact]
    public async Task Pressing_the_button_twice_continues_in_the_same_browser()
    {
        var link = await _bed.CreateLinkAsync("acme");
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();
        TestBrowser.LocationOf(await _browser.SubmitAsync(link, page));

        using var twice = await _browser.SubmitAsync(link, page);

        Assert.Equal(HttpStatusCode.BadRequest, twice.StatusCode);
        await StartAgainAsync(twice, "acme");
    }

    [Fact]
    public async Task A_link_works_for_30_minutes_and_its_row_outlives_it()
    {
        using var made = await _bed.CallAsync(HttpMethod.Post, "install-links", new StringContent("""{"customer":"acme"}"""));
        var body = await TestBed.ReadJsonAsync(made);
        Assert.Equal(30, Math.Round((body.GetProperty("expires_on").GetDateTimeOffset() - _bed.Clock.GetUtcNow()).TotalMinutes));
        var link = body.GetProperty("url").GetString()!;
        var page = await (await _browser.GetAsync(link)).Content.ReadAsStringAsync();
        var other = await _bed.CreateLinkAsync("other");

        _bed.Clock.Advance(TimeSpan.FromMinutes(29));
        TestBrowser.LocationOf(await _browser.SubmitAsync(link, page));
        await _bed.SweepAsync();
        using var again = await _browser.SubmitAsync(link, page);
        Assert.Equal(HttpStatusCode.BadRequest, again.StatusCode);

        _bed.Clock.Advance(TimeSpan.FromMinutes(2));
        foreach (var late in new[] { await _browser.GetAsync(other), await _browser.SubmitAsync(other, page.Replace(StartOf(link), StartOf(other), StringComparison.Ordinal)) })
        {
            Assert.Equal(HttpStatusCode.BadRequest, late.StatusCode);
            Assert.DoesNotContain("Start again", await late.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        // A state is no link, though the same key seals it.
        var state = TestBed.QueryOf(TestBrowser.LocationOf(await _browser.GetAsync(new Uri(_bed.Api, "install"))))["state"];
        using var swapped = await _browser.GetAsync(new Uri(_bed.Api, $"install?start={state}"));
        Assert.Equal(HttpStatusCode.BadRequest, swapped.StatusCode);
    }

    [Fact]
    public async Task A_second_link_in_the_same_browser_counts_also_right_after_the_first_install()
    {
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("first"));
        var first = await InstallAsync(_browser);
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("second"));
        var second = await InstallAsync(_browser);
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("third"));
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("fourth"));
        var fourth = await InstallAsync(_browser);

        Assert.Equal(("first", "second", "fourth"), (await CustomerOfAsync(first), await CustomerOfAsync(second), await CustomerOfAsync(fourth)));
    }

    [Fact]
    public async Task A_link_whose_install_has_ended_gives_its_customer_to_no_other_site()
    {
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("acme"));
        var redirect = await _bed.WalkToRedirectAsync(_browser, _bed.Wix.CreateSite("One").InstanceId);
        var first = TestBrowser.LocationOf(await _browser.GetAsync(redirect));

        Assert.Null(await CustomerOfAsync(await InstallAsync(_browser)));

        // The first redirect is still found when it is loaded again.
        Assert.Equal(first, TestBrowser.LocationOf(await _browser.GetAsync(redirect)));
    }

    [Fact]
    public async Task A_confirmation_counts_for_ten_minutes_however_often_an_install_is_started()
    {
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("acme"));
        _bed.Clock.Advance(TimeSpan.FromMinutes(9));
        await _browser.GetAsync(new Uri(_bed.Api, "install?token=t"));
        using var inTime = _browser.Clone();
        Assert.Equal("acme", await CustomerOfAsync(await InstallAsync(inTime)));

        _bed.Clock.Advance(TimeSpan.FromMinutes(2));
        Assert.Null(await CustomerOfAsync(await InstallAsync(_browser)));
    }

    [Fact]
    public async Task Starting_again_after_an_error_keeps_the_customer()
    {
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("acme"));
        var query = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _bed.Wix.CreateSite("One").InstanceId));
        using var refused = await TestBrowser.FollowRefusalAsync(await _browser.GetAsync(new Uri(_bed.Api, $"redirect?error=access_denied&state={query["state"]}")));

        await StartAgainAsync(refused, "acme");
    }

    [Fact]
    public async Task A_customer_is_never_overwritten_by_a_consent_and_the_tokens_are_saved()
    {
        var id = await _bed.InstallForAsync("acme");
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("attacker"));

        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, id)));

        var instance = await _bed.GetInstanceAsync(id);
        Assert.Equal(("acme", 2), (instance.GetProperty("customer").GetString(), instance.GetProperty("token").GetProperty("generation").GetInt32()));
        var line = Assert.Single(_bed.Logs.Lines(LogLevel.Warning), line => line.Contains("another customer", StringComparison.Ordinal));
        Assert.DoesNotContain("attacker", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_site_without_a_customer_gets_one_by_a_later_consent()
    {
        var id = await _bed.InstallAsync();
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync("acme"));

        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, id)));

        Assert.Equal("acme", await CustomerOfAsync(id));
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"customer":""}""")]
    [InlineData("""{"customer":"   "}""")]
    [InlineData("""{"customer":5}""")]
    [InlineData("""{"customer":"a\u0000b"}""")]
    [InlineData("""{"customer":"\ud800"}""")]
    [InlineData("""{"customer":"c","display_name":""}""")]
    [InlineData("""{"customer":"c","display_name":"  "}""")]
    [InlineData("""{"customer":"c","display_name":5}""")]
    [InlineData("""{"customer":"c","display_name":"a\nb"}""")]
    [InlineData("""{"display_name":"c"}""")]
    [InlineData("""{"customer":"c","displayName":"d"}""")]
    [InlineData("""{"customer":"\u200b"}""")]
    [InlineData("""{"customer":"\u2800"}""")]
    [InlineData("""{"customer":"\u3164 \u115f\u1160\uffa0"}""")]
    [InlineData("""{"customer":"c","customer":"d"}""")]
    public Task A_bad_body_is_an_invalid_request(string body) => AssertRefusedAsync(body);

    [Fact]
    public async Task Names_of_up_to_200_characters_fit()
    {
        var name = string.Concat(Enumerable.Repeat("漢", 200));
        await _browser.ConfirmAsync(await _bed.CreateLinkAsync(name, name));

        Assert.Equal(name, await CustomerOfAsync(await InstallAsync(_browser)));
        await AssertRefusedAsync($$"""{"customer":"{{new string('c', 201)}}"}""");
        await AssertRefusedAsync($$"""{"customer":"{{new string('c', 100_000)}}"}""");
        await AssertRefusedAsync($$"""{"customer":"c","display_name":"{{new string('x', 201)}}"}""");
    }

    private async Task AssertRefusedAsync(string body) =>
        await TestBed.AssertProblemAsync(await _bed.CallAsync(HttpMethod.Post, "install-links", new StringContent(body)), 400, "invalid_request");

    private async Task<Guid> InstallAsync(TestBrowser browser)
    {
        var site = _bed.Wix.CreateSite("A site");
        TestBrowser.LocationOf(await browser.GetAsync(await _bed.WalkToRedirectAsync(browser, site.InstanceId)));
        return site.InstanceId;
    }

    private static async Task AssertAsksToOpenTheLinkAgainAsync(HttpResponseMessage response)
    {
        var page = await response.Content.ReadAsStringAsync();
        Assert.Contains("open the link again", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<a ", page, StringComparison.Ordinal);
    }

    private async Task StartAgainAsync(HttpResponseMessage page, string customer)
    {
        Assert.Contains("""<a class="go" href="/api/install" """, await page.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        var consent = TestBrowser.LocationOf(await _browser.GetAsync(new Uri(_bed.Api, "install")));
        var site = _bed.Wix.CreateSite("Again");
        TestBrowser.LocationOf(await _browser.GetAsync(RedirectOf(consent, site.InstanceId)));
        Assert.Equal(customer, await CustomerOfAsync(site.InstanceId));
    }

    private Uri RedirectOf(Uri consent, Guid instanceId) =>
        new(_bed.Api, $"redirect?code={Uri.EscapeDataString(_bed.Wix.Consent(instanceId).Code)}&state={TestBed.QueryOf(consent)["state"]}&instanceId={instanceId}");

    private static string StartOf(string link) => link.Split("start=")[1];

    private async Task<string?> CustomerOfAsync(Guid instanceId) =>
        (await _bed.GetInstanceAsync(instanceId)).GetProperty("customer") is { ValueKind: JsonValueKind.String } customer ? customer.GetString() : null;
}
