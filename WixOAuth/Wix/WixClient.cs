using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Polly;
using Polly.Retry;
using Polly.Timeout;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Wix;

/// <summary>
/// Wix's endpoints, one method for each fact of wix-protocol.md. No method raises anything but
/// <see cref="OperationCanceledException"/>, for its caller's own token: whatever Wix or the network does is an answer.
/// </summary>
/// <remarks>
/// Redirects are never followed, since the secrets of a request would go along. A body over 256 KiB is not read.
/// </remarks>
public sealed class WixClient
{
    /// <summary>The longest one attempt may take.</summary>
    public static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(8);

    // Before what is made of it: fields are initialized in the order of the text.
    private static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(2);

    /// <summary>
    /// The longest a refresh or a mint may take, attempts and pauses together: leases have to last longer.
    /// </summary>
    public static readonly TimeSpan LongestTokenCall = (AttemptTimeout * 2) + MaxPause;

    private const int MaxDescription = 1_000;

    private readonly HttpClient _http;
    private readonly HttpClient _exchangeHttp;
    private readonly WixOptions _wix;
    private readonly TokensOptions _tokens;
    private readonly Telemetry _telemetry;
    private readonly TimeProvider _time;
    private readonly ResiliencePipeline _attempt;
    private readonly ResiliencePipeline<WixResponse> _whenSurelyNotProcessed;
    private readonly ResiliencePipeline<WixResponse> _whenUnavailable;

    /// <summary>Makes a client.</summary>
    /// <param name="http">For every call but the exchange of a code.</param>
    /// <param name="exchangeHttp">
    /// For the exchange: never reuses a connection, because the handler of a reused one sends a request again on its
    /// own when the server closes it, and a code must not be sent twice.
    /// </param>
    /// <param name="settings">The app and where Wix is.</param>
    /// <param name="telemetry">What counts the calls.</param>
    /// <param name="time">The clock.</param>
    public WixClient(HttpClient http, HttpClient exchangeHttp, ServiceSettings settings, Telemetry telemetry, TimeProvider time)
    {
        _http = http;
        _exchangeHttp = exchangeHttp;
        _wix = settings.Wix;
        _tokens = settings.Tokens;
        _telemetry = telemetry;
        _time = time;
        _attempt = new ResiliencePipelineBuilder { TimeProvider = time }.AddTimeout(AttemptTimeout).Build();
        _whenSurelyNotProcessed = Retry(response => response.SurelyNotProcessed, maxRetries: 2);
        _whenUnavailable = Retry(response => response.Kind == WixResponseKind.Unavailable, maxRetries: 1);
    }

    /// <summary>
    /// Exchanges a code for tokens (wix-protocol §5; RFC 6749 §4.1.3). Tried again only where the code was surely not
    /// spent: no connection, 429, 503. Any other unclear end may have spent it.
    /// </summary>
    public Task<TokenAnswer> ExchangeCodeAsync(AuthorizationCode code, AppSecret secret, CancellationToken cancellationToken) =>
        RequestTokenAsync(
            "exchange",
            _exchangeHttp,
            _whenSurelyNotProcessed,
            "/oauth/access",
            json => WriteGrant(json, "authorization_code", secret, "code", code.Reveal()),
            _tokens.Lifetime,
            cancellationToken);

    /// <summary>Has a new access token for a refresh token (wix-protocol §5; RFC 6749 §6).</summary>
    public Task<TokenAnswer> RefreshAsync(RefreshToken refreshToken, AppSecret secret, CancellationToken cancellationToken) =>
        RequestTokenAsync(
            "refresh",
            _http,
            _whenUnavailable,
            "/oauth/access",
            json => WriteGrant(json, "refresh_token", secret, "refresh_token", refreshToken.Reveal()),
            _tokens.Lifetime,
            cancellationToken);

    /// <summary>Has an access token for an instance with the app's own credentials (wix-protocol §8; RFC 6749 §4.4).</summary>
    public Task<TokenAnswer> MintAsync(InstanceId id, AppSecret secret, CancellationToken cancellationToken) =>
        RequestTokenAsync(
            "mint",
            _http,
            _whenUnavailable,
            "/oauth2/token",
            json => WriteGrant(json, "client_credentials", secret, "instance_id", id.ToString()),
            longest: null,
            cancellationToken);

    /// <summary>Asks whose an access token is (wix-protocol §8); null when no usable answer came.</summary>
    public async Task<TokenInfo?> GetTokenInfoAsync(AccessToken accessToken, CancellationToken cancellationToken)
    {
        var response = await SendAsync(
            "token_info",
            _http,
            _whenUnavailable,
            () => Post("/oauth2/token-info", json => json.WriteString("token", accessToken.Reveal())),
            cancellationToken);
        return response.Kind == WixResponseKind.Success && response.Body is { } body
            ? new TokenInfo(body.Flag("active"), body.Text("clientId"), ReadInstanceId(body), body.UnixTime("iat"))
            : null;
    }

