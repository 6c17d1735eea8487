using System.Text.Json;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Wix;

/// <summary>Reads Wix's answer to a request for tokens (wix-protocol §5 and §8).</summary>
internal static class TokenAnswerReader
{
    /// <summary>No token of Wix lives longer (wix-protocol §8: four hours), so a longer life is cut to this.</summary>
    public static readonly TimeSpan LongestLife = TimeSpan.FromDays(1);

    /// <summary>A life of less than a second or of more than a year is a mistake: every call would refresh, or none.</summary>
    private const double LongestPlausibleSeconds = 31_536_000;

    private const int LongestCode = 64;

    /// <summary>
    /// Reads an answer. Its token gets the life that the answer and the token tell, else <paramref name="otherwise"/>, but
    /// no more than <paramref name="longest"/>.
    /// </summary>
    public static TokenAnswer Read(WixResponse response, TimeSpan longest, TimeSpan otherwise) => response.Kind switch
    {
        WixResponseKind.Rejected => new TokenAnswer.Rejected { Code = response.Body is { } body ? CodeOf(body) : null },
        WixResponseKind.Unavailable => new TokenAnswer.Unavailable(TokenError.WixUnavailable, response.RetryAfter),
        _ when response.Body is { } granted && granted.Token("access_token") is { } token => ReadTokens(granted, token, response.SentAt, longest, otherwise),
        _ => new TokenAnswer.Unavailable(TokenError.UnexpectedAnswer, response.RetryAfter),
    };

    // Of either shape, or OAuth's own (RFC 6749 §5.2). It is shown to operators, so it has to look like a code.
    private static string? CodeOf(JsonElement body) =>
        (body.Object("details")?.Object("applicationError")?.Text("code") ?? body.Text("error") ?? body.Text("errorCode")) is { Length: <= LongestCode } code
        && code.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.')
            ? code
            : null;

    private static TokenAnswer.Granted ReadTokens(JsonElement body, string accessToken, DateTimeOffset sentAt, TimeSpan longest, TimeSpan otherwise)
    {
        var lifetime = new[] { Seconds(body.Number("expires_in")), LifetimeOf(accessToken, sentAt) }.Min() ?? otherwise;
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
}
