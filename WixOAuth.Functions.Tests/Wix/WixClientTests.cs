using System.Net;
using System.Text;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Wix;

public sealed class WixClientTests : IDisposable
{
    private static readonly AuthorizationCode Code = new("the-code");
    private static readonly RefreshToken Refresh = new("the-refresh-token");
    private static readonly AppSecret Secret = new("the-app-secret");

    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    [Fact]
    public void The_longest_call_has_room_for_two_attempts_and_a_pause() =>
        Assert.Equal(TimeSpan.FromSeconds(18), WixClient.LongestTokenCall);

    [Fact]
    public async Task Exchange_sends_what_Wix_documents()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("a", "r"));

        var answer = await ExchangeAsync();

        var (path, body, authorization) = Assert.Single(_core.Wix.Calls);
        Assert.Equal("/oauth/access", path);
        Assert.Equal(
            $$"""{"grant_type":"authorization_code","client_id":"{{_core.Settings.Wix.AppId}}","client_secret":"the-app-secret","code":"the-code"}""",
            body!.Value.GetRawText());
        Assert.Null(authorization);
        var granted = Assert.IsType<TokenAnswer.Granted>(answer);
        Assert.Equal(("a", "r"), (granted.AccessToken.Reveal(), granted.RefreshToken!.Reveal()));
    }

    [Fact]
    public async Task Refresh_and_client_credentials_send_what_Wix_documents()
    {
        var id = Core.NewId();
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("a"));

        await _core.Client.RefreshAsync(Refresh, Secret, CancellationToken.None);
        await _core.Client.RequestClientCredentialsTokenAsync(id, Secret, CancellationToken.None);

        Assert.Equal(
            [
                ("/oauth/access", $$"""{"grant_type":"refresh_token","client_id":"{{_core.Settings.Wix.AppId}}","client_secret":"the-app-secret","refresh_token":"the-refresh-token"}"""),
                ("/oauth2/token", $$"""{"grant_type":"client_credentials","client_id":"{{_core.Settings.Wix.AppId}}","client_secret":"the-app-secret","instance_id":"{{id}}"}"""),
            ],
            _core.Wix.Calls.Select(call => (call.Path, call.Body!.Value.GetRawText())));
    }

    [Fact]
    public async Task Calls_for_an_instance_carry_the_bare_token()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json(HttpStatusCode.OK, "{}"));

        Assert.Equal(WixResponseKind.Success, await _core.Client.SendSetupCompletedAsync(new AccessToken("the-token"), CancellationToken.None));
        await _core.Client.GetAppInstanceAsync(new AccessToken("the-token"), CancellationToken.None);

        Assert.Equal(
            [("/apps/v1/bi-event", "the-token", """{"eventName":"APP_FINISHED_CONFIGURATION"}"""), ("/apps/v1/instance", "the-token", null)],
            _core.Wix.Calls.Select(call => (call.Path, call.Authorization, call.Body?.GetRawText())));
    }

    [Theory]
    [InlineData(400)]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(404)]
    public async Task A_rejection_is_not_retried(int status)
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(status));

        Assert.IsType<TokenAnswer.Rejected>(await ExchangeAsync());
        Assert.IsType<TokenAnswer.Rejected>(await RefreshAsync());
        Assert.Equal(2, _core.Wix.Calls.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("<!DOCTYPE html><title>403 Forbidden</title>")]
    [InlineData("Forbidden")]
    [InlineData("[]")]
    [InlineData("\"no\"")]
    [InlineData("null")]
    [InlineData("{\"message\":")]
    public async Task A_refusal_without_a_JSON_object_is_not_a_rejection(string body)
    {
        foreach (var status in new[] { 400, 401, 403, 404 })
        {
            using var core = new Core();
            core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json((HttpStatusCode)status, body));

            Assert.Equal(
                new TokenAnswer.Unavailable(TokenError.WixUnavailable, null),
                await core.RunAsync(() => core.Client.RefreshAsync(Refresh, Secret, CancellationToken.None)));
            Assert.Equal(
                new TokenAnswer.Unavailable(TokenError.WixUnavailable, null),
                await core.RunAsync(() => core.Client.ExchangeCodeAsync(Code, Secret, CancellationToken.None)));
            Assert.Equal(
                WixResponseKind.Unavailable, await core.RunAsync(() => core.Client.SendSetupCompletedAsync(new AccessToken("t"), CancellationToken.None)));
        }
    }

    [Theory]
    [InlineData("utf-8", true)]
    [InlineData("utf-8", false)]
    [InlineData("utf-16", true)]
    [InlineData("utf-16", false)]
    [InlineData("utf-32", true)]
    [InlineData("iso-8859-1", false)]
    [InlineData(null, true)]
    [InlineData("no-such-charset", false)]
    public async Task A_body_is_read_in_its_charset_with_or_without_a_byte_order_mark(string? charset, bool hasMark)
    {
        var encoding = charset is null or "no-such-charset" ? Encoding.UTF8 : Encoding.GetEncoding(charset);
        var preamble = hasMark ? encoding.GetPreamble() : [];
        HttpResponseMessage Answer(HttpStatusCode status, string json)
        {
            var content = new ByteArrayContent([.. preamble, .. encoding.GetBytes(json)]);
            content.Headers.TryAddWithoutValidation("Content-Type", charset is null ? "application/json" : $"application/json; charset=\"{charset}\"");
            return new HttpResponseMessage(status) { Content = content };
        }

        _core.Wix.Answer = (path, _, _) => Task.FromResult(
            path == "/apps/v1/instance" ? Answer(HttpStatusCode.OK, """{"instance":{},"site":{"siteDisplayName":"Café"}}""")
            : _core.Wix.Calls.Count == 1 ? Answer(HttpStatusCode.OK, """{"access_token":"a","refresh_token":"r"}""")
            : Answer(HttpStatusCode.Forbidden, """{"message":"no"}"""));

        var granted = Assert.IsType<TokenAnswer.Granted>(await ExchangeAsync());
        Assert.Equal(("a", "r"), (granted.AccessToken.Reveal(), granted.RefreshToken!.Reveal()));
        Assert.IsType<TokenAnswer.Rejected>(await RefreshAsync());
        Assert.Equal("Café", (await _core.Client.GetAppInstanceAsync(new AccessToken("t"), CancellationToken.None))!.Site!.Name);
    }

    [Theory]
    [InlineData("1733000000.12345678901234-ab_c:d", "1733000000.12345678901234-ab_c:d")]
    [InlineData("id with spaces", "(null)")]
    [InlineData("<script>", "(null)")]
    [InlineData("", "(null)")]
    [InlineData(null, "(null)")]
    [InlineData("01234567890123456789012345678901234567890123456789012345678901234", "(null)")]
    public async Task A_failed_call_is_logged_with_the_request_id_of_Wix_if_it_is_one(string? sent, string logged)
    {
        _core.Wix.Answer = (_, _, _) =>
        {
            var answer = StubWix.Status(403);
            if (sent is not null)
            {
                answer.Headers.TryAddWithoutValidation("x-wix-request-id", sent);
            }

            return Task.FromResult(answer);
        };

        await RefreshAsync();

        Assert.Equal($"Call refresh to Wix failed: rejected, status 403, Wix request id {logged}", Assert.Single(_core.Logs.Of(703)));
    }

    [Fact]
    public async Task Failed_calls_fill_the_log_with_a_bounded_number_of_lines()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));
        for (var i = 0; i < 100; i++)
        {
            await ExchangeAsync();
        }

        Assert.Equal(WixTransport.MostLogged, _core.Logs.Of(703).Count);

        // Those of another endpoint are still logged.
        await RefreshAsync();
        Assert.Single(_core.Logs.Of(703), line => line.StartsWith("Call refresh to Wix failed", StringComparison.Ordinal));

        _core.Clock.Advance(TimeSpan.FromMinutes(1));
        await ExchangeAsync();

        Assert.Equal(WixTransport.MostLogged + 2, _core.Logs.Of(703).Count);
        Assert.StartsWith($"{100 - WixTransport.MostLogged} more failed calls", Assert.Single(_core.Logs.Of(704)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(408, 1, 2)]
    [InlineData(429, 3, 1)]
    [InlineData(500, 1, 2)]
    [InlineData(502, 1, 2)]
    [InlineData(503, 3, 2)]
    [InlineData(504, 1, 2)]
    [InlineData(302, 1, 2)]
    public async Task A_code_is_sent_again_only_where_it_was_surely_not_spent(int status, int exchanges, int refreshes)
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(status));

        Assert.IsType<TokenAnswer.Unavailable>(await ExchangeAsync());
        Assert.Equal(exchanges, _core.Wix.Calls.Count);

        _core.Wix.Calls.Clear();
        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync());
        Assert.Equal(refreshes, _core.Wix.Calls.Count);
    }

    [Theory]
    [InlineData(HttpRequestError.ConnectionError, 3)]
    [InlineData(HttpRequestError.NameResolutionError, 3)]
    [InlineData(HttpRequestError.SecureConnectionError, 3)]
    [InlineData(HttpRequestError.ResponseEnded, 1)]
    [InlineData(HttpRequestError.InvalidResponse, 1)]
    [InlineData(HttpRequestError.ConfigurationLimitExceeded, 1)]
    [InlineData(HttpRequestError.Unknown, 1)]
    public async Task A_code_is_sent_again_only_if_no_connection_was_made(HttpRequestError error, int exchanges)
    {
        _core.Wix.Answer = (_, _, _) => throw new HttpRequestException(error, "stopped");

        Assert.Equal(new TokenAnswer.Unavailable(TokenError.WixUnavailable, null), await ExchangeAsync());
        Assert.Equal(exchanges, _core.Wix.Calls.Count);
    }

    [Fact]
    public async Task A_connection_that_is_not_made_in_time_is_no_answer_and_the_call_is_sent_again()
    {
        _core.Wix.Answer = (_, _, _) => throw new TaskCanceledException("too slow", new TimeoutException());

        Assert.IsType<TokenAnswer.Unavailable>(await ExchangeAsync());
        Assert.Equal(3, _core.Wix.Calls.Count);

        _core.Wix.Calls.Clear();
        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync());
        Assert.Equal(2, _core.Wix.Calls.Count);
    }

    /// <summary>What the test above relies on: no <see cref="HttpRequestException"/>, though nobody has cancelled anything.</summary>
    [Fact]
    public async Task Handlers_raise_their_own_timeout_of_a_connection_as_a_cancellation()
    {
        using var handler = new SocketsHttpHandler
        {
            ConnectTimeout = TimeSpan.FromTicks(1),
            ConnectCallback = async (_, token) =>
            {
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
                return Stream.Null;
            },
        };
        using var http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan };

        var raised = await Assert.ThrowsAsync<TaskCanceledException>(() => http.GetAsync(new Uri("http://wix.example"), CancellationToken.None));

        Assert.IsType<TimeoutException>(raised.InnerException);
    }

    [Fact]
    public async Task A_hanging_call_times_out()
    {
        List<TimeSpan> durations = [];
        _core.Wix.Answer = async (_, _, token) =>
        {
            var start = _core.Clock.GetUtcNow();
            token.Register(() => durations.Add(_core.Clock.GetUtcNow() - start));
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, token);
            throw new InvalidOperationException("unreachable");
        };

        Assert.IsType<TokenAnswer.Unavailable>(await ExchangeAsync());
        Assert.Equal([WixClient.AttemptTimeout], durations);

        Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync());
        Assert.Equal([WixClient.AttemptTimeout, WixClient.AttemptTimeout, WixClient.AttemptTimeout], durations);
    }

    [Theory]
    [InlineData("1", 2, 1)]
    [InlineData("45", 1, 45)]
    [InlineData("3600", 1, 60)]
    [InlineData("999999", 1, 60)]
    [InlineData("Mon, 04 May 2026 03:12:01 GMT", 1, 60)]
    [InlineData("Mon, 04 May 2026 03:01:01 GMT", 2, 0)]
    [InlineData("rubbish", 2, null)]
    [InlineData("-5", 2, null)]
    public async Task Retry_After_is_honoured_or_passed_on_up_to_a_minute(string retryAfter, int calls, int? seconds)
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, retryAfter));

        var unavailable = Assert.IsType<TokenAnswer.Unavailable>(await RefreshAsync());

        Assert.Equal(calls, _core.Wix.Calls.Count);
        Assert.Equal(seconds, unavailable.RetryAfter?.TotalSeconds);
    }

    [Fact]
    public async Task A_second_try_that_succeeds_is_a_success()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(_core.Wix.Calls.Count == 1 ? StubWix.Status(503) : StubWix.Tokens("a", "r"));

        Assert.IsType<TokenAnswer.Granted>(await ExchangeAsync());
        Assert.Equal(2, _core.Wix.Calls.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{\"access_token\":")]
    [InlineData("{}")]
    [InlineData("""{"access_token":""}""")]
    [InlineData("""{"access_token":null}""")]
    [InlineData("""{"access_token":{}}""")]
    [InlineData("""{"access_token":"two words"}""")]
    [InlineData("""{"access_token":"line\r\nbreak"}""")]
    [InlineData("""{"access_token":"\ud800"}""")]
    [InlineData("""{"access_token":"ünvisible"}""")]
    [InlineData("<html>Welcome</html>")]
    public async Task An_answer_without_a_usable_token_is_none(string body)
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json(HttpStatusCode.OK, body));

        Assert.Equal(new TokenAnswer.Unavailable(TokenError.UnexpectedAnswer, null), await RefreshAsync());
        Assert.Single(_core.Wix.Calls);
    }

    [Theory]
    [InlineData(null, null, null, 300)]
    [InlineData("240", null, null, 240)]
    [InlineData("\"240\"", null, null, 240)]
    [InlineData("14400", null, null, 300)]
    [InlineData("0", null, null, 300)]
    [InlineData("-1", null, null, 300)]
    [InlineData("1e99", null, null, 300)]
    [InlineData("\"soon\"", null, null, 300)]
    [InlineData(null, 1_000_000, 1_000_120, 120)]
    [InlineData("60", 1_000_000, 1_000_120, 60)]
    [InlineData(null, 1_000_000, 999_000, 300)]
    public async Task The_shortest_life_that_makes_sense_wins(string? expiresIn, int? iat, int? exp, int seconds)
    {
        var token = iat is null ? "plain" : Jwt($$"""{"iat":{{iat}},"exp":{{exp}}}""");
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json(
            HttpStatusCode.OK, $$"""{"access_token":"{{token}}"{{(expiresIn is null ? "" : $",\"expires_in\":{expiresIn}")}}}"""));

        var granted = Assert.IsType<TokenAnswer.Granted>(await RefreshAsync());

        Assert.Equal(TestClock.Start, granted.IssuedAt);
        Assert.Equal(TimeSpan.FromSeconds(seconds), granted.ExpiresOn - granted.IssuedAt);
    }

    [Fact]
    public async Task A_minted_token_lives_as_long_as_Wix_says_and_as_the_setting_where_it_does_not()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("a", expiresIn: _core.Wix.Calls.Count == 1 ? 14_400 : null));

        var first = Assert.IsType<TokenAnswer.Granted>(await RequestTokenAsync());
        var second = Assert.IsType<TokenAnswer.Granted>(await RequestTokenAsync());

        Assert.Equal(TimeSpan.FromHours(4), first.ExpiresOn - first.IssuedAt);
        Assert.Equal(TimeSpan.FromMinutes(5), second.ExpiresOn - second.IssuedAt);
    }

    [Fact]
    public async Task A_life_counts_from_before_the_request_was_sent()
    {
        _core.Wix.Answer = (_, _, _) =>
        {
            _core.Clock.Advance(TimeSpan.FromSeconds(7));
            return Task.FromResult(StubWix.Tokens("a"));
        };

        var granted = Assert.IsType<TokenAnswer.Granted>(await RefreshAsync());

        Assert.Equal(TestClock.Start + TimeSpan.FromMinutes(5), granted.ExpiresOn);
    }

    [Theory]
    [InlineData("""{"active":"true","clientId":"app","instanceId":"0a0a0a0a-1111-4111-8111-111111111111","exp":"1700000300","iat":"1700000000"}""")]
    [InlineData("""{"active":true,"clientId":"app","instanceId":"0A0A0A0A-1111-4111-8111-111111111111","exp":1700000300,"iat":1700000000}""")]
    public async Task Token_info_is_read_leniently(string body)
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json(HttpStatusCode.OK, body));

        var info = await _core.Client.GetTokenInfoAsync(new AccessToken("the-token"), CancellationToken.None);

        Assert.Equal(
            new TokenInfo(true, "app", new InstanceId(Guid.Parse("0a0a0a0a-1111-4111-8111-111111111111")), DateTimeOffset.FromUnixTimeSeconds(1_700_000_000)),
            info);
        Assert.Equal("""{"token":"the-token"}""", _core.Wix.Calls.Single().Body!.Value.GetRawText());
    }

    [Fact]
    public async Task Get_App_Instance_returns_the_site()
    {
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Json(
            HttpStatusCode.OK,
            """{"instance":{"instanceId":"0a0a0a0a-1111-4111-8111-111111111111","appVersion":"2.1"},"site":{"siteId":"s","siteDisplayName":"Ann's <Café>","url":"https://ann.example"}}"""));

        var instance = await _core.Client.GetAppInstanceAsync(new AccessToken("t"), CancellationToken.None);

        Assert.Equal(
            new AppInstance(
                new InstanceId(Guid.Parse("0a0a0a0a-1111-4111-8111-111111111111")), "2.1", new Site("s", "Ann's <Café>", "https://ann.example")),
            instance);
    }

    [Fact]
    public async Task Only_the_callers_own_cancellation_is_raised()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _core.Client.RefreshAsync(Refresh, Secret, cancelled.Token));
    }

    private static string Jwt(string claims) =>
        $"OAUTH2.{Encode("""{"alg":"HS256"}""")}.{Encode(claims)}.c2ln";

    private static string Encode(string json) => System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));

    private Task<TokenAnswer> ExchangeAsync() => _core.RunAsync(() => _core.Client.ExchangeCodeAsync(Code, Secret, CancellationToken.None));

    private Task<TokenAnswer> RefreshAsync() => _core.RunAsync(() => _core.Client.RefreshAsync(Refresh, Secret, CancellationToken.None));

    private Task<TokenAnswer> RequestTokenAsync() => _core.RunAsync(() => _core.Client.RequestClientCredentialsTokenAsync(Core.NewId(), Secret, CancellationToken.None));
}
