using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Web;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.PretendWix;

/// <summary>The pretend Wix, over real HTTP: what all other tests lean on.</summary>
public sealed class PretendWixTests : IAsyncLifetime, IDisposable
{
    private const string AppId = "b7d1e0f2-app";
    private const string AppSecret = "the app's secret";
    private const string HostileName = "<script>alert('1')</script>\"&\r\n<img src=x>";

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2025, 3, 1, 12, 0, 0, TimeSpan.Zero));
    private readonly TemporaryFolder _folder = new();
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });
    private readonly CancellationTokenSource _patience = new(TimeSpan.FromMinutes(5));
    private PretendWixServer _wix = null!;

    private string StateFile => Path.Combine(_folder.Path, "deep", "wix.json");

    private CancellationToken Patience => _patience.Token;

    public async Task InitializeAsync() => _wix = await StartAsync();

    public async Task DisposeAsync() => await _wix.DisposeAsync();

    public void Dispose()
    {
        _http.Dispose();
        _patience.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task An_owner_installs_with_a_browser_and_the_app_sets_itself_up()
    {
        var site = _wix.CreateSite("Rosemary");

        var toApp = await SubmitAsync(new Uri(_wix.Url, $"sites/{site.InstanceId}/add"));
        Assert.Equal(HttpStatusCode.Found, toApp.StatusCode);
        Assert.StartsWith("https://app.example/install?token=", toApp.Headers.Location!.OriginalString, StringComparison.Ordinal);
        var token = Query(toApp)["token"]!;
        Assert.All("+/=&%#?", character => Assert.Contains(character, token));

        var consent = InstallUrl(token, "a state&more");
        var page = await _http.GetAsync(consent, Patience);
        var html = await page.Content.ReadAsStringAsync(Patience);
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
        Assert.Contains("Agree &amp; Add", html, StringComparison.Ordinal);
        Assert.Contains("Pretend Wix", html, StringComparison.Ordinal);
        AssertShowsNo(token, html);

        var back = await SubmitAsync(consent, ("decision", "agree"));
        Assert.Equal(HttpStatusCode.Found, back.StatusCode);
        Assert.StartsWith("https://app.example/redirect?code=OAUTH2.", back.Headers.Location!.OriginalString, StringComparison.Ordinal);
        Assert.Equal("a state&more", Query(back)["state"]);
        Assert.Equal(site.InstanceId.ToString(), Query(back)["instanceId"]);
        var code = Query(back)["code"]!;
        Assert.InRange(code.Length, 1_390, 1_400);

        var tokens = await ExchangeAsync(code);
        Assert.Null(tokens["expires_in"]);
        var access = Text(tokens, "access_token");
        var refreshed = await OkAsync(await RefreshAsync(Text(tokens, "refresh_token")));
        Assert.Equal(Text(tokens, "refresh_token"), Text(refreshed, "refresh_token"));
        Assert.NotEqual(access, Text(refreshed, "access_token"));

        var info = await OkAsync(await PostAsync("oauth2/token-info", new { token = access }));
        Assert.Equal("true", Text(info, "active"));
        Assert.Equal(AppId, Text(info, "clientId"));
        Assert.Equal(site.InstanceId.ToString(), Text(info, "instanceId"));
        Assert.Equal(site.SiteId.ToString(), Text(info, "siteId"));
        Assert.Equal(_time.GetUtcNow().AddMinutes(5).ToUnixTimeSeconds().ToString(), Text(info, "exp"));

        var instance = await OkAsync(await CallAsync(HttpMethod.Get, "apps/v1/instance", access));
        Assert.Equal(site.InstanceId.ToString(), Text(instance["instance"]!, "instanceId"));
        Assert.Equal("Rosemary", Text(instance["site"]!, "siteDisplayName"));

        var closing = new Uri($"{_wix.InstallerUrl}/close-window?access_token={Uri.EscapeDataString(access)}");
        Assert.Contains("Setup incomplete", await _http.GetStringAsync(closing, Patience), StringComparison.Ordinal);
        var reported = await CallAsync(HttpMethod.Post, "apps/v1/bi-event", access, new { eventName = "APP_FINISHED_CONFIGURATION" });
        Assert.Equal("{}", await reported.Content.ReadAsStringAsync(Patience));
        Assert.True(_wix.GetSite(site.InstanceId).SetupComplete);
        var closed = await _http.GetStringAsync(closing, Patience);
        Assert.Contains("Setup complete", closed, StringComparison.Ordinal);
        AssertShowsNo(access, closed);
        AssertShowsNo(access, await _http.GetStringAsync(_wix.Url, Patience));

        Assert.Superset(
            new HashSet<string> { token, code, access, Text(tokens, "refresh_token"), Text(refreshed, "access_token") },
            _wix.Control.IssuedSecrets.ToHashSet());
        Assert.Equal(
            ["access", "access", "token-info", "instance", "close-window", "bi-event", "close-window"],
            _wix.Control.Calls.Select(call => call.Endpoint));
        Assert.Equal("APP_FINISHED_CONFIGURATION", _wix.Control.Calls[5].Detail);
    }

    [Fact]
    public async Task Without_a_token_the_owner_first_chooses_a_site_and_an_absent_state_comes_back_empty()
    {
        var site = _wix.CreateSite("Chosen");
        var html = await _http.GetStringAsync(InstallUrl(token: null, state: null), Patience);
        var href = HttpUtility.HtmlDecode(html.Split("href=\"").Select(part => part.Split('"')[0])
            .Single(part => part.EndsWith(site.InstanceId.ToString(), StringComparison.Ordinal)));

        var back = await SubmitAsync(new Uri(_wix.Url, href), ("decision", "agree"));

        Assert.Equal("", Query(back)["state"]);
        Assert.Equal(site.InstanceId.ToString(), Query(back)["instanceId"]);

        _wix.Control.Switches = _wix.Control.Switches with { SiteChoiceOpensAppUrl = true };
        var toApp = await _http.GetAsync(new Uri(_wix.Url, href), Patience);
        Assert.StartsWith("https://app.example/install?token=JWS.", toApp.Headers.Location!.OriginalString, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancelling_sends_an_error_or_nothing()
    {
        var consent = InstallUrl(_wix.CreateInstall("Site").AppUrlToken, "s");
        var denied = await SubmitAsync(consent, ("decision", "cancel"));
        Assert.Equal("access_denied", Query(denied)["error"]);
        Assert.Equal("s", Query(denied)["state"]);
        Assert.Null(Query(denied)["code"]);

        _wix.Control.Switches = _wix.Control.Switches with { CancelSendsError = false };
        var plain = await SubmitAsync(consent, ("decision", "cancel"));
        Assert.Equal("https://app.example/redirect", plain.Headers.Location!.OriginalString);
    }

    [Fact]
    public async Task The_consent_page_refuses_what_wix_refuses()
    {
        var token = _wix.CreateInstall("Site").AppUrlToken;
        var redirect = Uri.EscapeDataString("https://app.example/redirect");
        await AssertRefusedAsync($"appId={AppId}&redirectUrl={Uri.EscapeDataString("https://evil.example/")}", "We couldn&#x27;t find an app with this redirect url");
        await AssertRefusedAsync($"appId={AppId}", "We couldn&#x27;t find an app with this redirect url");
        await AssertRefusedAsync($"appId=other&redirectUrl={redirect}", "We couldn&#x27;t find this app");
        await AssertRefusedAsync($"appId={AppId}&redirectUrl={redirect}&token={token}", "This link does not work");
        await AssertRefusedAsync($"appId={AppId}&appId={AppId}&redirectUrl={redirect}", "Something came twice");
        _time.Advance(TimeSpan.FromHours(1));
        await AssertRefusedAsync($"appId={AppId}&redirectUrl={redirect}&token={Uri.EscapeDataString(token)}", "Its token has expired");

        async Task AssertRefusedAsync(string query, string text)
        {
            var url = new Uri($"{_wix.InstallerUrl}/install?{query}");
            foreach (var response in new[] { await _http.GetAsync(url, Patience), await SubmitAsync(url, ("decision", "agree")) })
            {
                Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
                Assert.Contains(text, await response.Content.ReadAsStringAsync(Patience), StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public async Task Hostile_names_and_parameters_are_encoded_and_pages_load_nothing()
    {
        var install = _wix.CreateInstall(HostileName);
        var tokens = await ExchangeAsync(install.Code);
        var state = "\"><script>x</script>";
        string[] pages =
        [
            "/",
            $"/sites/{install.InstanceId}/frame",
            InstallUrl(install.AppUrlToken, state).PathAndQuery,
            InstallUrl(null, state).PathAndQuery,
            $"/installer/close-window?access_token={Uri.EscapeDataString(Text(tokens, "access_token"))}",
            "/installer/close-window?access_token=%3Cscript%3E",
            "/installer/install?appId=%3Cscript%3E",
            "/lately",
            "/trouble",
        ];
        foreach (var page in pages)
        {
            using var response = await _http.GetAsync(new Uri(_wix.Url, page), Patience);
            var html = await response.Content.ReadAsStringAsync(Patience);
            var policy = response.Headers.GetValues("Content-Security-Policy").Single();

            // The one script is the page's own, whose hash the policy names.
            foreach (var script in html.Split("<script", StringSplitOptions.None).Skip(1))
            {
                var own = script[1..script.IndexOf("</script>", StringComparison.Ordinal)];
                Assert.Contains($"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(own)))}'", policy, StringComparison.Ordinal);
            }

            Assert.DoesNotContain("<img", html, StringComparison.OrdinalIgnoreCase);
            Assert.True(response.Headers.CacheControl!.NoStore);
            Assert.StartsWith("default-src 'none'", policy, StringComparison.Ordinal);
            Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
            AssertShowsNo(install.AppUrlToken, html);
            AssertShowsNo(Text(tokens, "access_token"), html);
        }
    }

    [Fact]
    public async Task A_name_typed_into_the_page_makes_a_site()
    {
        var made = await SubmitAsync(new Uri(_wix.Url, "sites"), ("name", " Ülvé "));
        var refused = await SubmitAsync(new Uri(_wix.Url, "sites"), ("name", "  "));

        Assert.Equal(HttpStatusCode.SeeOther, made.StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Equal("Ülvé", _wix.Sites[^1].Name);
        Assert.Contains("Ülvé", await _http.GetStringAsync(_wix.Url, Patience), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Close_window_knows_a_dead_token_and_shows_none()
    {
        var install = _wix.CreateInstall("Site");
        var access = Text(await ExchangeAsync(install.Code), "access_token");
        var url = new Uri($"{_wix.InstallerUrl}/close-window?access_token={Uri.EscapeDataString(access)}");

        _time.Advance(TimeSpan.FromMinutes(5));

        var expired = await _http.GetAsync(url, Patience);
        var html = await expired.Content.ReadAsStringAsync(Patience);
        Assert.Equal(HttpStatusCode.BadRequest, expired.StatusCode);
        Assert.Contains("expired", html, StringComparison.Ordinal);
        AssertShowsNo(access, html);
        Assert.Equal(HttpStatusCode.BadRequest, (await _http.GetAsync(new Uri($"{_wix.InstallerUrl}/close-window"), Patience)).StatusCode);
    }

    [Fact]
    public async Task A_code_works_once()
    {
        var install = _wix.CreateInstall("Site");
        var tokens = await ExchangeAsync(install.Code);

        await AssertRejectedAsync(await ExchangeResponseAsync(install.Code));
        await OkAsync(await RefreshAsync(Text(tokens, "refresh_token")));

        _wix.Control.Switches = _wix.Control.Switches with { SecondUseOfCodeRevokes = true };
        await AssertRejectedAsync(await ExchangeResponseAsync(install.Code));
        await AssertRejectedAsync(await RefreshAsync(Text(tokens, "refresh_token")));
        Assert.Equal(HttpStatusCode.Unauthorized, (await CallAsync(HttpMethod.Get, "apps/v1/instance", Text(tokens, "access_token"))).StatusCode);
    }

    [Fact]
    public async Task Only_one_of_many_concurrent_uses_of_a_code_succeeds()
    {
        var code = _wix.CreateInstall("Site").Code;
        var responses = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => ExchangeResponseAsync(code)));
        Assert.Single(responses, response => response.IsSuccessStatusCode);
    }

    [Fact]
    public async Task Codes_and_access_tokens_expire_to_the_instant()
    {
        var (early, late) = (_wix.CreateInstall("Early"), _wix.CreateInstall("Late"));
        _time.Advance(TimeSpan.FromMinutes(10) - TimeSpan.FromMilliseconds(1));
        var access = Text(await ExchangeAsync(early.Code), "access_token");
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await AssertRejectedAsync(await ExchangeResponseAsync(late.Code));

        _time.Advance(TimeSpan.FromMinutes(5) - TimeSpan.FromMilliseconds(2));
        Assert.Equal(HttpStatusCode.OK, (await CallAsync(HttpMethod.Get, "apps/v1/instance", access)).StatusCode);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(HttpStatusCode.Unauthorized, (await CallAsync(HttpMethod.Get, "apps/v1/instance", access)).StatusCode);
        Assert.Equal("false", Text(await OkAsync(await PostAsync("oauth2/token-info", new { token = access })), "active"));
    }

    [Fact]
    public async Task Every_call_needs_the_bare_access_token_and_nothing_else_passes_for_one()
    {
        var install = _wix.CreateInstall("Site");
        var spare = _wix.IssueCode(install.InstanceId);
        var tokens = await ExchangeAsync(install.Code);
        var access = Text(tokens, "access_token");
        string?[] wrong = [null, "", "Bearer " + access, spare, Text(tokens, "refresh_token"), access[..^2] + (access[^2] == 'A' ? "E=" : "A="), access + "x", "OAUTH2.a.b"];
        foreach (var token in wrong)
        {
            var denied = await CallAsync(HttpMethod.Post, "apps/v1/bi-event", token, new { eventName = "APP_FINISHED_CONFIGURATION" });
            Assert.Equal(HttpStatusCode.Unauthorized, denied.StatusCode);
        }

        Assert.False(_wix.GetSite(install.InstanceId).SetupComplete);
        await AssertRejectedAsync(await ExchangeResponseAsync(access));
        await AssertRejectedAsync(await RefreshAsync(access));
    }

    [Fact]
    public async Task A_wrong_app_or_secret_is_refused_and_spends_nothing()
    {
        var install = _wix.CreateInstall("Site");
        var wrongSecret = await PostAsync("oauth/access", new { grant_type = "authorization_code", client_id = AppId, client_secret = "no", code = install.Code });
        var wrongApp = await PostAsync("oauth/access", new { grant_type = "authorization_code", client_id = "no", client_secret = AppSecret, code = install.Code });
        Assert.Equal(HttpStatusCode.Forbidden, wrongSecret.StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, wrongApp.StatusCode);
        Assert.Equal("app_id_not_found", Text((await JsonAsync(wrongApp))["details"]!["applicationError"]!, "code"));

        var newer = await PostAsync(
            "oauth2/token",
            new { grant_type = "client_credentials", client_id = AppId, client_secret = "no", instance_id = install.InstanceId });
        Assert.Equal(HttpStatusCode.Unauthorized, newer.StatusCode);
        Assert.Equal("invalid_client", Text(await JsonAsync(newer), "error"));

        await ExchangeAsync(install.Code);
    }

    [Fact]
    public async Task Requests_that_are_not_as_documented_are_refused()
    {
        var form = await _http.PostAsync(
            new Uri(_wix.ApiUrl, "oauth/access"), new FormUrlEncodedContent([new("grant_type", "refresh_token")]), Patience);
        Assert.Equal(HttpStatusCode.BadRequest, form.StatusCode);
        Assert.NotNull((await JsonAsync(form))["details"]!["validationError"]);

        foreach (var body in new[] { "", "{", "[]", "null", "{\"grant_type\":1}", "{\"grant_type\":\"x\",\"grant_type\":\"y\"}" })
        {
            using var content = new StringContent(body, Encoding.UTF8, "application/json");
            var response = await _http.PostAsync(new Uri(_wix.ApiUrl, "oauth/access"), content, Patience);
            Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        }

        var odd = await PostAsync("oauth2/token", new { grant_type = "password", client_id = AppId, client_secret = AppSecret, instance_id = "x" });
        Assert.Equal("unsupported_grant_type", Text(await JsonAsync(odd), "error"));
        var access = Text(await ExchangeAsync(_wix.CreateInstall("Site").Code), "access_token");
        var badEvent = await CallAsync(HttpMethod.Post, "apps/v1/bi-event", access, new { eventName = "X", eventData = new { n = 1 } });
        Assert.Equal(HttpStatusCode.BadRequest, badEvent.StatusCode);
    }

    [Fact]
    public async Task Client_credentials_serve_an_installed_instance_for_four_hours()
    {
        var install = _wix.CreateInstall("Site");
        var tokens = await OkAsync(await CredentialsAsync(install.InstanceId));
        Assert.Equal(14_400, tokens["expires_in"]!.GetValue<int>());
        Assert.Equal("Bearer", Text(tokens, "token_type"));

        _time.Advance(TimeSpan.FromHours(4) - TimeSpan.FromSeconds(1));
        Assert.Equal(HttpStatusCode.OK, (await CallAsync(HttpMethod.Get, "apps/v1/instance", Text(tokens, "access_token"))).StatusCode);

        _wix.Remove(install.InstanceId);
        Assert.Equal(HttpStatusCode.Unauthorized, (await CallAsync(HttpMethod.Get, "apps/v1/instance", Text(tokens, "access_token"))).StatusCode);
        foreach (var id in new[] { install.InstanceId, Guid.NewGuid() })
        {
            var refused = await CredentialsAsync(id);
            Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
            Assert.Equal("invalid_grant", Text(await JsonAsync(refused), "error"));
        }
    }

    [Fact]
    public async Task A_reinstall_keeps_the_instance_and_nothing_issued_before_it_works()
    {
        var first = _wix.CreateInstall("Site");
        var unused = _wix.IssueCode(first.InstanceId);
        var old = await ExchangeAsync(first.Code);
        await CallAsync(HttpMethod.Post, "apps/v1/bi-event", Text(old, "access_token"), new { eventName = "APP_FINISHED_CONFIGURATION" });

        await SubmitAsync(new Uri(_wix.Url, $"sites/{first.InstanceId}/remove"));
        Assert.Equal(PretendSiteStatus.Removed, _wix.GetSite(first.InstanceId).Status);
        await AssertRejectedAsync(await RefreshAsync(Text(old, "refresh_token")));

        var again = _wix.Consent(first.InstanceId);
        Assert.Equal(first.InstanceId, again.InstanceId);
        Assert.False(_wix.GetSite(first.InstanceId).SetupComplete);
        await AssertRejectedAsync(await ExchangeResponseAsync(unused));
        await AssertRejectedAsync(await RefreshAsync(Text(old, "refresh_token")));
        Assert.Equal(HttpStatusCode.Unauthorized, (await CallAsync(HttpMethod.Get, "apps/v1/instance", Text(old, "access_token"))).StatusCode);
        await OkAsync(await RefreshAsync(Text(await ExchangeAsync(again.Code), "refresh_token")));
    }

    [Fact]
    public async Task A_new_consent_upgrades_the_app_keeps_its_setup_and_replaces_the_refresh_token()
    {
        var first = _wix.CreateInstall("Site");
        var old = await ExchangeAsync(first.Code);
        await CallAsync(HttpMethod.Post, "apps/v1/bi-event", Text(old, "access_token"), new { eventName = "APP_FINISHED_CONFIGURATION" });

        var upgrade = _wix.Consent(first.InstanceId);
        await OkAsync(await RefreshAsync(Text(old, "refresh_token")));
        await ExchangeAsync(upgrade.Code);

        await AssertRejectedAsync(await RefreshAsync(Text(old, "refresh_token")));
        Assert.Equal("2.0.0", _wix.GetSite(first.InstanceId).AppVersion);
        Assert.True(_wix.GetSite(first.InstanceId).SetupComplete);
    }

    [Fact]
    public async Task A_clone_has_an_origin_no_refresh_token_and_is_served_by_client_credentials()
    {
        var origin = _wix.CreateInstall("Site");
        var clone = Text(await OkAsync(await PostAsync("_control/clone", new { instanceId = origin.InstanceId })), "instanceId");

        await AssertRejectedAsync(await RefreshAsync(_wix.GetRefreshToken(Guid.Parse(clone))));
        var access = Text(await OkAsync(await CredentialsAsync(Guid.Parse(clone))), "access_token");
        var instance = await OkAsync(await CallAsync(HttpMethod.Get, "apps/v1/instance", access));
        Assert.Equal(origin.InstanceId.ToString(), Text(instance["instance"]!, "originInstanceId"));
    }

    [Fact]
    public async Task Refresh_can_answer_a_new_token_or_none()
    {
        var first = Text(await ExchangeAsync(_wix.CreateInstall("Site").Code), "refresh_token");

        _wix.Control.Switches = _wix.Control.Switches with { RefreshTokenAnswer = RefreshTokenAnswer.None };
        Assert.Null((await OkAsync(await RefreshAsync(first)))["refresh_token"]);

        _wix.Control.Switches = _wix.Control.Switches with { RefreshTokenAnswer = RefreshTokenAnswer.New };
        var second = Text(await OkAsync(await RefreshAsync(first)), "refresh_token");
        Assert.NotEqual(first, second);
        await AssertRejectedAsync(await RefreshAsync(first));

        _wix.Control.Switches = _wix.Control.Switches with { OldRefreshTokensStayValid = true };
        var third = Text(await OkAsync(await RefreshAsync(second)), "refresh_token");
        Assert.NotEqual(second, third);
        await OkAsync(await RefreshAsync(second));
    }

    [Fact]
    public async Task Lifetimes_lengths_shapes_and_statuses_can_be_switched()
    {
        _wix.Control.Switches = new()
        {
            AccessTokenLifetime = TimeSpan.FromSeconds(1),
            CodeLifetime = TimeSpan.FromSeconds(2),
            ClientCredentialsLifetime = TimeSpan.FromSeconds(3),
            CodeLength = 8_000,
            AccessTokenLength = 4_718,
            AccessTokenHasExp = false,
            SendExpiresIn = true,
            TokenInfoHasRealTypes = true,
            RejectionStatus = 404,
            WrongSecretStatus = 401,
            OldErrorShape = true,
        };
        var install = _wix.CreateInstall("Site");
        Assert.InRange(install.Code.Length, 7_990, 8_000);
        var tokens = await ExchangeAsync(install.Code);
        Assert.Equal(1, tokens["expires_in"]!.GetValue<int>());
        Assert.InRange(Text(tokens, "access_token").Length, 4_710, 4_718);
        Assert.Null(Payload(Text(tokens, "access_token"))["exp"]);
        Assert.Equal(3, (await OkAsync(await CredentialsAsync(install.InstanceId)))["expires_in"]!.GetValue<int>());

        var info = await OkAsync(await PostAsync("oauth2/token-info", new { token = Text(tokens, "access_token") }));
        Assert.True(info["active"]!.GetValue<bool>());
        Assert.Equal(_time.GetUtcNow().ToUnixTimeSeconds() + 1, info["exp"]!.GetValue<long>());
        _time.Advance(TimeSpan.FromSeconds(1));
        info = await OkAsync(await PostAsync("oauth2/token-info", new { token = Text(tokens, "access_token") }));
        Assert.False(info["active"]!.GetValue<bool>());

        var expiring = _wix.IssueCode(install.InstanceId);
        _time.Advance(TimeSpan.FromSeconds(2));
        var rejected = await ExchangeResponseAsync(expiring);
        Assert.Equal(HttpStatusCode.NotFound, rejected.StatusCode);
        Assert.Contains("invalid_token", Text(await JsonAsync(rejected), "errorDescription"), StringComparison.Ordinal);
        _wix.Control.RotateAppSecret("new", oldStaysValid: false);
        Assert.Equal(HttpStatusCode.Unauthorized, (await RefreshAsync(Text(tokens, "refresh_token"))).StatusCode);
    }

    [Fact]
    public async Task The_refresh_token_of_one_instance_can_be_rejected_until_its_owner_consents_again()
    {
        var (one, other) = (_wix.CreateInstall("One"), _wix.CreateInstall("Other"));
        var token = Text(await ExchangeAsync(one.Code), "refresh_token");
        var otherToken = Text(await ExchangeAsync(other.Code), "refresh_token");
        await OkAsync(await PostAsync("_control/reject", new { instanceId = one.InstanceId }));

        await AssertRejectedAsync(await RefreshAsync(token));
        await OkAsync(await RefreshAsync(otherToken));
        _wix.Control.RejectRefreshToken(one.InstanceId, rejected: false);
        await OkAsync(await RefreshAsync(token));

        _wix.Control.RejectRefreshToken(one.InstanceId);
        await OkAsync(await RefreshAsync(Text(await ExchangeAsync(_wix.Consent(one.InstanceId).Code), "refresh_token")));
    }

    [Fact]
    public async Task The_app_secret_can_change_softly_or_at_once()
    {
        var token = Text(await ExchangeAsync(_wix.CreateInstall("Site").Code), "refresh_token");
        _wix.Control.RotateAppSecret("second", oldStaysValid: true);
        await OkAsync(await RefreshAsync(token));
        await OkAsync(await RefreshAsync(token, "second"));

        await OkAsync(await PostAsync("_control", new { appSecret = "third" }));
        await OkAsync(await RefreshAsync(token, "third"));
        Assert.Equal(HttpStatusCode.Forbidden, (await RefreshAsync(token, "second")).StatusCode);
        Assert.DoesNotContain("third", await _http.GetStringAsync(new Uri(_wix.Url, "_control"), Patience), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failing_endpoint_does_nothing_and_heals_after_its_times()
    {
        var install = _wix.CreateInstall("Site");
        _wix.Control.Fail("access", new() { Kind = PretendWixFaultKind.Status, Status = 503, RetryAfter = "7", Body = "<h1>Busy</h1>", Times = 2 });
        for (var i = 0; i < 2; i++)
        {
            var busy = await ExchangeResponseAsync(install.Code);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, busy.StatusCode);
            Assert.Equal(TimeSpan.FromSeconds(7), busy.Headers.RetryAfter!.Delta);
            Assert.Equal("<h1>Busy</h1>", await busy.Content.ReadAsStringAsync(Patience));
            Assert.Equal("text/html", busy.Content.Headers.ContentType!.MediaType);
        }

        await ExchangeAsync(install.Code);
        Assert.Equal(3, _wix.Control.Counts.Calls["access"]);
        Assert.Equal(1, _wix.Control.Counts.Succeeded["access"]);
    }

    [Fact]
    public async Task A_fault_can_be_for_one_instance_and_one_grant()
    {
        var (one, other) = (_wix.CreateInstall("One"), _wix.CreateInstall("Other"));
        _wix.Control.Fail("access", new() { InstanceId = one.InstanceId, Grant = "refresh_token" });

        await ExchangeAsync(other.Code);
        var token = Text(await ExchangeAsync(one.Code), "refresh_token");
        await OkAsync(await RefreshAsync(_wix.GetRefreshToken(other.InstanceId)));
        Assert.Equal(HttpStatusCode.InternalServerError, (await RefreshAsync(token)).StatusCode);
        _wix.Control.Heal("access");
        await OkAsync(await RefreshAsync(token));
    }

    [Theory]
    [InlineData(PretendWixFaultKind.ResetBefore, false)]
    [InlineData(PretendWixFaultKind.ResetAfter, true)]
    public async Task A_reset_cuts_the_connection_before_or_after_the_code_is_spent(PretendWixFaultKind kind, bool spent)
    {
        var install = _wix.CreateInstall("Site");
        _wix.Control.Fail("access", new() { Kind = kind, Times = 1 });

        await Assert.ThrowsAsync<HttpRequestException>(() => ExchangeResponseAsync(install.Code));

        Assert.Equal(!spent, (await ExchangeResponseAsync(install.Code)).IsSuccessStatusCode);
    }

    [Theory]
    [InlineData(PretendWixFaultKind.Hang, false)]
    [InlineData(PretendWixFaultKind.HangAfter, true)]
    public async Task A_hanging_endpoint_never_answers(PretendWixFaultKind kind, bool spent)
    {
        var install = _wix.CreateInstall("Site");
        _wix.Control.Fail("access", new() { Kind = kind, Times = 1 });
        var acted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _wix.Control.GateAfter = (_, _) =>
        {
            acted.TrySetResult();
            return Task.CompletedTask;
        };
        using var impatience = new CancellationTokenSource();
        var call = _http.PostAsJsonAsync(new Uri(_wix.ApiUrl, "oauth/access"), CodeBody(install.Code), impatience.Token);
        await acted.Task.WaitAsync(Patience);
        Assert.False(call.IsCompleted);
        await impatience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);

        Assert.Equal(!spent, (await ExchangeResponseAsync(install.Code)).IsSuccessStatusCode);
    }

    [Fact]
    public async Task An_answer_can_be_broken_empty_or_a_redirect()
    {
        var token = Text(await ExchangeAsync(_wix.CreateInstall("Site").Code), "refresh_token");
        _wix.Control.Fail("access", new() { Kind = PretendWixFaultKind.MalformedJson });
        var malformed = await RefreshAsync(token);
        Assert.Equal(HttpStatusCode.OK, malformed.StatusCode);
        await Assert.ThrowsAnyAsync<System.Text.Json.JsonException>(() => JsonAsync(malformed));

        _wix.Control.Fail("access", new() { Kind = PretendWixFaultKind.MissingFields });
        Assert.Equal("{}", await (await RefreshAsync(token)).Content.ReadAsStringAsync(Patience));

        _wix.Control.Fail("access", new() { Kind = PretendWixFaultKind.Redirect });
        var redirect = await RefreshAsync(token);
        Assert.Equal(HttpStatusCode.Found, redirect.StatusCode);
        Assert.Equal(0, _wix.Control.Counts.Elsewhere);
        await _http.GetAsync(new Uri(_wix.Url, redirect.Headers.Location!), Patience);
        Assert.Equal(1, _wix.Control.Counts.Elsewhere);
        Assert.Equal(1, _wix.Control.Counts.Succeeded["access"]);
    }

    [Fact]
    public async Task Gates_hold_calls_and_the_most_at_once_is_counted_by_instance()
    {
        var (one, other) = (_wix.CreateInstall("One"), _wix.CreateInstall("Other"));
        var token = Text(await ExchangeAsync(one.Code), "refresh_token");
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var waiting = new SemaphoreSlim(0);
        _wix.Control.Gate = async (endpoint, cancellationToken) =>
        {
            Assert.Equal("access", endpoint);
            waiting.Release();
            await open.Task.WaitAsync(cancellationToken);
        };

        var calls = Enumerable.Range(0, 3).Select(_ => RefreshAsync(token)).Append(ExchangeResponseAsync(other.Code)).ToList();
        for (var i = 0; i < calls.Count; i++)
        {
            await waiting.WaitAsync(Patience);
        }

        Assert.All(calls, call => Assert.False(call.IsCompleted));
        open.SetResult();
        Assert.All(await Task.WhenAll(calls), response => Assert.Equal(HttpStatusCode.OK, response.StatusCode));

        var counts = _wix.Control.CountsOf(one.InstanceId);
        Assert.Equal((4, 3, 1), (counts.Calls["access"], counts.Grants["refresh_token"], counts.Grants["authorization_code"]));
        Assert.Equal(3, counts.MaxConcurrency);
        Assert.Equal(1, _wix.Control.CountsOf(other.InstanceId).MaxConcurrency);
        Assert.Equal(3, _wix.Control.Counts.MaxConcurrencyPerInstance);
        Assert.Equal(3, _wix.Control.Counts.Grants["refresh_token"]);
    }

    [Fact]
    public async Task A_received_call_is_processed_although_the_caller_has_gone()
    {
        var install = _wix.CreateInstall("Site");
        var arrived = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _wix.Control.Gate = (_, _) =>
        {
            arrived.TrySetResult();
            return open.Task;
        };
        _wix.Control.GateAfter = (_, _) =>
        {
            done.TrySetResult();
            return Task.CompletedTask;
        };
        using var leaving = new CancellationTokenSource();
        var call = _http.PostAsJsonAsync(new Uri(_wix.ApiUrl, "oauth/access"), CodeBody(install.Code), leaving.Token);
        await arrived.Task.WaitAsync(Patience);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        open.SetResult();
        await done.Task.WaitAsync(Patience);

        await AssertRejectedAsync(await ExchangeResponseAsync(install.Code));
    }

    [Fact]
    public async Task Switches_and_faults_can_be_patched_over_http_and_reset()
    {
        var state = await OkAsync(await PostAsync("_control", new
        {
            accessTokenLifetime = 1.5,
            refreshTokenAnswer = "new",
            latencyMs = new { access = 1 },
            faults = new { token = new { kind = "status", status = 429, retryAfter = "3", times = 5 } },
        }));
        Assert.Equal(TimeSpan.FromSeconds(1.5), _wix.Control.Switches.AccessTokenLifetime);
        Assert.Equal(RefreshTokenAnswer.New, _wix.Control.Switches.RefreshTokenAnswer);
        Assert.Equal(TimeSpan.FromMinutes(10), _wix.Control.Switches.CodeLifetime);
        Assert.Equal(1, _wix.Control.Switches.LatencyMs["access"]);
        Assert.Equal(5, state["faults"]!["token"]!["left"]!.GetValue<int>());
        var install = _wix.CreateInstall("Site");
        Assert.Equal(HttpStatusCode.TooManyRequests, (await CredentialsAsync(install.InstanceId)).StatusCode);
        await ExchangeAsync(install.Code);

        await OkAsync(await PostJsonAsync("_control", """{"refreshTokenAnswer":null,"latencyMs":{"access":null},"faults":{"token":null}}"""));
        Assert.Equal(RefreshTokenAnswer.Same, _wix.Control.Switches.RefreshTokenAnswer);
        Assert.Equal(TimeSpan.FromSeconds(1.5), _wix.Control.Switches.AccessTokenLifetime);
        Assert.Empty(_wix.Control.Switches.LatencyMs);
        await OkAsync(await CredentialsAsync(install.InstanceId));

        var control = await _http.GetStringAsync(new Uri(_wix.Url, "_control"), Patience);
        Assert.All(_wix.Control.IssuedSecrets, secret => AssertShowsNo(secret, control));
        Assert.Equal(2, JsonNode.Parse(control)!["counts"]!["calls"]!["token"]!.GetValue<int>());

        await OkAsync(await PostAsync("_control/reset", new { }));
        Assert.Equal(TimeSpan.FromMinutes(5), _wix.Control.Switches.AccessTokenLifetime);
        Assert.Equal(0, _wix.Control.Counts.Calls["token"]);
        Assert.Empty(_wix.Control.Calls);
        Assert.Equal(PretendSiteStatus.Installed, _wix.GetSite(install.InstanceId).Status);
    }

    [Theory]
    [InlineData("_control", """{"codeLength":7,"accesTokenLifetime":1}""")]
    [InlineData("_control", """{"codeLength":7,"accessTokenLifetime":"1"}""")]
    [InlineData("_control", """{"codeLength":7,"accessTokenLifetime":-1}""")]
    [InlineData("_control", """{"accessTokenLifetime":7,"codeLength":9000}""")]
    [InlineData("_control", """{"codeLength":7,"refreshTokenAnswer":"other"}""")]
    [InlineData("_control", """{"codeLength":7,"latencyMs":{"nowhere":1}}""")]
    [InlineData("_control", """{"codeLength":7,"faults":{"nowhere":{"kind":"hang"}}}""")]
    [InlineData("_control", """{"codeLength":7,"faults":{"access":{"kind":"hangg"}}}""")]
    [InlineData("_control", """{"faults":{"token":{"kind":"hang"},"access":{"kind":"hang","times":-1}}}""")]
    [InlineData("_control", """{"codeLength":7,"faults":[]}""")]
    [InlineData("_control", """{"codeLength":7,"appSecret":""}""")]
    [InlineData("_control", """{"codeLength":7,"appSecret":"new","oldAppSecretStaysValid":"yes"}""")]
    [InlineData("_control", "[]")]
    [InlineData("_control", "{")]
    [InlineData("_control/clone", "{}")]
    [InlineData("_control/seed", """{"count":-1}""")]
    public async Task A_patch_that_is_misspelt_changes_nothing(string path, string body)
    {
        var control = new Uri(_wix.Url, "_control");
        var before = await _http.GetStringAsync(control, Patience);

        var response = await PostJsonAsync(path, body);

        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Equal(before, await _http.GetStringAsync(control, Patience));
    }

    [Fact]
    public async Task A_web_page_of_another_site_cannot_turn_the_switches()
    {
        using var content = new StringContent("""{"codeLength":0}""", Encoding.UTF8, "text/plain");
        var response = await _http.PostAsync(new Uri(_wix.Url, "_control"), content, Patience);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Equal(1_400, _wix.Control.Switches.CodeLength);
    }

    [Fact]
    public async Task Installs_can_be_made_over_http_for_programs_elsewhere()
    {
        var install = await OkAsync(await PostAsync("_control/install", new { name = "From afar" }));
        await ExchangeAsync(Text(install, "code"));
        var id = Text(install, "instanceId");
        await ExchangeAsync(Text(await OkAsync(await PostAsync("_control/code", new { instanceId = id })), "code"));
        var seen = JsonNode.Parse(await _http.GetStringAsync(new Uri(_wix.Url, $"_control/instances/{id}"), Patience))!;
        Assert.Equal("From afar", Text(seen["site"]!, "name"));
        Assert.Equal(2, seen["counts"]!["grants"]!["authorization_code"]!.GetValue<int>());
        Assert.True((await OkAsync(await PostAsync("_control/remove", new { instanceId = id })))["removed"]!.GetValue<bool>());
        Assert.Equal(PretendSiteStatus.Removed, _wix.GetSite(Guid.Parse(id)).Status);
    }

    [Fact]
    public async Task Seeded_instances_are_the_same_everywhere_and_refresh()
    {
        var seeds = _wix.Seed(1_000);
        Assert.Equal(1_000, seeds.Select(seed => seed.InstanceId).Distinct().Count());
        var overHttp = await PostAsync("_control/seed", new { count = 3 });
        var again = JsonNode.Parse(await overHttp.Content.ReadAsStringAsync(Patience))!.AsArray();
        Assert.Equal(seeds.Take(3).Select(seed => seed.RefreshToken), again.Select(seed => Text(seed!, "refreshToken")));
        await using var other = await StartAsync();
        Assert.Equal(seeds.Take(3).Select(seed => seed.InstanceId), other.Seed(3).Select(seed => seed.InstanceId));

        await OkAsync(await RefreshAsync(seeds[999].RefreshToken));
        Assert.Equal(1, _wix.Control.CountsOf(seeds[999].InstanceId).Grants["refresh_token"]);
        Assert.Contains("And 1000 more.", await _http.GetStringAsync(_wix.Url, Patience), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Secrets_that_were_not_all_remembered_cannot_be_searched()
    {
        _wix.Control.RemembersSecrets = false;
        await ExchangeAsync(_wix.CreateInstall("Site").Code);
        Assert.Throws<InvalidOperationException>(() => _wix.Control.IssuedSecrets);
    }

    [Fact]
    public async Task Webhooks_are_signed_nested_and_in_order()
    {
        await using var receiver = await Receiver.StartAsync();
        _wix.WebhookUrl = receiver.Url;
        var install = _wix.CreateInstall("Site");
        _wix.Consent(install.InstanceId);
        var clone = _wix.Clone(install.InstanceId);
        _wix.Remove(install.InstanceId);
        Assert.False(_wix.Remove(install.InstanceId));
        _wix.Consent(install.InstanceId);
        await _wix.WebhooksSettledAsync(Patience);

        Assert.Equal(
            ["AppInstalled", "AppInstalled", "AppRemoved", "AppInstalled"],
            receiver.Bodies.Select(body => Text(Verify(body), "eventType")));
        Assert.All(receiver.ContentTypes, type => Assert.StartsWith("text/plain", type, StringComparison.Ordinal));
        var bodies = receiver.Bodies.ToArray();

        var header = JsonNode.Parse(Decode(bodies[0].Split('.')[0]))!.AsObject();
        Assert.Equal(["kid", "alg"], header.Select(member => member.Key));
        Assert.Equal("RS256", Text(header, "alg"));
        var claims = Payload(bodies[0]).AsObject();
        Assert.Equal(["data", "iat", "exp"], claims.Select(member => member.Key));
        Assert.Equal(_time.GetUtcNow().ToUnixTimeSeconds(), claims["iat"]!.GetValue<long>());
        Assert.Equal(41 * 86_400, claims["exp"]!.GetValue<long>() - claims["iat"]!.GetValue<long>());

        var data = Verify(bodies[0]);
        Assert.Equal(install.InstanceId.ToString(), Text(data, "instanceId"));
        Assert.Equal(AppId, Text(JsonNode.Parse(Text(data, "data"))!, "appId"));
        Assert.Null(JsonNode.Parse(Text(data, "data"))!["originInstanceId"]);
        var cloned = Verify(bodies[1]);
        Assert.Equal(clone.InstanceId.ToString(), Text(cloned, "instanceId"));
        Assert.Equal(install.InstanceId.ToString(), Text(JsonNode.Parse(Text(cloned, "data"))!, "originInstanceId"));
    }

    [Fact]
    public async Task Webhook_deliveries_are_recorded_and_replayed_word_for_word()
    {
        await using var receiver = await Receiver.StartAsync();
        receiver.Status = 503;
        _wix.WebhookUrl = receiver.Url;
        _wix.CreateInstall("Site");
        await _wix.WebhooksSettledAsync(Patience);
        var first = Assert.Single(_wix.Deliveries);
        Assert.Equal((503, "AppInstalled"), (first.Status, first.EventType));

        receiver.Status = 200;
        Assert.True((await OkAsync(await PostAsync("_control/replay", new { number = first.Number })))["replayed"]!.GetValue<bool>());
        await _wix.WebhooksSettledAsync(Patience);
        Assert.Equal(200, _wix.Deliveries[^1].Status);
        Assert.Equal(receiver.Bodies.First(), receiver.Bodies.Last());
        Assert.False(_wix.ReplayWebhook(99));

        await receiver.DisposeAsync();
        _wix.Control.Switches = _wix.Control.Switches with { SendWebhooks = false };
        _wix.CreateInstall("Silent");
        Assert.True(_wix.ReplayWebhook(first.Number));
        await _wix.WebhooksSettledAsync(Patience);
        Assert.Equal((3, null), (_wix.Deliveries.Count, _wix.Deliveries[^1].Status));
        Assert.Equal("ConnectionError", _wix.Deliveries[^1].Problem);
    }

    [Fact]
    public void Webhooks_can_be_made_by_hand_in_their_newer_form()
    {
        var install = _wix.CreateInstall("Site");
        _wix.Control.Switches = _wix.Control.Switches with { NewerWebhooks = true };
        var issued = _time.GetUtcNow().AddHours(-47);

        var jwt = _wix.SignWebhook("AppRemoved", install.InstanceId, issued);

        Assert.Equal(issued.ToUnixTimeSeconds(), Payload(jwt)["iat"]!.GetValue<long>());
        Assert.NotNull(JsonNode.Parse(Text(Verify(jwt), "identity"))!["identityType"]);
        Assert.NotNull(Verify(jwt)["id"]);
    }

    [Fact]
    public async Task A_restart_with_a_state_file_knows_everything_it_issued()
    {
        PretendInstall removed;
        PretendSeed[] seeds;
        string refresh, rotated, access, unusedCode, usedCode, pem;
        Guid seeded;
        await using (var first = await StartAsync(StateFile))
        {
            await using var swap = Use(first);
            var install = _wix.CreateInstall(HostileName);
            usedCode = install.Code;
            var tokens = await ExchangeAsync(install.Code);
            (refresh, access) = (Text(tokens, "refresh_token"), Text(tokens, "access_token"));
            await CallAsync(HttpMethod.Post, "apps/v1/bi-event", access, new { eventName = "APP_FINISHED_CONFIGURATION" });
            unusedCode = _wix.IssueCode(install.InstanceId);
            removed = _wix.CreateInstall("Removed");
            _wix.Remove(removed.InstanceId);
            seeds = [.. _wix.Seed(5)];
            seeded = seeds[4].InstanceId;
            _wix.Remove(seeded);
            _wix.Control.Switches = _wix.Control.Switches with { RefreshTokenAnswer = RefreshTokenAnswer.New };
            rotated = Text(await OkAsync(await RefreshAsync(seeds[0].RefreshToken)), "refresh_token");
            pem = _wix.WebhookPublicKeyPem;
        }

        await using var second = await StartAsync(StateFile);
        await using var secondSwap = Use(second);
        Assert.Equal(pem, _wix.WebhookPublicKeyPem);
        Assert.Equal(["Rosemary & Rye Bakery", "Nordlicht Ceramics", "Halden Bike Repair", HostileName, "Removed"], _wix.Sites.Select(site => site.Name));
        Assert.True(_wix.Sites[3].SetupComplete);
        Assert.Equal(PretendSiteStatus.Removed, _wix.GetSite(removed.InstanceId).Status);
        Assert.Equal(PretendSiteStatus.Removed, _wix.GetSite(seeded).Status);
        await OkAsync(await RefreshAsync(refresh));
        await OkAsync(await RefreshAsync(rotated));
        await OkAsync(await RefreshAsync(seeds[1].RefreshToken));
        await AssertRejectedAsync(await RefreshAsync(seeds[0].RefreshToken));
        await AssertRejectedAsync(await RefreshAsync(seeds[4].RefreshToken));
        Assert.Equal(HttpStatusCode.OK, (await CallAsync(HttpMethod.Get, "apps/v1/instance", access)).StatusCode);
        await AssertRejectedAsync(await ExchangeResponseAsync(usedCode));
        await ExchangeAsync(unusedCode);
        Assert.Equal([StateFile], Directory.GetFiles(Path.GetDirectoryName(StateFile)!));
        if (!OperatingSystem.IsWindows())
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(StateFile));
        }
    }

    [Fact]
    public async Task A_malformed_state_file_stops_the_start()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(StateFile)!);
        await File.WriteAllTextAsync(StateFile, "{\"ticketKey\":", Patience);
        await Assert.ThrowsAsync<InvalidDataException>(() => StartAsync(StateFile));
    }

    [Fact]
    public async Task A_taken_port_stops_the_start()
    {
        var taken = new PretendWixOptions { AppId = AppId, AppSecret = AppSecret, ListenUrl = new($"http://127.0.0.1:{_wix.Url.Port}") };
        await Assert.ThrowsAnyAsync<IOException>(() => PretendWixServer.StartAsync(taken, Patience));
    }

    [Fact]
    public async Task The_end_of_the_server_ends_calls_that_hang()
    {
        var install = _wix.CreateInstall("Site");
        await using var server = await StartAsync();
        var hanging = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.Control.Gate = async (_, cancellationToken) =>
        {
            hanging.SetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
        };
        var call = _http.PostAsJsonAsync(new Uri(server.ApiUrl, "oauth/access"), CodeBody(install.Code), Patience);
        await hanging.Task.WaitAsync(Patience);
        await server.DisposeAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => call);
    }

    [Fact]
    public void Its_addresses_go_by_the_name_of_the_loopback()
    {
        Assert.Equal("localhost", _wix.Url.Host);
        Assert.Equal($"http://localhost:{_wix.Url.Port}/installer", _wix.InstallerUrl.AbsoluteUri);
        Assert.Equal($"http://localhost:{_wix.Url.Port}/", _wix.ApiUrl.AbsoluteUri);
    }

    private static void AssertShowsNo(string secret, string text)
    {
        Assert.DoesNotContain(secret, text, StringComparison.Ordinal);
        Assert.DoesNotContain(HttpUtility.HtmlEncode(secret), text, StringComparison.Ordinal);
        Assert.DoesNotContain(secret.Split('.')[2], text, StringComparison.Ordinal);
    }

    private static string Text(JsonNode node, string name) => node[name]!.GetValue<string>();

    private static string Decode(string part) => Encoding.UTF8.GetString(System.Buffers.Text.Base64Url.DecodeFromChars(part));

    private static JsonNode Payload(string token) =>
        JsonNode.Parse(Decode(token.Split('.')[token.StartsWith("OAUTH2.", StringComparison.Ordinal) ? 2 : 1]))!;

    private static System.Collections.Specialized.NameValueCollection Query(HttpResponseMessage response) =>
        HttpUtility.ParseQueryString(response.Headers.Location!.Query);

    private static async Task<JsonObject> JsonAsync(HttpResponseMessage response)
    {
        Assert.Equal("application/json", response.Content.Headers.ContentType!.MediaType);
        return JsonNode.Parse(await response.Content.ReadAsStringAsync())!.AsObject();
    }

    private static async Task<JsonObject> OkAsync(HttpResponseMessage response)
    {
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        return await JsonAsync(response);
    }

    private static async Task AssertRejectedAsync(HttpResponseMessage response)
    {
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        var body = await JsonAsync(response);
        Assert.Equal("invalid_token", Text(body["details"]!["applicationError"]!, "code"));
        Assert.NotEmpty(Text(body, "message"));
    }

    private static object CodeBody(string code) => new { grant_type = "authorization_code", client_id = AppId, client_secret = AppSecret, code };

    private Task<PretendWixServer> StartAsync(string? stateFile = null) => PretendWixServer.StartAsync(
        new()
        {
            AppId = AppId,
            AppSecret = AppSecret,
            AppUrl = new("https://app.example/install"),
            RedirectUrl = new("https://app.example/redirect"),
            StateFile = stateFile,
            TimeProvider = _time,
        },
        Patience);

    /// <summary>Lets the calls below go to another server until it is disposed of.</summary>
    private Swap Use(PretendWixServer other)
    {
        var before = _wix;
        _wix = other;
        return new(() => _wix = before);
    }

    private JsonNode Verify(string jwt)
    {
        using var key = RSA.Create();
        key.ImportFromPem(_wix.WebhookPublicKeyPem);
        var parts = jwt.Split('.');
        Assert.True(key.VerifyData(
            Encoding.ASCII.GetBytes($"{parts[0]}.{parts[1]}"),
            System.Buffers.Text.Base64Url.DecodeFromChars(parts[2]),
            HashAlgorithmName.SHA256,
            RSASignaturePadding.Pkcs1));
        return JsonNode.Parse(Text(Payload(jwt), "data"))!;
    }

    private Uri InstallUrl(string? token, string? state) => new(
        $"{_wix.InstallerUrl}/install?appId={AppId}&redirectUrl={Uri.EscapeDataString("https://app.example/redirect")}"
        + (token is null ? "" : $"&token={Uri.EscapeDataString(token)}")
        + (state is null ? "" : $"&state={Uri.EscapeDataString(state)}"));

    private Task<HttpResponseMessage> SubmitAsync(Uri url, params (string Name, string Value)[] fields) =>
        _http.PostAsync(url, new FormUrlEncodedContent(fields.Select(field => KeyValuePair.Create(field.Name, field.Value))), Patience);

    private Task<HttpResponseMessage> PostAsync(string path, object body) => _http.PostAsJsonAsync(new Uri(_wix.ApiUrl, path), body, Patience);

    private Task<HttpResponseMessage> PostJsonAsync(string path, string body) =>
        _http.PostAsync(new Uri(_wix.ApiUrl, path), new StringContent(body, Encoding.UTF8, "application/json"), Patience);

    private Task<HttpResponseMessage> CallAsync(HttpMethod method, string path, string? token, object? body = null)
    {
        var request = new HttpRequestMessage(method, new Uri(_wix.ApiUrl, path)) { Content = body is null ? null : JsonContent.Create(body) };
        if (token is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", token);
        }

        return _http.SendAsync(request, Patience);
    }

    private Task<HttpResponseMessage> ExchangeResponseAsync(string code) => PostAsync("oauth/access", CodeBody(code));

    private async Task<JsonObject> ExchangeAsync(string code) => await OkAsync(await ExchangeResponseAsync(code));

    private Task<HttpResponseMessage> RefreshAsync(string token, string secret = AppSecret) =>
        PostAsync("oauth/access", new { grant_type = "refresh_token", client_id = AppId, client_secret = secret, refresh_token = token });

    private Task<HttpResponseMessage> CredentialsAsync(Guid instanceId) => PostAsync(
        "oauth2/token", new { grant_type = "client_credentials", client_id = AppId, client_secret = AppSecret, instance_id = instanceId });

    private sealed class Swap(Action undo) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            undo();
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>An app that takes webhooks.</summary>
    private sealed class Receiver : IAsyncDisposable
    {
        private readonly WebApplication _app;

        private Receiver(WebApplication app) => _app = app;

        public ConcurrentQueue<string> Bodies { get; } = new();

        public ConcurrentQueue<string> ContentTypes { get; } = new();

        public int Status { get; set; } = StatusCodes.Status200OK;

        public Uri Url => new(new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First()), "hooks");

        public static async Task<Receiver> StartAsync()
        {
            var builder = WebApplication.CreateEmptyBuilder(new());
            builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
            var receiver = new Receiver(builder.Build());
            receiver._app.Run(async context =>
            {
                using var reader = new StreamReader(context.Request.Body);
                receiver.Bodies.Enqueue(await reader.ReadToEndAsync(context.RequestAborted));
                receiver.ContentTypes.Enqueue(context.Request.ContentType ?? "");
                context.Response.StatusCode = receiver.Status;
            });
            await receiver._app.StartAsync();
            return receiver;
        }

        public async ValueTask DisposeAsync()
        {
            await _app.StopAsync();
            await _app.DisposeAsync();
        }
    }
}
