using System.Net.Http.Headers;
using System.Text.Json;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Wix;

/// <summary>
/// Typed client of Wix's endpoints, one method for each (docs/wix-protocol.md). The methods raise only
/// <see cref="OperationCanceledException"/>, for the caller's own token; every failure of Wix or the network is a result.
/// </summary>
/// <remarks>
/// Redirects are never followed, since the secrets of a request would go along. A body over 256 KiB is not read.
/// </remarks>
internal sealed class WixClient(WixTransport transport, ServiceSettings settings)
{
    public static readonly TimeSpan AttemptTimeout = TimeSpan.FromSeconds(8);

    public static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    /// <summary>The longest a call may take, attempts and pauses together: leases have to last longer.</summary>
    public static readonly TimeSpan LongestTokenCall = (AttemptTimeout * 2) + LongestPause;

    /// <summary>No token of Wix lives longer (wix-protocol §8: four hours), so a longer life is cut to this.</summary>
    public static readonly TimeSpan LongestLife = TimeSpan.FromDays(1);

    /// <summary>A life of less than a second or of more than a year is a mistake: every call would refresh, or none.</summary>
    private const double LongestPlausibleSeconds = 31_536_000;

    private const int MaxDescription = 1_000;
    private const int LongestCode = 64;

    /// <summary>
    /// Exchanges a code for tokens (wix-protocol §5; RFC 6749 §4.1.3). Repeated only where the code was surely not
    /// spent: no connection, 429, 503. Any other unclear end may have spent it. Does not wait for the circuit.
    /// </summary>
    public Task<TokenAnswer> ExchangeCodeAsync(AuthorizationCode code, AppSecret secret, CancellationToken cancellationToken) =>
        RequestTokenAsync(
            WixRequestKind.Exchange,
            "exchange",
            "/oauth/access",
            GrantBody("authorization_code", secret, "code", code.Reveal()),
            settings.Tokens.Lifetime,
            cancellationToken);

    /// <summary>Requests a new access token for a refresh token (wix-protocol §5; RFC 6749 §6). Passes the circuit.</summary>
    public Task<TokenAnswer> RefreshAsync(RefreshToken refreshToken, AppSecret secret, CancellationToken cancellationToken) =>
        RequestTokenAsync(
            WixRequestKind.Refresh,
            "refresh",
            "/oauth/access",
            GrantBody("refresh_token", secret, "refresh_token", refreshToken.Reveal()),
            settings.Tokens.Lifetime,
            cancellationToken);

    /// <summary>
    /// Requests an access token for an instance with the app's own credentials (wix-protocol §8; RFC 6749 §4.4). Passes
    /// the circuit.
    /// </summary>
    public Task<TokenAnswer> RequestClientCredentialsTokenAsync(InstanceId id, AppSecret secret, CancellationToken cancellationToken) =>
        RequestTokenAsync(
            WixRequestKind.Refresh,
            "mint",
            "/oauth2/token",
            GrantBody("client_credentials", secret, "instance_id", id.ToString()),
            LongestLife,
            cancellationToken);

    /// <summary>Asks whose an access token is (wix-protocol §8); null when no usable answer came.</summary>
    public async Task<TokenInfo?> GetTokenInfoAsync(AccessToken accessToken, CancellationToken cancellationToken)
    {
        var response = await transport.SendAsync(
            WixRequestKind.Confirmation, "token_info", () => Post("/oauth2/token-info", new() { ["token"] = accessToken.Reveal() }), cancellationToken);
        return response is { Kind: WixResponseKind.Success, Body: { } body }
            ? new TokenInfo(body.Flag("active"), body.Text("clientId"), ReadInstanceId(body), body.UnixTime("iat"))
            : null;
    }

    /// <summary>Get App Instance (wix-protocol §6); null when no usable answer came.</summary>
    public async Task<AppInstance?> GetAppInstanceAsync(AccessToken accessToken, CancellationToken cancellationToken)
    {
        var response = await transport.SendAsync(
            WixRequestKind.Confirmation,
            "app_instance",
            () => Authorized(new HttpRequestMessage(HttpMethod.Get, Url("/apps/v1/instance")), accessToken),
            cancellationToken);
        if (response is not { Kind: WixResponseKind.Success, Body: { } body } || body.Object("instance") is not { } instance)
        {
            return null;
        }

        var site = body.Object("site") is { } s ? new Site(Short(s.Text("siteId")), Short(s.Text("siteDisplayName")), Short(s.Text("url"))) : null;
        return new AppInstance(ReadInstanceId(instance), Short(instance.Text("appVersion")), site);
    }

