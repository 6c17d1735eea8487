using System.Net;
using System.Text.Json;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>What goes well: installs of every kind, and what the browser and Wix get to see of them.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class InstallTests(AzuriteFixture azurite) : IAsyncLifetime
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
    public async Task The_App_URL_sends_the_browser_on_to_the_consent_page_with_everything_encoded()
    {
        const string token = "a+b/c=d&e f%g#h?i;ü€😀";

        using var response = await _browser.GetAsync(new Uri(_bed.Api, $"install?token={Uri.EscapeDataString(token)}"));

        var consent = TestBrowser.LocationOf(response);
        Assert.Equal(_bed.Wix.InstallerUrl + "/install", consent.GetLeftPart(UriPartial.Path));
        var query = TestBed.QueryOf(consent);
        Assert.Equal(["appId", "redirectUrl", "state", "token"], query.Keys.Order(StringComparer.Ordinal));
        Assert.Equal((token, TestBed.AppId, _bed.Wix.RedirectUrl!.ToString()), (query["token"], query["appId"], query["redirectUrl"]));
        Assert.InRange(query["state"].Length, 40, 199);
        Assert.Equal("unsafe-none", TestBed.Header(response, "Cross-Origin-Opener-Policy"));
        Assert.Null(TestBed.Header(response, "X-Frame-Options"));
        TestBed.AssertCommonHeaders(response);

        var cookie = TestBed.Header(response, "Set-Cookie")!;
        Assert.Matches("^__Host-wix-install-[0-9a-f]{16}=[A-Za-z0-9_-]+; max-age=600; path=/; secure; samesite=none; httponly; Partitioned$", cookie);
    }

    [Theory]
    [InlineData("install")]
    [InlineData("install?token=")]
    public async Task Without_a_token_none_is_sent_on(string path)
    {
        using var response = await _browser.GetAsync(new Uri(_bed.Api, path));

        Assert.Equal(["appId", "redirectUrl", "state"], TestBed.QueryOf(TestBrowser.LocationOf(response)).Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task The_App_URL_asks_neither_the_storage_nor_Wix()
    {
        await using var bed = await TestBed.StartWithoutStorageAsync(azurite);

        using var response = await _browser.GetAsync(new Uri(bed.Api, "install?token=t"));

        TestBrowser.LocationOf(response);
        Assert.All(bed.Wix.Control.Counts.Calls, endpoint => Assert.Equal(0, endpoint.Value));
    }

    [Fact]
    public async Task An_install_ends_with_saved_tokens_a_closed_window_and_a_completed_set_up()
    {
        var site = _bed.Wix.CreateSite("Ann's <Café>");
        var redirect = await _bed.WalkToRedirectAsync(_browser, site.InstanceId);
        var startedAt = _bed.Clock.GetUtcNow();

        using var response = await _browser.GetAsync(redirect);

        var close = TestBrowser.LocationOf(response);
        Assert.Equal(_bed.Wix.InstallerUrl + "/close-window", close.GetLeftPart(UriPartial.Path));
        Assert.Equal("unsafe-none", TestBed.Header(response, "Cross-Origin-Opener-Policy"));
        TestBed.AssertCommonHeaders(response);
        using var closed = await _browser.GetAsync(close);
        Assert.Equal(HttpStatusCode.OK, closed.StatusCode);

        using var answer = await _bed.GetTokenAsync(site.InstanceId);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        TestBed.AssertCommonHeaders(answer);
        var token = await TestBed.ReadJsonAsync(answer);
        Assert.Equal(["access_token", "expires_in", "expires_on", "instance_id"], token.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal));
        Assert.Equal(TestBed.QueryOf(close)["access_token"], token.GetProperty("access_token").GetString());
        Assert.Equal(site.InstanceId.ToString(), token.GetProperty("instance_id").GetString());
        var (now, expiresOn) = (_bed.Clock.GetUtcNow(), token.GetProperty("expires_on").GetDateTimeOffset());
        Assert.InRange(token.GetProperty("expires_in").GetInt32(), 290 - (now - startedAt).TotalSeconds, 300);
        Assert.InRange(expiresOn, startedAt.AddSeconds(290), now.AddSeconds(300));

        await _bed.SettleAsync();
        Assert.Equal(1, _bed.Wix.Control.Counts.Calls["bi-event"]);
        var instance = await _bed.GetInstanceAsync(site.InstanceId);
        Assert.Equal(
            ("active", "refresh_token", "Ann's <Café>"),
            (instance.GetProperty("status").GetString(), instance.GetProperty("grant").GetString(), instance.GetProperty("site").GetProperty("name").GetString()));
        Assert.Equal(JsonValueKind.String, instance.GetProperty("setup_completed_at").ValueKind);
        Assert.Equal(1, instance.GetProperty("token").GetProperty("generation").GetInt32());
        Assert.True(_bed.Wix.GetSite(site.InstanceId).SetupComplete);
    }

    [Fact]
    public async Task A_code_of_7500_characters_is_accepted()
    {
        _bed.Wix.Control.Switches = _bed.Wix.Control.Switches with { CodeLength = 7_500 };

        await _bed.InstallAsync();
    }

    [Fact]
    public async Task Two_installs_in_two_tabs_do_not_disturb_each_other()
    {
        var (one, two) = (_bed.Wix.CreateSite("One"), _bed.Wix.CreateSite("Two"));
        var first = await _bed.WalkToRedirectAsync(_browser, one.InstanceId);
        var second = await _bed.WalkToRedirectAsync(_browser, two.InstanceId);

        TestBrowser.LocationOf(await _browser.GetAsync(second));
        TestBrowser.LocationOf(await _browser.GetAsync(first));

        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(one.InstanceId)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(two.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task A_browser_keeps_a_bounded_number_of_cookies_the_newest()
    {
        for (var i = 0; i < 20; i++)
        {
            TestBrowser.LocationOf(await _browser.GetAsync(new Uri(_bed.Api, "install")));
            Assert.InRange(_browser.Cookies.Count, 1, 12);
        }

        var site = _bed.Wix.CreateSite("One");
        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, site.InstanceId)));
    }

    [Fact]
    public async Task Broken_cookies_with_our_names_are_removed_and_other_cookies_left_alone()
    {
        _browser.Cookies["__Host-wix-install-0123456789abcdef"] = "rubbish";
        _browser.Cookies["__Host-wix-install-other"] = "rubbish";
        _browser.Cookies["unrelated"] = "kept";

        await _browser.GetAsync(new Uri(_bed.Api, "install"));

        Assert.False(_browser.Cookies.ContainsKey("__Host-wix-install-0123456789abcdef"));
        Assert.True(_browser.Cookies.ContainsKey("unrelated"));
    }

    [Fact]
    public async Task A_restart_between_App_URL_and_redirect_does_no_harm()
    {
        var site = _bed.Wix.CreateSite("One");
        var redirect = await _bed.WalkToRedirectAsync(_browser, site.InstanceId);

        await _bed.RestartAsync();

        TestBrowser.LocationOf(await _browser.GetAsync(redirect));
        await _bed.RestartAsync();
        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(site.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task A_reload_gets_the_same_answer_while_the_token_lives_and_never_spends_the_code_again()
    {
        var site = _bed.Wix.CreateSite("One");
        var redirect = await _bed.WalkToRedirectAsync(_browser, site.InstanceId);
        var first = TestBrowser.LocationOf(await _browser.GetAsync(redirect));

        Assert.Equal(first, TestBrowser.LocationOf(await _browser.GetAsync(redirect)));

        _bed.Clock.Advance(TimeSpan.FromMinutes(6));
        using var late = await _browser.GetAsync(redirect);
        Assert.Equal(HttpStatusCode.OK, late.StatusCode);
        var page = await late.Content.ReadAsStringAsync();
        Assert.Contains("You are connected", page, StringComparison.Ordinal);
        Assert.DoesNotContain("One", page, StringComparison.Ordinal);
        Assert.DoesNotContain(site.InstanceId.ToString(), page, StringComparison.Ordinal);
        Assert.Equal(1, _bed.Wix.Control.Counts.Grants["authorization_code"]);
    }

    [Fact]
    public async Task A_reload_that_aborts_the_first_load_waits_for_its_end()
    {
        var site = _bed.Wix.CreateSite("One");
        var redirect = await _bed.WalkToRedirectAsync(_browser, site.InstanceId);
        var (exchanging, gate) = Gate(PretendWixEndpoints.Access);
        using var leaving = new CancellationTokenSource();
        var first = _browser.GetAsync(redirect, leaving.Token);
        await exchanging;

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        var second = _browser.GetAsync(redirect);
        gate.SetResult();

        Assert.EndsWith("/close-window", TestBrowser.LocationOf(await second).AbsolutePath, StringComparison.Ordinal);
        Assert.Equal(1, _bed.Wix.Control.Counts.Grants["authorization_code"]);
        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(site.InstanceId)).StatusCode);
    }

    [Fact]
    public async Task An_upgrade_replaces_the_tokens_and_keeps_the_set_up()
    {
        var id = await _bed.InstallAsync();
        var before = await _bed.GetInstanceAsync(id);

        using var browser = new TestBrowser();
        TestBrowser.LocationOf(await browser.GetAsync(await _bed.WalkToRedirectAsync(browser, id)));
        await _bed.SettleAsync();

        var after = await _bed.GetInstanceAsync(id);
        Assert.Equal(2, after.GetProperty("token").GetProperty("generation").GetInt32());
        Assert.Equal(before.GetProperty("setup_completed_at").GetString(), after.GetProperty("setup_completed_at").GetString());
        Assert.Equal(before.GetProperty("installed_at").GetString(), after.GetProperty("installed_at").GetString());
        Assert.Equal(1, _bed.Wix.Control.Counts.Calls["bi-event"]);
        _bed.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(id)).StatusCode);
    }

    [Fact]
    public async Task Get_App_Instance_confirms_the_instance_when_token_info_is_down()
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.TokenInfo, new PretendWixFault { Status = 500 });

        var id = await _bed.InstallAsync();

        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(id)).StatusCode);
    }

    [Fact]
    public async Task Without_Get_App_Instance_only_the_name_of_the_site_is_missing()
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.Instance, new PretendWixFault { Status = 500 });

        var id = await _bed.InstallAsync();

        Assert.Equal(JsonValueKind.Null, (await _bed.GetInstanceAsync(id)).GetProperty("site").ValueKind);
    }

    [Fact]
    public async Task A_name_that_is_too_long_is_not_cut_within_a_character()
    {
        var letters = new string('x', 999);

        var id = await _bed.InstallAsync($"{letters}😀 and so on");

        Assert.Equal(letters, (await _bed.GetInstanceAsync(id)).GetProperty("site").GetProperty("name").GetString());
    }

    [Fact]
    public async Task A_set_up_event_that_fails_breaks_no_install_and_is_sent_again_by_the_sweep()
    {
        _bed.Wix.Control.Fail(PretendWixEndpoints.BiEvent, new PretendWixFault { Status = 500 });
        var id = await _bed.InstallAsync();
        Assert.Equal(JsonValueKind.Null, (await _bed.GetInstanceAsync(id)).GetProperty("setup_completed_at").ValueKind);

        _bed.Clock.Advance(TimeSpan.FromMinutes(2));
        await _bed.SweepAsync();
        Assert.Equal(JsonValueKind.Null, (await _bed.GetInstanceAsync(id)).GetProperty("setup_completed_at").ValueKind);

        _bed.Wix.Control.Heal(PretendWixEndpoints.BiEvent);
        _bed.Clock.Advance(TimeSpan.FromMinutes(3));
        await _bed.SweepAsync();
        Assert.Equal(JsonValueKind.String, (await _bed.GetInstanceAsync(id)).GetProperty("setup_completed_at").ValueKind);

        var calls = _bed.Wix.Control.Counts.Calls["bi-event"];
        _bed.Clock.Advance(TimeSpan.FromMinutes(10));
        await _bed.SweepAsync();
        Assert.Equal(calls, _bed.Wix.Control.Counts.Calls["bi-event"]);
    }

    [Fact]
    public async Task The_window_is_closed_before_the_set_up_event_is_answered()
    {
        var (sending, gate) = Gate(PretendWixEndpoints.BiEvent);
        var site = _bed.Wix.CreateSite("One");

        TestBrowser.LocationOf(await _browser.GetAsync(await _bed.WalkToRedirectAsync(_browser, site.InstanceId)));

        await sending;
        gate.SetResult();
    }

    [Theory]
    [InlineData("ByApp", 1)]
    [InlineData("Never", 1)]
    [InlineData("OnInstall", 1)]
    public async Task Set_up_is_completed_when_the_setting_says(string mode, int afterCompleteSetup)
    {
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, ("Wix__SetupCompletion", mode));
        var id = await bed.InstallAsync();
        Assert.Equal(mode == "OnInstall" ? 1 : 0, bed.Wix.Control.Counts.Calls["bi-event"]);

        Assert.Equal(HttpStatusCode.NoContent, (await bed.CallAsync(HttpMethod.Post, $"instances/{id}/setup")).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await bed.CallAsync(HttpMethod.Post, $"instances/{id}/setup")).StatusCode);

        Assert.Equal(afterCompleteSetup, bed.Wix.Control.Counts.Calls["bi-event"]);
        Assert.Equal(JsonValueKind.String, (await bed.GetInstanceAsync(id)).GetProperty("setup_completed_at").ValueKind);
    }

    private (Task Reached, TaskCompletionSource Gate) Gate(string endpoint)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _bed.Wix.Control.Gate = (name, cancellationToken) =>
        {
            if (name != endpoint)
            {
                return Task.CompletedTask;
            }

            reached.TrySetResult();
            return gate.Task.WaitAsync(cancellationToken);
        };
        return (reached.Task, gate);
    }
}
