using System.Net;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Every way an install can go wrong: what the browser gets to see, and that nothing is saved or spent.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class InstallErrorTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private readonly TestBrowser _browser = new();
    private TestBed _bed = null!;
    private PretendSite _site = null!;

    public async Task InitializeAsync()
    {
        _bed = await TestBed.StartAsync(azurite);
        _site = _bed.Wix.CreateSite("Ann's Café");
    }

    public async Task DisposeAsync()
    {
        _browser.Dispose();
        await _bed.DisposeAsync();
    }

    public static TheoryData<string, string?> HostileValues() => new()
    {
        { "markup", "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>" },
        { "line breaks", "a\r\nSet-Cookie: x=y\r\n\r\n<html>" },
        { "NUL", "a\0b" },
        { "lone surrogate, as UTF-8", "%ED%A0%80" },
        { "64 KiB", new string('x', 64 * 1024) },
        { "nothing", "" },
        { "spaces", "   " },
        { "not ASCII", "ünï😀" },
    };

    [Theory]
    [MemberData(nameof(HostileValues))]
    public async Task A_hostile_state_gets_the_page_to_start_again(string name, string? value)
    {
        using var response = await _browser.GetAsync(Redirect(code: "c", state: Encode(name, value!), instanceId: _site.InstanceId.ToString()));

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Theory]
    [MemberData(nameof(HostileValues))]
    public async Task A_hostile_instance_id_gets_a_page(string name, string? value)
    {
        var good = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));

        using var response = await _browser.GetAsync(Redirect(Uri.EscapeDataString(good["code"]), good["state"], Encode(name, value!)));

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Theory]
    [MemberData(nameof(HostileValues))]
    public async Task A_hostile_code_gets_a_page(string name, string? value)
    {
        var good = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));

        using var response = await _browser.GetAsync(Redirect(Encode(name, value!), good["state"], good["instanceId"]));

        await AssertPageAsync(response, 400, startsAgain: true);
        Assert.Equal(HttpStatusCode.NotFound, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);
    }

    [Theory]
    [MemberData(nameof(HostileValues))]
    public async Task A_hostile_App_URL_token_is_passed_on_encoded_or_gets_a_page(string name, string? value)
    {
        using var response = await _browser.GetAsync(new Uri($"{_bed.Api}install?token={Encode(name, value!)}"));

        if (name == "64 KiB")
        {
            await AssertPageAsync(response, 400, startsAgain: true);
            return;
        }

        var query = TestBed.QueryOf(TestBrowser.LocationOf(response));
        Assert.Equal(value is "" ? null : value, query.GetValueOrDefault("token"));
        Assert.True(query.Keys.All(key => key is "token" or "appId" or "redirectUrl" or "state"));
    }

    [Theory]
    [InlineData("token=a&token=b")]
    [InlineData("token=&token=")]
    [InlineData("start=a&start=b")]
    [InlineData("start=forged")]
    [InlineData("start=%00")]
    public async Task A_bad_App_URL_gets_a_page(string query)
    {
        using var response = await _browser.GetAsync(new Uri($"{_bed.Api}install?{query}"));

        await AssertPageAsync(response, 400, startsAgain: query.StartsWith("token", StringComparison.Ordinal));
        Assert.Empty(_browser.Cookies);
    }

    [Theory]
    [InlineData("code")]
    [InlineData("state")]
    [InlineData("instanceId")]
    [InlineData("error")]
    public async Task A_repeated_parameter_gets_a_page(string name)
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);

        using var response = await _browser.GetAsync(new Uri($"{redirect}&{name}=x&{name}=y"));

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Theory]
    [InlineData("code")]
    [InlineData("state")]
    [InlineData("instanceId")]
    public async Task A_missing_parameter_gets_a_page(string name)
    {
        var query = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));
        query.Remove(name);

        using var response = await _browser.GetAsync(new Uri($"{_bed.Api}redirect?{string.Join('&', query.Select(pair => $"{pair.Key}={Uri.EscapeDataString(pair.Value)}"))}"));

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_owner_who_cancels_gets_a_page(bool sendsError)
    {
        _bed.Wix.Control.Switches = _bed.Wix.Control.Switches with { CancelSendsError = sendsError };
        var appUrl = TestBrowser.LocationOf(await _browser.GetAsync(new Uri(_bed.Wix.Url, $"/sites/{_site.InstanceId}/open")));
        var consent = TestBrowser.LocationOf(await _browser.GetAsync(appUrl));
        var back = TestBrowser.LocationOf(await _browser.PostAsync(consent, ("decision", "cancel")));

        using var response = await _browser.GetAsync(back);

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task An_error_wins_over_a_code()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);

        using var response = await _browser.GetAsync(new Uri($"{redirect}&error=access_denied&error_description=%3Cb%3Eno"));

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task A_state_of_another_browser_is_refused()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);
        using var other = new TestBrowser();
        await _bed.WalkToRedirectAsync(other, _bed.Wix.CreateSite("Other").InstanceId);

        using var response = await other.GetAsync(redirect);

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task States_swapped_between_two_installs_of_one_browser_still_name_the_instance_that_Wix_confirms()
    {
        var mine = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));
        var other = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _bed.Wix.CreateSite("Other").InstanceId));

        TestBrowser.LocationOf(await _browser.GetAsync(Redirect(Uri.EscapeDataString(mine["code"]), other["state"], mine["instanceId"])));

        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await _bed.GetTokenAsync(Guid.Parse(other["instanceId"]))).StatusCode);
    }

    [Fact]
    public async Task A_cookie_moved_to_another_name_binds_nothing()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);
        var (name, _) = _browser.Cookies.Single();
        using var other = new TestBrowser();
        await other.GetAsync(new Uri(_bed.Api, "install"));
        other.Cookies[name] = other.Cookies.Single().Value;

        using var response = await other.GetAsync(redirect);

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task A_truncated_or_changed_state_is_refused()
    {
        var query = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));
        var state = query["state"];
        var code = Uri.EscapeDataString(query["code"]);
        foreach (var forged in new[] { state[..^1], state[1..], state + "A", state[..20], state[..^1] + (state[^1] == 'A' ? 'B' : 'A'), (state[0] == 'B' ? "C" : "B") + state[1..] })
        {
            using var response = await _browser.GetAsync(Redirect(code, forged, query["instanceId"]));
            await AssertPageAsync(response, 400, startsAgain: true);
        }

        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task A_state_is_good_for_ten_minutes()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);
        _bed.Clock.Advance(TimeSpan.FromMinutes(10) + TimeSpan.FromSeconds(1));

        using var response = await _browser.GetAsync(redirect);

        await AssertPageAsync(response, 400, startsAgain: true);
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task A_state_of_a_program_with_another_key_is_refused()
    {
        await using var other = await TestBed.StartAsync(
            azurite, overrides: null, ("Tokens__ProtectionKey", Convert.ToBase64String(new byte[32])), ("Wix__InstallerUrl", _bed.Wix.InstallerUrl.ToString()));
        var consent = TestBrowser.LocationOf(await _browser.GetAsync(new Uri(other.Api, "install")));

        using var response = await _browser.GetAsync(Redirect("c", TestBed.QueryOf(consent)["state"], _site.InstanceId.ToString()));

        await AssertPageAsync(response, 400, startsAgain: true);
    }

    [Fact]
    public async Task A_state_used_again_with_another_code_or_instance_is_refused()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);
        var query = TestBed.QueryOf(redirect);
        TestBrowser.LocationOf(await _browser.GetAsync(redirect));

        using var otherCode = await _browser.GetAsync(
            Redirect(Uri.EscapeDataString(_bed.Wix.IssueCode(_site.InstanceId)), query["state"], query["instanceId"]));
        await AssertPageAsync(otherCode, 400, startsAgain: true);
        using var otherInstance = await _browser.GetAsync(Redirect(Uri.EscapeDataString(query["code"]), query["state"], Guid.NewGuid().ToString()));
        await AssertPageAsync(otherInstance, 400, startsAgain: true);
        Assert.Equal(1, _bed.Wix.Control.Counts.Grants["authorization_code"]);
    }

    [Fact]
    public async Task Many_uses_of_one_state_at_once_spend_one_code()
    {
        var query = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));
        var codes = Enumerable.Range(0, 20).Select(_ => Uri.EscapeDataString(_bed.Wix.IssueCode(_site.InstanceId))).ToList();

        var responses = await Task.WhenAll(codes.Select(async code =>
        {
            using var browser = _browser.Clone();
            return await browser.GetAsync(Redirect(code, query["state"], query["instanceId"]));
        }));

        Assert.Single(responses, response => response.StatusCode == HttpStatusCode.Redirect);
        Assert.Equal(1, _bed.Wix.Control.Counts.Grants["authorization_code"]);
    }

    [Fact]
    public async Task A_code_for_one_instance_saves_nothing_under_another()
    {
        var victim = await _bed.InstallAsync("Victim");
        var before = await _bed.GetInstanceAsync(victim);
        var query = TestBed.QueryOf(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));

        using var response = await _browser.GetAsync(Redirect(Uri.EscapeDataString(query["code"]), query["state"], victim.ToString()));

        await AssertPageAsync(response, 400, startsAgain: true);
        Assert.Equal(before.GetRawText(), (await _bed.GetInstanceAsync(victim)).GetRawText());
        Assert.Equal(HttpStatusCode.NotFound, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task A_token_of_another_app_saves_nothing()
    {
        await using var other = await TestBed.StartAsync(azurite, overrides: null, ("Wix__AppId", "99999999-2222-4333-8444-555555555555"));
        var consent = TestBrowser.LocationOf(await _browser.GetAsync(new Uri(other.Api, "install")));
        other.Wix.Control.Fail(
            PretendWixEndpoints.Access,
            new PretendWixFault { Status = 200, Body = $$"""{"access_token":"{{other.Wix.IssueAccessToken(other.Wix.CreateInstall("x").InstanceId)}}","refresh_token":"r"}""" });

        using var response = await _browser.GetAsync(
            new Uri($"{other.Api}redirect?code=c&state={TestBed.QueryOf(consent)["state"]}&instanceId={other.Wix.Sites[^1].InstanceId}"));

        await AssertPageAsync(response, 400, startsAgain: true);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(404)]
    public async Task A_code_that_Wix_rejects_gets_a_page_and_so_does_its_reload(int status)
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = status, Times = 1 });
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);

        using var response = await _browser.GetAsync(redirect);
        await AssertPageAsync(response, 400, startsAgain: true);
        using var again = await _browser.GetAsync(redirect);
        await AssertPageAsync(again, 400, startsAgain: true);

        Assert.Equal(1, _bed.Wix.Control.Counts.Calls["access"]);
        Assert.Equal(HttpStatusCode.NotFound, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);
    }

    [Theory]
    [InlineData(PretendWixFaultKind.Status, 500, 1)]
    [InlineData(PretendWixFaultKind.Status, 503, 3)]
    [InlineData(PretendWixFaultKind.Status, 429, 3)]
    [InlineData(PretendWixFaultKind.ResetBefore, 200, 1)]
    [InlineData(PretendWixFaultKind.ResetAfter, 200, 1)]
    [InlineData(PretendWixFaultKind.MalformedJson, 200, 1)]
    [InlineData(PretendWixFaultKind.MissingFields, 200, 1)]
    [InlineData(PretendWixFaultKind.Redirect, 302, 1)]
    public async Task Wix_failing_gets_a_page_and_starting_again_works(PretendWixFaultKind kind, int status, int calls)
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Kind = kind, Status = status });
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);

        using var response = await _browser.GetAsync(redirect);

        await AssertPageAsync(response, 502, startsAgain: true);
        Assert.Equal(calls, _bed.Wix.Control.Counts.Calls["access"]);
        Assert.Equal(0, _bed.Wix.Control.Counts.Elsewhere);
        Assert.Equal(HttpStatusCode.NotFound, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);

        _bed.Wix.Control.Heal(PretendWixEndpoints.Access);
        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId)));
    }

    [Fact]
    public async Task A_short_fault_that_spent_nothing_does_not_fail_the_install()
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Status = 503, Times = 1 });

        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId)));
    }

    [Theory]
    [InlineData(BodyForm.ByteOrderMark)]
    [InlineData(BodyForm.Utf16)]
    [InlineData(BodyForm.Gzip)]
    [InlineData(BodyForm.Deflate)]
    [InlineData(BodyForm.Brotli)]
    public async Task A_body_in_an_unexpected_encoding_is_read(BodyForm form)
    {
        _bed.Wix.Control.Switches = _bed.Wix.Control.Switches with { BodyForm = form };

        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId)));
        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task A_token_that_is_inactive_once_installs()
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.TokenInfo, new PretendWixFault { Status = 200, Body = """{"active":"false"}""", Times = 1 });

        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId)));
    }

    [Fact]
    public async Task Nothing_is_saved_where_Wix_contradicts_itself_about_the_instance()
    {
        _bed.Wix.Control.Fail(
            PretendWixEndpoints.Instance, new PretendWixFault { Status = 200, Body = $$$"""{"instance":{"instanceId":"{{{Guid.NewGuid()}}}"}}""" });

        using var response = await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));

        await AssertPageAsync(response, 400, startsAgain: true);
        Assert.Equal(HttpStatusCode.NotFound, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task An_unconfirmed_instance_is_not_saved()
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.TokenInfo, new PretendWixFault { Status = 500 });
        _bed.Wix.Control.Fail(PretendWixEndpoints.Instance, new PretendWixFault { Status = 500 });

        using var response = await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, _site.InstanceId));

        await AssertPageAsync(response, 502, startsAgain: true);
        Assert.Equal(HttpStatusCode.NotFound, (await _bed.GetTokenAsync(_site.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task A_code_is_not_spent_while_the_storage_is_down()
    {
        var redirect = await _bed.WalkToRedirectAsync(_browser, _site.InstanceId);
        await using var other = await TestBed.StartWithoutStorageAsync(azurite);

        using var response = await _browser.GetAsync(new Uri(other.Api, $"redirect{redirect.Query}"));

        await AssertPageAsync(response, 503, startsAgain: true);
        Assert.Equal(0, other.Wix.Control.Counts.Calls["access"]);
        Assert.DoesNotContain(_bed.Wix.Control.Calls, call => call.Endpoint == PretendWixEndpoints.Access);
    }

    private static string Encode(string name, string value) => name.StartsWith("lone", StringComparison.Ordinal) ? value : Uri.EscapeDataString(value);

    private Uri Redirect(string code, string state, string instanceId) => new($"{_bed.Api}redirect?code={code}&state={state}&instanceId={instanceId}");

    private static async Task AssertPageAsync(HttpResponseMessage refusal, int status, bool startsAgain)
    {
        var response = await TestBrowser.FollowRefusalAsync(refusal);
        if (refusal.RequestMessage!.RequestUri!.OriginalString.Length > 8_000)
        {
            // The server's answer, as that of the front end in Azure: it never comes to us.
            Assert.Equal(HttpStatusCode.RequestUriTooLong, response.StatusCode);
            return;
        }

        var page = await response.Content.ReadAsStringAsync();
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("text/html", response.Content.Headers.ContentType?.MediaType);
        Assert.Equal("unsafe-none", TestBed.Header(response, "Cross-Origin-Opener-Policy"));
        Assert.Null(TestBed.Header(response, "X-Frame-Options"));
        Assert.DoesNotContain("frame-ancestors", TestBed.Header(response, "Content-Security-Policy"), StringComparison.Ordinal);
        Assert.StartsWith("default-src 'none'; style-src 'sha256-", TestBed.Header(response, "Content-Security-Policy"), StringComparison.Ordinal);
        TestBed.AssertCommonHeaders(response);
        Assert.Contains("<html lang=\"en\">", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(startsAgain, page.Contains("""<a class="go" href="/api/install" target="_blank" rel="noopener">""", StringComparison.Ordinal));
        Assert.DoesNotContain("Ann", page, StringComparison.Ordinal);
    }

    private async Task AssertNothingHappenedAsync()
    {
        Assert.Equal(0, _bed.Wix.Control.Counts.Calls["access"]);
        Assert.Empty(await _bed.RowsAsync());
    }
}