    /// <summary>Get App Instance (wix-protocol §6); null when no usable answer came.</summary>
    public async Task<AppInstance?> GetAppInstanceAsync(AccessToken accessToken, CancellationToken cancellationToken)
    {
        var response = await SendAsync(
            "app_instance",
            _http,
            _whenUnavailable,
            () => Authorized(new HttpRequestMessage(HttpMethod.Get, Url("/apps/v1/instance")), accessToken),
            cancellationToken);
        if (response.Kind != WixResponseKind.Success || response.Body?.Object("instance") is not { } instance)
        {
            return null;
        }

        var site = response.Body?.Object("site") is { } s ? new Site(Short(s.Text("siteId")), Short(s.Text("siteDisplayName")), Short(s.Text("url"))) : null;
        return new AppInstance(ReadInstanceId(instance), Short(instance.Text("appVersion")), site);
    }

    /// <summary>Sends the BI event <c>APP_FINISHED_CONFIGURATION</c> (wix-protocol §6): the instance's set-up is complete.</summary>
    public async Task<Delivery> SendSetupCompletedAsync(AccessToken accessToken, CancellationToken cancellationToken)
    {
        var response = await SendAsync(
            "bi_event",
            _http,
            _whenUnavailable,
            () => Authorized(Post("/apps/v1/bi-event", json => json.WriteString("eventName", "APP_FINISHED_CONFIGURATION")), accessToken),
            cancellationToken);
        return response.Kind switch
        {
            WixResponseKind.Success => Delivery.Accepted,
            WixResponseKind.Rejected => Delivery.Rejected,
            _ => Delivery.Unavailable,
        };
    }

    private async Task<TokenAnswer> RequestTokenAsync(
        string endpoint,
        HttpClient http,
        ResiliencePipeline<WixResponse> retry,
        string path,
        Action<Utf8JsonWriter> write,
        TimeSpan? longest,
        CancellationToken cancellationToken)
    {
        var response = await SendAsync(endpoint, http, retry, () => Post(path, write), cancellationToken);
        return response.Kind switch
        {
            WixResponseKind.Rejected => new TokenAnswer.Rejected(),
            WixResponseKind.Unavailable => new TokenAnswer.Unavailable(TokenError.WixUnavailable, response.RetryAfter),
            _ when response.Body is { } body && body.Token("access_token") is { } token => ReadTokens(body, token, response.SentAt, longest),
            _ => new TokenAnswer.Unavailable(TokenError.UnexpectedAnswer, response.RetryAfter),
        };
    }

    private TokenAnswer.Granted ReadTokens(JsonElement body, string accessToken, DateTimeOffset sentAt, TimeSpan? longest)
    {
        var lifetime = new[] { longest, Seconds(body.Number("expires_in")), LifetimeOf(accessToken, sentAt) }.Min() ?? _tokens.Lifetime;
        return new TokenAnswer.Granted(
            new AccessToken(accessToken),
            body.Token("refresh_token") is { } refreshToken ? new RefreshToken(refreshToken) : null,
            sentAt,
            sentAt + lifetime);
    }

    private static TimeSpan? LifetimeOf(string accessToken, DateTimeOffset sentAt) =>
        WixJson.Claims(accessToken) is { } claims && claims.UnixTime("exp") is { } exp
            ? Seconds((exp - (claims.UnixTime("iat") ?? sentAt)).TotalSeconds)
            : null;

    // A life of less than a second or more than a year is no life that anyone meant: with it every call would refresh,
    // or none ever.
    private static TimeSpan? Seconds(double? seconds) =>
        seconds is >= 1 and <= 31_536_000 ? TimeSpan.FromSeconds(seconds.Value) : null;

    private static InstanceId? ReadInstanceId(JsonElement body) =>
        InstanceId.TryParse(body.Text("instanceId"), out var id) ? id : null;

    // Never within a pair of surrogates: half a character is no text.
    private static string? Short(string? text) =>
        text is { Length: > MaxDescription } ? text[..(char.IsHighSurrogate(text[MaxDescription - 1]) ? MaxDescription - 1 : MaxDescription)] : text;

    private void WriteGrant(Utf8JsonWriter json, string grantType, AppSecret secret, string name, string value)
    {
        json.WriteString("grant_type", grantType);
        json.WriteString("client_id", _wix.AppId);
        json.WriteString("client_secret", secret.Reveal());
        json.WriteString(name, value);
    }

    private Uri Url(string path) => new(_wix.ApiUrl.AbsoluteUri.TrimEnd('/') + path);

    private HttpRequestMessage Post(string path, Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        var content = new ByteArrayContent(buffer.ToArray());
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return new HttpRequestMessage(HttpMethod.Post, Url(path)) { Content = content };
    }

