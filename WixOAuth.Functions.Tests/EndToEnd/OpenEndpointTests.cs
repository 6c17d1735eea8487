using System.Net;
using System.Text;
using WixOAuth.Functions.Tests.Hostile;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>What anybody may call: HEAD, addresses that keep no code, and tokens that pass unchanged.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class OpenEndpointTests(AzuriteFixture azurite) : IAsyncLifetime
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
    public async Task HEAD_has_status_and_headers_of_GET_and_no_body()
    {
        using var health = await _browser.HeadAsync(new Uri(_bed.Api, "health"));
        Assert.Equal(HttpStatusCode.OK, health.StatusCode);
        Assert.Equal("application/json", health.Content.Headers.ContentType?.MediaType);
        Assert.Empty(await health.Content.ReadAsByteArrayAsync());

        using var install = await _browser.HeadAsync(new Uri(_bed.Api, "install?token=t"));
        Assert.Equal("t", TestBed.QueryOf(TestBrowser.LocationOf(install))["token"]);
        using var link = await _browser.HeadAsync(new Uri(await _bed.CreateLinkAsync("acme")));
        Assert.Equal(HttpStatusCode.OK, link.StatusCode);
        Assert.Contains("frame-ancestors 'none'", TestBed.Header(link, "Content-Security-Policy"), StringComparison.Ordinal);
        Assert.Empty(await link.Content.ReadAsByteArrayAsync());
        foreach (var response in new[] { health, install, link })
        {
            TestBed.AssertCommonHeaders(response);
        }

        Assert.Empty(await _bed.RowsAsync());
    }

    [Fact]
    public async Task HEAD_on_the_redirect_spends_nothing()
    {
        var site = _bed.Wix.CreateSite("One");
        var redirect = await _bed.WalkToRedirectAsync(_browser, site.InstanceId);

        using var looked = await _browser.HeadAsync(redirect);

        Assert.Equal(HttpStatusCode.OK, looked.StatusCode);
        TestBed.AssertCommonHeaders(looked);
        Assert.Empty(await _bed.RowsAsync());
        Assert.Equal(0, _bed.Wix.Control.Counts.Calls["access"]);
        TestBrowser.LocationOf(await _browser.GetAsync(redirect));
    }

    [Theory]
    [InlineData("a+b/c==", "a+b/c==")]
    [InlineData("a%2Bb", "a+b")]
    [InlineData("a%20b", "a b")]
    [InlineData("a%26state%3Dforged", "a&state=forged")]
    [InlineData("eyJ.a-b_c.d+e+f", "eyJ.a-b_c.d+e+f")]
    public async Task The_token_goes_back_to_Wix_exactly_as_it_came(string sent, string expected)
    {
        using var response = await _browser.GetAsync(new Uri($"{_bed.Api}install?token={sent}"));

        Assert.Equal(expected, TestBed.QueryOf(TestBrowser.LocationOf(response))["token"]);
    }

    [Fact]
    public async Task Twelve_installs_in_twelve_tabs_all_succeed()
    {
        List<(Guid Id, Uri Redirect)> tabs = [];
        for (var tab = 0; tab < 12; tab++)
        {
            var id = _bed.Wix.CreateSite($"Tab {tab}").InstanceId;
            tabs.Add((id, await _bed.WalkToRedirectAsync(_browser, id)));
        }

        foreach (var (id, redirect) in tabs)
        {
            TestBrowser.LocationOf(await _browser.GetAsync(redirect));
            Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(id)).StatusCode);
        }
    }

    [Fact]
    public async Task A_refusal_keeps_the_code_in_no_address()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _bed.Wix.CreateSite("One").InstanceId);
        using var stranger = new TestBrowser();

        using var refusal = await stranger.GetAsync(redirect);

        Assert.Equal(HttpStatusCode.SeeOther, refusal.StatusCode);
        Assert.Equal("/api/redirect?problem=foreign_state", refusal.Headers.Location!.OriginalString);
        TestBed.AssertCommonHeaders(refusal);
        using var page = await TestBrowser.FollowRefusalAsync(refusal);
        Assert.Equal(HttpStatusCode.BadRequest, page.StatusCode);
        Assert.Contains("Start again", await page.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("not_consented", 400)]
    [InlineData("cross_site", 403)]
    [InlineData("unexpected", 500)]
    [InlineData("wix_unavailable", 502)]
    [InlineData("storage_unavailable", 503)]
    [InlineData("busy", 503)]
    public async Task A_problem_page_has_the_status_of_its_outcome(string outcome, int status)
    {
        using var page = await _browser.GetAsync(new Uri(_bed.Api, $"redirect?problem={outcome}"));
        using var head = await _browser.HeadAsync(new Uri(_bed.Api, $"redirect?problem={outcome}"));

        Assert.Equal((status, status), ((int)page.StatusCode, (int)head.StatusCode));
    }

    [Fact]
    public async Task A_problem_beside_a_code_does_not_keep_the_code_in_the_address()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _bed.Wix.CreateSite("One").InstanceId);

        TestBrowser.LocationOf(await _browser.GetAsync(new Uri($"{redirect}&problem=rejected")));
    }

    [Theory]
    [InlineData("%20%20", "bad_request")]
    [InlineData("a%20b", "bad_request")]
    [InlineData("a%C3%A9", "bad_request")]
    [InlineData("a%00", "bad_request")]
    [InlineData("a%7F", "bad_request")]
    [InlineData("", "not_consented")]
    [InlineData("7901", "bad_request")]
    public async Task A_code_that_cannot_be_one_is_refused_before_any_write(string code, string outcome)
    {
        var query = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _bed.Wix.CreateSite("One").InstanceId));

        using var refusal = await _browser.GetAsync(
            new Uri($"{_bed.Api}redirect?code={(code == "7901" ? new string('c', 7_901) : code)}&state={query["state"]}&instanceId={query["instanceId"]}"));

        Assert.Equal($"/api/redirect?problem={outcome}", refusal.Headers.Location?.OriginalString);
        Assert.Empty(await _bed.RowsAsync());
        Assert.Equal(0, _bed.Wix.Control.Counts.Calls["access"]);
    }

    [Fact]
    public async Task App_id_and_instance_id_are_compared_without_case()
    {
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Wix__AppId", "AAAAAAAA-2222-4333-8444-BBBBBBBBBBBB"));
        var site = bed.Wix.CreateInstall("One");
        bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = 200, Body = $$"""{"access_token":"a","refresh_token":"r"}""" });
        bed.Wix.Control.Fail(
            PretendWixEndpoints.TokenInfo,
            new PretendWixFault { Status = 200, Body = $$"""{"active":"true","clientId":"aaaaaaaa-2222-4333-8444-bbbbbbbbbbbb","instanceId":"{{site.InstanceId.ToString().ToUpperInvariant()}}"}""" });
        bed.Wix.Control.Fail(PretendWixEndpoints.Instance, new PretendWixFault { Status = 500 });
        var state = TestBed.QueryOf(TestBrowser.LocationOf(await _browser.GetAsync(new Uri(bed.Api, "install"))))["state"];

        var close = TestBrowser.LocationOf(await _browser.GetAsync(new Uri(bed.Api, $"redirect?code=c&state={state}&instanceId={site.InstanceId.ToString().ToUpperInvariant()}")));

        Assert.EndsWith("/close-window", close.AbsolutePath, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bad_request_leaves_no_code_and_no_key_in_the_logs()
    {
        foreach (var request in new[]
        {
            "GET /api/redirect?code=s3cret-in-a-bad-request HTTP/9.9\r\nHost: x\r\n\r\n",
            "GET /api/redirect?code=s3cret-in-a-bad-request\u0001 HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /api/redirect?code=s3cret-in-a-bad-request HTTP/1.1\r\nHost: x\r\nx-functions-key s3cret-in-a-bad-request\r\n\r\n",
            "GET  /api/redirect?code=s3cret-in-a-bad-request HTTP/1.1\r\n\r\n",
            "GET /api/redirect?code=s3cret-in-a-bad-request\r\n\r\n",
        })
        {
            await RawHttp.SendAsync(_bed.Host.Url, Encoding.Latin1.GetBytes(request), endsThere: true);
        }

        await _bed.GetTokenAsync(Guid.NewGuid());
        Assert.DoesNotContain("s3cret-in-a-bad-request", _bed.Logs.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_site_that_was_renamed_has_its_new_name_within_a_day()
    {
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Tokens__IdleAfter", "00:00:00"));
        var id = await bed.InstallAsync("Old name");
        bed.Wix.Control.Fail(
            PretendWixEndpoints.Instance,
            new PretendWixFault
            {
                Status = 200,
                Body = $$$"""{"instance":{"instanceId":"{{{id}}}","appVersion":"3.0.0"},"site":{"siteId":"s","siteDisplayName":"New name","url":"https://new.example/"}}""",
            });
        var asked = bed.Wix.Control.Counts.Calls["instance"];

        bed.Clock.Advance(TimeSpan.FromHours(24));
        await bed.SweepAsync();

        var instance = await bed.GetInstanceAsync(id);
        Assert.Equal(
            ("New name", "https://new.example/", "3.0.0"),
            (instance.GetProperty("site").GetProperty("name").GetString(), instance.GetProperty("site").GetProperty("url").GetString(), instance.GetProperty("app_version").GetString()));
        for (var minute = 0; minute < 30; minute += 4)
        {
            bed.Clock.Advance(TimeSpan.FromMinutes(4));
            await bed.GetTokenAsync(id);
            await bed.SweepAsync();
        }

        Assert.InRange(bed.Wix.Control.Counts.Calls["instance"] - asked, 1, 2);
    }
}
