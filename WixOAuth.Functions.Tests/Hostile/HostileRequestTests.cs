using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using CsCheck;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Pages;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Hostile;

/// <summary>
/// The public endpoints, over real HTTP, with requests that no client should send. Whatever it is: no failure of
/// ours, no hang, the contract's headers, only bodies that we wrote beforehand, no header that came from outside, and
/// neither the storage nor Wix is bothered by what is refused.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class HostileRequestTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly string[] s_ownHeaders =
    [
        // "Allow" is Kestrel's, on an invalid CONNECT.
        "Allow", "Cache-Control", "Connection", "Content-Length", "Content-Security-Policy", "Content-Type", "Cross-Origin-Opener-Policy", "Date", "Location",
        "Referrer-Policy", "Strict-Transport-Security", "Server", "Set-Cookie", "X-Content-Type-Options",
    ];

    private readonly HashSet<string> _pages = [];

    private static readonly string[] s_parameters =
        ["token", "start", "code", "state", "instanceId", "error", "error_description", "Code", "STATE", "code[]", "%63ode", "access_token", "", "redirectUrl", "appId"];

    private static readonly string[] s_keyedParameters = ["min_ttl", "rejected", "status", "limit", "cursor", "search", "x"];

    private static readonly RSA s_wixKey = RSA.Create(2048);

    private TestBed _bed = null!;
    private WatchedStore _store = null!;

    public async Task InitializeAsync()
    {
        _bed = await TestBed.StartAsync(
            azurite,
            services => services
                .Configure<KestrelServerOptions>(RawHttp.BePatient)
                .Replace(ServiceDescriptor.Singleton<IInstanceStore>(provider =>
                    _store = new WatchedStore(new TableStore(TableConnection.Open(provider.GetRequiredService<ServiceSettings>().Tables, null)))))
                .Replace(ServiceDescriptor.Singleton(provider => (IConsumedStateStore)provider.GetRequiredService<IInstanceStore>())),
            ("Wix__WebhookPublicKey", s_wixKey.ExportSubjectPublicKeyInfoPem()));
        Assert.NotNull(_store);
        const string AppUrl = "/api/install";
        _pages.UnionWith(await Task.WhenAll(
            [
                .. Enum.GetValues<InstallProblem>().SelectMany(problem => new[] { InstallPages.ProblemAsync(problem, AppUrl), InstallPages.LinkProblemAsync(problem) }),
                InstallPages.ConnectedAsync(),
                InstallPages.UsedHereAsync(AppUrl),
            ]));
    }

    public async Task DisposeAsync() => await _bed.DisposeAsync();

    [Fact]
    public async Task The_App_URL_redirects_or_refuses_and_nothing_else()
    {
        var (_, cookie) = await BeginAsync();
        await Requests("GET", "/api/install", Query(s_parameters), cookie).TryAsync(1_500, request => CheckAsync(request, answer =>
        {
            Assert.True(answer.Status is 302 or 400, $"{answer.Status}");
            if (answer.Status == 302)
            {
                AssertConsent(answer);
            }
            else
            {
                AssertPage(answer);
            }
        }));
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task The_Redirect_URL_refuses_an_install_that_it_did_not_start()
    {
        var (state, cookie) = await BeginAsync();
        var query = Gen.Select(
            Gen.Frequency((2, HostileText.InQuery), (3, HostileText.Change.Select(change => Uri.EscapeDataString(change(state))))),
            Gen.Frequency((1, HostileText.InQuery), (1, Gen.Const("good-code"))),
            Gen.Frequency((1, HostileText.InQuery), (1, Gen.Const("11111111-2222-4333-8444-555555555555"))),
            Query(s_parameters)).Select((foreign, code, id, more) => $"code={code}&instanceId={id}&state={foreign}&{more.Replace(state, "", StringComparison.Ordinal)}");
        await Requests("GET", "/api/redirect", query, cookie).TryAsync(1_500, request => CheckAsync(request, AssertRefused));
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task The_Redirect_URL_refuses_a_state_of_its_own_without_the_cookie_or_with_anything_else_wrong()
    {
        var (state, cookie) = await BeginAsync();
        var (name, value) = (cookie.Split('=')[0], cookie.Split('=')[1]);
        var cookies = Gen.Select(HostileText.Change, HostileText.InHeader).Select((change, more) => $"{name}={change(value)}!; {more.Replace(value, "", StringComparison.Ordinal)}");
        var badCookie = Requests("GET", "/api/redirect", Gen.Const($"code=c&state={state}&instanceId=11111111-2222-4333-8444-555555555555"), cookies);
        var badInstance = Gen.Select(HostileText.InQuery, HostileText.InQuery)
            .Select((code, id) => $"code={code}&state={state}&instanceId={id}");
        var denied = Gen.Select(HostileText.InQuery, HostileText.InQuery)
            .Select((code, error) => $"error=x{error}&code={code}&state={state}&instanceId=11111111-2222-4333-8444-555555555555");
        await Gen.OneOf(badCookie, Requests("GET", "/api/redirect", Gen.OneOf(badInstance, denied), Gen.Const(cookie)))
            .TryAsync(1_500, request => CheckAsync(request, AssertRefused));
        await AssertNothingHappenedAsync();
    }

    // A page on a neighbouring host of the same domain can set such names, which no browser takes for a __Host- cookie.
    [Theory]
    [InlineData("\u2000")]
    [InlineData("\u00a0")]
    [InlineData("\u3000")]
    [InlineData("\u2028")]
    [InlineData("\u0085")]
    public async Task A_cookie_whose_name_begins_with_a_Unicode_space_is_not_ours(string space)
    {
        var (state, cookie) = await BeginAsync();
        var planted = Encoding.Latin1.GetString(Encoding.UTF8.GetBytes($"Cookie: a=b; {space}{cookie}\r\n"));

        await CheckAsync(new HostileRequest("GET", "/api/redirect", $"code=c&state={state}&instanceId={Guid.NewGuid()}", planted, null), answer =>
        {
            AssertRefused(answer);
            Assert.EndsWith("foreign_state", answer.Header("Location"), StringComparison.Ordinal);
        });
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task A_problem_page_has_nothing_of_its_address()
    {
        var words = Gen.Frequency((1, HostileText.InQuery), (2, Gen.OneOf(Enum.GetValues<InstallProblem>()).Select(SnakeCaseEnum.Of)));
        await Gen.Select(words, Query(["x", "problem", "PROBLEM"])).Select((word, more) => new HostileRequest("GET", "/api/redirect", $"problem={word}&{more}", "", null))
            .TryAsync(500, request => CheckAsync(request, answer =>
            {
                if (answer.Status == 303)
                {
                    AssertRefused(answer);
                }
                else
                {
                    Assert.True(answer.Status is 400 or 403 or 500 or 502 or 503, $"{answer.Status}");
                    AssertPage(answer);
                }
            }));
        await AssertNothingHappenedAsync();
    }

    [Theory]
    [InlineData("Sec-Fetch-Site: same-origin\r\n", 400)]
    [InlineData("Origin: null\r\n", 400)]
    [InlineData("Sec-Fetch-Site: cross-site\r\n", 403)]
    [InlineData("Sec-Fetch-Site: same-site\r\n", 403)]
    [InlineData("Sec-Fetch-Site: none\r\n", 403)]
    [InlineData("Sec-Fetch-Site: cross-site\r\nOrigin: null\r\n", 403)]
    [InlineData("Origin: http://evil.example\r\n", 403)]
    [InlineData("Origin: null\r\nOrigin: null\r\n", 403)]
    [InlineData("", 403)]
    public async Task The_button_of_a_link_takes_no_link_that_we_did_not_make(string headers, int status)
    {
        var bodies = Gen.OneOf(HostileText.Body, HostileText.InQuery.Select(text => Encoding.Latin1.GetBytes($"start={text}")));
        await Gen.Select(bodies, Query(["start", "x"])).Select((body, query) => Post("/api/install", query, headers, body))
            .TryAsync(100, request => CheckAsync(request, answer =>
            {
                Assert.Equal(status, answer.Status);
                AssertPage(answer);
            }));
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task The_webhook_takes_nothing_that_Wix_did_not_sign()
    {
        var genuine = Sign("""{"alg":"RS256","kid":"one"}""", $$"""{"data":"{\"eventType\":\"AppRemoved\",\"instanceId\":\"{{Guid.NewGuid()}}\"}","iat":1770000000,"exp":4000000000}""");
        var bodies = Gen.Frequency(
            (3, HostileText.Body),
            (3, HostileText.Change.Array[1, 3].Select(changes => Encoding.UTF8.GetBytes(changes.Aggregate(genuine, (text, change) => change(text)) + (changes.Length > 1 ? "x" : "")))),
            (1, Gen.Select(HostileJson.Text, HostileJson.Text).Select((header, claims) => Encoding.UTF8.GetBytes($"{Encode(header)}.{Encode(claims)}.{genuine.Split('.')[2]}"))));
        await Gen.Select(bodies, Query(s_parameters), Headers(Gen.Const("a=b"))).Select((body, query, headers) => Post("/api/webhooks", query, headers, body))
            .TryAsync(1_500, request => CheckAsync(request, answer =>
            {
                Assert.True(answer.Status is 400 or 401 or 413, $"{answer.Status}");
                AssertProblem(answer);
            }));
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task A_webhook_that_Wix_signed_may_say_anything()
    {
        // Claims that could name an instance are left out: what Wix signs about one is applied, as it should be.
        var claims = Gen.Select(HostileJson.Object(HostileJson.Object(HostileJson.Text)), Gen.Bool).Select((json, alive) =>
            $"{json[..^1]}{(alive ? json == "{}" ? "\"exp\":4000000000" : ",\"exp\":4000000000" : "")}}}".Replace("11111111-", "11111111+", StringComparison.Ordinal));
        await Gen.Select(claims, Gen.OneOf("""{"alg":"RS256"}""", """{"\ud800":1,"alg":"RS256"}""", """{"alg":"RS256","crit":["b64"]}""", """{"alg":"RS256","typ":1}"""))
            .Select((body, header) => Post("/api/webhooks", "", "", Encoding.UTF8.GetBytes(Sign(header, body))))
            .TryAsync(800, request => CheckAsync(request, answer =>
            {
                Assert.True(answer.Status is 200 or 400 or 401 or 413, $"{answer.Status}");
                if (answer.Status != 200)
                {
                    AssertProblem(answer);
                }
            }));
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task Health_says_the_same_whatever_is_asked()
    {
        await Requests("GET", "/api/health", Query(s_parameters), Gen.Const("a=b")).TryAsync(500, request => CheckAsync(request, answer =>
        {
            Assert.Equal(200, answer.Status);
            Assert.Equal("""{"status":"healthy","storage":"healthy","secrets":"healthy","degraded":[]}""", Encoding.UTF8.GetString(answer.Body));
        }));
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task Other_methods_and_paths_are_not_there()
    {
        var wrong = Gen.Select(
            Gen.OneOf("PUT", "OPTIONS", "TRACE", "PATCH", "DELETE", "PROPFIND", "GETT"),
            Gen.OneOf("/api/install", "/api/status", "/api/redirect", "/api/health", "/api/webhooks%2f", "/api//install", "/api/install/..;/status", "/API/Install/x", "/api/redirect%00", "/api/%3Cscript%3E" + HostileText.Marker, "/", "/.git/config"),
            HostileText.InQuery);
        await wrong.Select((method, path, query) => new HostileRequest(method, path, query, "", null)).TryAsync(800, request => CheckAsync(request, answer =>
        {
            Assert.Equal(404, answer.Status);
            Assert.Empty(answer.Body);
        }));
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task Invalid_HTTP_does_not_reach_the_service()
    {
        var (state, cookie) = await BeginAsync();
        var whole = Gen.OneOf(
            Requests("GET", "/api/install", Query(s_parameters), cookie),
            Requests("GET", "/api/redirect", Gen.Const($"state={state}&instanceId=&code="), cookie),
            Gen.Select(HostileText.Body, Headers(Gen.Const(cookie))).Select((body, headers) => Post("/api/webhooks", "", headers, body)));
        var damage = Gen.Select(Gen.Int[0, 2], Gen.Double[0, 1], Gen.OneOf(Gen.Byte, Gen.OneOf<byte>(0, 9, 10, 13, 32, 34, 58, 127, 255)));
        await Gen.Select(whole, damage.Array[1, 5]).TryAsync(
            1_500,
            async (request, damages) =>
            {
                var bytes = damages.Aggregate(request.ToBytes().ToList(), Damage).ToArray();
                if (await RawHttp.SendAsync(_bed.Host.Url, bytes, endsThere: true) is { } answer)
                {
                    // 505 is the server's own, for another version of HTTP; 499 is for one who has left.
                    Assert.True(answer.Status < 500 || answer.Status == 505, $"{answer.Status}");
                    AssertNothingGotIn(answer);
                }
            });
        await AssertNothingHappenedAsync();

        static List<byte> Damage(List<byte> bytes, (int Kind, double Where, byte Value) damage)
        {
            // Within the head, where HTTP's rules are.
            var at = (int)(damage.Where * Math.Min(bytes.Count - 1, 600));
            switch (damage.Kind)
            {
                case 0:
                    bytes[at] = damage.Value;
                    break;
                case 1:
                    bytes.Insert(at, damage.Value);
                    break;
                default:
                    bytes.RemoveAt(at);
                    break;
            }

            return bytes;
        }
    }

    [Fact]
    public async Task However_many_cookies_come_few_are_read_and_few_are_set()
    {
        var cookies = string.Join("; ", Enumerable.Range(0, 400).Select(i => $"__Host-wix-install-{i:x16}=AAAA"));
        await CheckAsync(new HostileRequest("GET", "/api/install", "token=t", $"Cookie: {cookies}\r\n", null), AssertConsent);
    }

    [Theory]
    [InlineData("/api/webhooks", "Transfer-Encoding: chunked\r\n", "zz\r\n")]
    [InlineData("/api/webhooks", "Transfer-Encoding: chunked\r\n", "5\r\nab")]
    [InlineData("/api/webhooks", "Content-Length: 500\r\n", "ab")]
    [InlineData("/api/install-links", "Transfer-Encoding: chunked\r\n", "zz\r\n")]
    [InlineData("/api/install-links", "Transfer-Encoding: chunked\r\n", "5\r\nab")]
    [InlineData("/api/install-links", "Content-Length: 500\r\n", "ab")]
    public async Task A_body_that_breaks_off_is_the_senders_fault(string path, string header, string body)
    {
        var request = $"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-functions-key: {TestBed.FunctionKey}\r\n{header}\r\n{body}";

        // An invalid chunk is noticed at once; a body that is too short only when nothing more comes.
        var isNone = body.StartsWith("zz", StringComparison.Ordinal);
        var answer = await RawHttp.SendAsync(_bed.Host.Url, Encoding.ASCII.GetBytes(request), endsThere: !isNone);

        Assert.True(isNone ? answer?.Status == 400 : answer is null or { Status: < 500 }, $"{answer?.Status}");
        await AssertNothingHappenedAsync();
    }

    [Fact]
    public async Task A_caller_with_the_key_cannot_make_it_fail_either()
    {
        var key = $"x-functions-key: {TestBed.FunctionKey}\r\n";
        var paths = Gen.OneOf("/api/instances/{0}/token", "/api/instances/{0}", "/api/instances", "/api/status/view");
        var read = Gen.Select(paths, HostileText.InQuery, Query(s_keyedParameters)).Select((path, id, query) => new HostileRequest(
            "GET", path.Replace("{0}", id.Replace("?", "", StringComparison.Ordinal).Replace("/", "", StringComparison.Ordinal), StringComparison.Ordinal), query, key, null));
        var written = HostileText.Body.Select(body => Post("/api/install-links", "", key, body));
        var named = Gen.Select(HostileJson.Text, HostileText.InHeader)
            .Select((json, name) => Post("/api/install-links", "", key, Encoding.UTF8.GetBytes($"{{\"x\":{json},\"customer\":{json},\"\\ud800\":\"{name}\"}}")));
        var set = HostileText.Body.Select(body => new HostileRequest("PUT", $"/api/instances/{Guid.NewGuid()}/customer", "", key, body));
        await Gen.OneOf(read, written, named, set).TryAsync(1_500, async request =>
        {
            // Some of these paths are none at all to the server.
            var answer = await RawHttp.SendAsync(_bed.Host.Url, request.ToBytes());
            Assert.NotNull(answer);
            Assert.InRange(answer.Status, 200, 499);
        });
        Assert.Empty(_bed.Logs.Lines(LogLevel.Error));
        Assert.Empty(await _bed.RowsAsync());
    }

    private async Task CheckAsync(HostileRequest request, Action<RawAnswer> check)
    {
        var answer = await RawHttp.SendAsync(_bed.Host.Url, request.ToBytes());
        if (request.MayBeRefusedByTheServer
            && (answer is null || (answer is { Body.Length: 0, Status: 400 or 408 or 411 or 413 or 414 or 431 } && answer.Header("Referrer-Policy") is null)))
        {
            return;
        }

        Assert.NotNull(answer);
        AssertNothingGotIn(answer);

        // An empty 401 or 404 is the host's own.
        if (answer is not { Body.Length: 0, Status: 401 or 404 })
        {
            Assert.Equal("no-store", answer.Header("Cache-Control"));
            Assert.Equal("no-referrer", answer.Header("Referrer-Policy"));
            Assert.Equal("nosniff", answer.Header("X-Content-Type-Options"));
        }

        check(answer);
    }

    // Holds for every answer of everything that is on this port.
    private static void AssertNothingGotIn(RawAnswer answer)
    {
        Assert.All(answer.Headers, header =>
        {
            Assert.Contains(header.Name, s_ownHeaders);
            Assert.All(header.Value, c => Assert.InRange(c, ' ', '~'));
            if (header.Name == "Set-Cookie")
            {
                Assert.Matches("^__Host-wix-install-[0-9a-f]{16}=[A-Za-z0-9_-]*; max-age=(600|0); path=/; secure; samesite=none; httponly; Partitioned$", header.Value);
            }
            else
            {
                Assert.Single(answer.Headers, other => other.Name.Equals(header.Name, StringComparison.OrdinalIgnoreCase));
            }
        });
        Assert.InRange(answer.Headers.Count(header => header.Name == "Set-Cookie"), 0, 13);
        Assert.DoesNotContain(HostileText.Marker, Encoding.UTF8.GetString(answer.Body), StringComparison.Ordinal);
    }

    private void AssertConsent(RawAnswer answer)
    {
        Assert.Empty(answer.Body);
        Assert.Equal("unsafe-none", answer.Header("Cross-Origin-Opener-Policy"));
        var location = answer.Header("Location")!;
        var prefix = $"{_bed.Wix.InstallerUrl.AbsoluteUri}/install?";
        Assert.StartsWith(prefix, location, StringComparison.Ordinal);
        var parameters = location[prefix.Length..].Split('&').Select(parameter => parameter.Split('=')).ToList();
        Assert.All(parameters, parameter =>
        {
            Assert.Equal(2, parameter.Length);
            Assert.Matches("^[A-Za-z0-9._~%-]*$", parameter[1]);
        });
        Assert.Equal(["appId", "redirectUrl", "state"], parameters.Select(parameter => parameter[0]).Where(name => name != "token"));
        Assert.Equal(TestBed.AppId, parameters.Single(parameter => parameter[0] == "appId")[1]);
        Assert.Equal(_bed.Settings["Wix__RedirectUrl"], Uri.UnescapeDataString(parameters.Single(parameter => parameter[0] == "redirectUrl")[1]));
        Assert.InRange(parameters.Single(parameter => parameter[0] == "state")[1].Length, 1, 199);
        Assert.InRange(parameters.Count(parameter => parameter[0] == "token"), 0, 1);
    }

    private static void AssertRefused(RawAnswer answer)
    {
        Assert.Equal(303, answer.Status);
        Assert.Contains(answer.Header("Location"), Enum.GetValues<InstallProblem>().Select(problem => $"/api/redirect?problem={SnakeCaseEnum.Of(problem)}"));
        Assert.Equal("unsafe-none", answer.Header("Cross-Origin-Opener-Policy"));
        Assert.Null(answer.Header("Set-Cookie"));
        Assert.Empty(answer.Body);
    }

    private void AssertPage(RawAnswer answer)
    {
        Assert.Contains(Encoding.UTF8.GetString(answer.Body), _pages);
        Assert.Equal("text/html; charset=utf-8", answer.Header("Content-Type"));
        Assert.Equal("unsafe-none", answer.Header("Cross-Origin-Opener-Policy"));
        Assert.Equal(Page.ContentSecurityPolicy, answer.Header("Content-Security-Policy"));
        Assert.Null(answer.Header("Location"));
        Assert.Null(answer.Header("Set-Cookie"));
    }

    private static void AssertProblem(RawAnswer answer)
    {
        Assert.Equal("application/problem+json; charset=utf-8", answer.Header("Content-Type"));
        Assert.Matches("""^\{"type":"about:blank","title":"[A-Za-z0-9 ,.]+","status":4\d\d,"code":"[a-z_]+"\}$""", Encoding.UTF8.GetString(answer.Body));
    }

    private async Task AssertNothingHappenedAsync()
    {
        await _bed.SettleAsync();
        Assert.All(_store.Calls, call => Assert.True(
            call.Method == nameof(IInstanceStore.InitializeAsync)
            || (call.Method == nameof(IInstanceStore.FindAsync) && call.Id == default(InstanceId)), // The question that Health asks.
            call.Method));
        Assert.Empty(await _bed.RowsAsync());
        Assert.Empty(_bed.Wix.Control.Calls);
        Assert.Empty(_bed.Logs.Lines(LogLevel.Error));
        Assert.Empty(_bed.Logs.Lines(LogLevel.Critical));
        Assert.DoesNotContain(HostileText.Marker, _bed.Logs.Everything, StringComparison.Ordinal);
    }

    private async Task<(string State, string Cookie)> BeginAsync()
    {
        using var browser = new TestBrowser();
        var consent = TestBrowser.LocationOf(await browser.GetAsync(new Uri(_bed.Api, "install")));
        var (name, value) = Assert.Single(browser.Cookies);
        return (TestBed.QueryOf(consent)["state"], $"{name}={value}");
    }

    private static Gen<string> Query(string[] names) => Gen.Frequency(
        (6, Gen.Select(Gen.OneOf(names), HostileText.InQuery).Select((name, value) => $"{name}={value}").Array[0, 6].Select(pairs => string.Join('&', pairs))),
        (1, HostileText.InQuery),
        (1, Gen.Int[100, 2_000].Select(count => string.Concat(Enumerable.Repeat("a&", count)))));

    private static Gen<string> Headers(Gen<string> cookies) => Gen.Select(
        cookies,
        Gen.Select(
            Gen.OneOf("Cookie", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "Forwarded", "X-Original-URL", "X-HTTP-Method-Override", "x-functions-key", "Origin", "Referer", "Accept", "Content-Type", "Accept-Encoding", "Range", "Upgrade", "If-None-Match"),
            HostileText.InHeader).Select((name, value) => $"{name}: {value}\r\n").Array[0, 5]).Select((cookie, headers) => $"Cookie: {cookie}\r\n{string.Concat(headers)}");

    private static Gen<HostileRequest> Requests(string method, string path, Gen<string> query, string cookie) => Requests(
        method,
        path,
        query,
        Gen.Frequency(
            (1, Gen.Const(cookie)),
            (2, HostileText.Change.Select(change => change(cookie))),
            (1, Gen.Select(Gen.Char['!', '~'].Array[0, 20], HostileText.InHeader).Select((name, value) => $"__Host-wix-install-{new string(name)}={value}").Array[1, 20].Select(cookies => string.Join("; ", cookies)))));

    private static Gen<HostileRequest> Requests(string method, string path, Gen<string> query, Gen<string> cookies) =>
        Gen.Select(query, Headers(cookies)).Select((text, headers) => new HostileRequest(method, path, text, headers, null));

    private static HostileRequest Post(string path, string query, string headers, byte[] body) => new("POST", path, query, headers, body);

    private static string Sign(string header, string claims)
    {
        var signed = $"{Encode(header)}.{Encode(claims)}";
        lock (s_wixKey)
        {
            return $"{signed}.{Base64Url.EncodeToString(s_wixKey.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
        }
    }

    private static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}

/// <summary>A request that keeps to the grammar of HTTP, whatever is in it.</summary>
internal sealed record HostileRequest(string Method, string Path, string Query, string Headers, byte[]? Body)
{
    // Kestrel's: 8 KiB for the request line, 32 KiB for all headers.
    private const int LongestLine = 8_000;
    private const int LongestHeaders = 30_000;

    /// <summary>Whether it is beyond what the server takes, or of a kind that the server itself handles, so that it may never reach the service.</summary>
    public bool MayBeRefusedByTheServer =>
        Method.Length + Path.Length + Query.Length > LongestLine
        || Headers.Length > LongestHeaders
        || Method is "TRACE" or "GETT"
        || Path.Contains("%00", StringComparison.Ordinal)
        || Headers.Contains("Upgrade:", StringComparison.Ordinal)
        || Body?.Length > 65_000;

    public byte[] ToBytes()
    {
        var head = $"{Method} {Path}{(Query.Length == 0 ? "" : $"?{Query}")} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{Headers}"
            + (Body is null ? "" : $"Content-Length: {Body.Length}\r\n") + "\r\n";
        return [.. Encoding.Latin1.GetBytes(head), .. Body ?? []];
    }

    public override string ToString() => Encoding.Latin1.GetString(ToBytes());
}