    private static HttpRequestMessage Authorized(HttpRequestMessage request, AccessToken accessToken)
    {
        // The header's value is the token itself, without a scheme (wix-protocol §6).
        request.Headers.TryAddWithoutValidation("Authorization", accessToken.Reveal());
        return request;
    }

    private async Task<WixResponse> SendAsync(
        string endpoint,
        HttpClient http,
        ResiliencePipeline<WixResponse> retry,
        Func<HttpRequestMessage> request,
        CancellationToken cancellationToken) =>
        await retry.RunAsync(token => SendMeasuredAsync(endpoint, http, request, token), cancellationToken);

    private async Task<WixResponse> SendMeasuredAsync(
        string endpoint, HttpClient http, Func<HttpRequestMessage> request, CancellationToken cancellationToken)
    {
        using var activity = _telemetry.Trace("Wix " + endpoint, ActivityKind.Client);
        var startedAt = _time.GetTimestamp();
        WixResponse? response = null;
        try
        {
            return response = await SendOnceAsync(http, request, cancellationToken);
        }
        finally
        {
            var outcome = response is null ? "cancelled" : Words.Of(response.Kind);
            _telemetry.CalledWix(activity, endpoint, outcome, response?.Status, _time.GetElapsedTime(startedAt));
        }
    }

    private async Task<WixResponse> SendOnceAsync(HttpClient http, Func<HttpRequestMessage> makeRequest, CancellationToken cancellationToken)
    {
        var sentAt = _time.GetUtcNow();
        try
        {
            return await _attempt.RunAsync(
                async token =>
                {
                    using var request = makeRequest();
                    using var response = await http.SendAsync(request, HttpCompletionOption.ResponseContentRead, token);
                    return Classify(response, await response.Content.ReadAsByteArrayAsync(token), sentAt);
                },
                cancellationToken);
        }
        catch (TimeoutRejectedException)
        {
            return WixResponse.Unavailable(sentAt);
        }
        catch (HttpRequestException exception)
        {
            return WixResponse.Unavailable(sentAt) with
            {
                SurelyNotProcessed = exception.HttpRequestError
                    is HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError,
            };
        }
        catch (Exception exception) when (exception is IOException or InvalidOperationException or NotSupportedException)
        {
            // A body that could not be read or decoded: processed or not, nobody knows.
            return WixResponse.Unavailable(sentAt);
        }
    }

    private WixResponse Classify(HttpResponseMessage response, byte[] body, DateTimeOffset sentAt) => new(
        response.StatusCode switch
        {
            >= HttpStatusCode.OK and < HttpStatusCode.MultipleChoices => WixResponseKind.Success,
            HttpStatusCode.BadRequest or HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden or HttpStatusCode.NotFound => WixResponseKind.Rejected,
            _ => WixResponseKind.Unavailable,
        },
        response.IsSuccessStatusCode ? WixJson.Parse(body) : null,
        sentAt,
        RetryAfter(response),
        (int)response.StatusCode,
        response.StatusCode is HttpStatusCode.TooManyRequests or HttpStatusCode.ServiceUnavailable);

    private TimeSpan? RetryAfter(HttpResponseMessage response)
    {
        var retryAfter = response.Headers.RetryAfter;
        var wait = retryAfter?.Delta ?? (retryAfter?.Date - _time.GetUtcNow());
        return wait switch
        {
            null => null,
            { } w when w < TimeSpan.Zero => TimeSpan.Zero,
            { } w when w > TimeSpan.FromHours(1) => TimeSpan.FromHours(1),
            _ => wait,
        };
    }

    private ResiliencePipeline<WixResponse> Retry(Func<WixResponse, bool> shouldRetry, int maxRetries) =>
        new ResiliencePipelineBuilder<WixResponse> { TimeProvider = _time }
            .AddRetry(new RetryStrategyOptions<WixResponse>
            {
                MaxRetryAttempts = maxRetries,
                Delay = TimeSpan.FromMilliseconds(250),
                MaxDelay = MaxPause,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                // Wix asking for a longer pause than we can take here is an answer for our caller.
                ShouldHandle = outcome => ValueTask.FromResult(
                    outcome.Outcome.Result is { } response && shouldRetry(response) && !(response.RetryAfter > MaxPause)),
                DelayGenerator = outcome => ValueTask.FromResult(outcome.Outcome.Result?.RetryAfter),
            })
            .Build();

    private enum WixResponseKind
    {
        Success,
        Rejected,
        Unavailable,
    }

    private sealed record WixResponse(WixResponseKind Kind, JsonElement? Body, DateTimeOffset SentAt, TimeSpan? RetryAfter, int? Status, bool SurelyNotProcessed)
    {
        public static WixResponse Unavailable(DateTimeOffset sentAt) => new(WixResponseKind.Unavailable, null, sentAt, null, null, false);

        // The body holds tokens.
        public override string ToString() => Kind.ToString();
    }
}