    /// <summary>Sends the BI event <c>APP_FINISHED_CONFIGURATION</c> (wix-protocol §6): the instance's set-up is complete.</summary>
    public async Task<WixResponseKind> SendSetupCompletedAsync(AccessToken accessToken, CancellationToken cancellationToken) =>
        (await transport.SendAsync(
            WixRequestKind.Event,
            "bi_event",
            () => Authorized(Post("/apps/v1/bi-event", new() { ["eventName"] = "APP_FINISHED_CONFIGURATION" }), accessToken),
            cancellationToken)).Kind;

    private async Task<TokenAnswer> RequestTokenAsync(
        WixRequestKind kind, string endpoint, string path, Dictionary<string, string> body, TimeSpan longest, CancellationToken cancellationToken)
    {
        var response = await transport.SendAsync(kind, endpoint, () => Post(path, body), cancellationToken);
        return response.Kind switch
        {
            WixResponseKind.Rejected => new TokenAnswer.Rejected { Code = response.Body is { } refusal ? CodeOf(refusal) : null },
            WixResponseKind.Unavailable => new TokenAnswer.Unavailable(TokenError.WixUnavailable, response.RetryAfter),
            _ when response.Body is { } json && json.Token("access_token") is { } token => ReadTokens(json, token, response.SentAt, longest),
            _ => new TokenAnswer.Unavailable(TokenError.UnexpectedAnswer, response.RetryAfter),
        };
    }

    // Of either shape, or OAuth's own (RFC 6749 §5.2). It is shown to operators, so it has to look like a code.
    private static string? CodeOf(JsonElement body) =>
        (body.Object("details")?.Object("applicationError")?.Text("code") ?? body.Text("error") ?? body.Text("errorCode")) is { Length: <= LongestCode } code
        && code.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.')
            ? code
            : null;

    // The shorter of the lifetimes in the answer and in the token; without either, the configured one. Never more than the longest.
    private TokenAnswer.Granted ReadTokens(JsonElement body, string accessToken, DateTimeOffset sentAt, TimeSpan longest)
    {
        var lifetime = new[] { Seconds(body.Number("expires_in")), LifetimeOf(accessToken, sentAt) }.Min() ?? settings.Tokens.Lifetime;
        return new TokenAnswer.Granted(
            new AccessToken(accessToken),
            body.Token("refresh_token") is { } refreshToken ? new RefreshToken(refreshToken) : null,
            sentAt,
            sentAt + (lifetime < longest ? lifetime : longest));
    }

    private static TimeSpan? LifetimeOf(string accessToken, DateTimeOffset sentAt) =>
        WixJson.Claims(accessToken) is { } claims && claims.UnixTime("exp") is { } exp
            ? Seconds((exp - (claims.UnixTime("iat") ?? sentAt)).TotalSeconds)
            : null;

    private static TimeSpan? Seconds(double? seconds) =>
        seconds is >= 1 and <= LongestPlausibleSeconds ? TimeSpan.FromSeconds(seconds.Value) : null;

    private static InstanceId? ReadInstanceId(JsonElement body) =>
        InstanceId.TryParse(body.Text("instanceId"), out var id) ? id : null;

    // Never within a surrogate pair: half a character is no text.
    private static string? Short(string? text) =>
        text is { Length: > MaxDescription } ? text[..(char.IsHighSurrogate(text[MaxDescription - 1]) ? MaxDescription - 1 : MaxDescription)] : text;

    private Dictionary<string, string> GrantBody(string grantType, AppSecret secret, string name, string value) => new()
    {
        ["grant_type"] = grantType,
        ["client_id"] = settings.Wix.AppId,
        ["client_secret"] = secret.Reveal(),
        [name] = value,
    };

    private Uri Url(string path) => new(settings.Wix.ApiUrl.AbsoluteUri.TrimEnd('/') + path);

    private HttpRequestMessage Post(string path, Dictionary<string, string> body)
    {
        // Not JsonContent, whose Content-Type names a charset.
        var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(body));
        content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return new HttpRequestMessage(HttpMethod.Post, Url(path)) { Content = content };
    }

    private static HttpRequestMessage Authorized(HttpRequestMessage request, AccessToken accessToken)
    {
        // The header's value is the token itself, without a scheme (wix-protocol §6).
        request.Headers.TryAddWithoutValidation("Authorization", accessToken.Reveal());
        return request;
    }
}
