using System.Text.Json;
using System.Text.Json.Serialization;

namespace WixOAuth.PretendWix;

/// <summary>Which refresh token a refresh answers (wix-protocol §5).</summary>
public enum RefreshTokenAnswer
{
    /// <summary>The one that was sent, as documented today.</summary>
    Same,

    /// <summary>A new one, as an older page says.</summary>
    New,

    /// <summary>None.</summary>
    None,
}

/// <summary>In which form the API sends its bodies, whatever the request asked for.</summary>
public enum BodyForm
{
    /// <summary>UTF-8.</summary>
    Plain,

    /// <summary>UTF-8 after a byte order mark.</summary>
    ByteOrderMark,

    /// <summary>UTF-16 with a byte order mark, and the charset named.</summary>
    Utf16,

    /// <summary><c>Content-Encoding: gzip</c>.</summary>
    Gzip,

    /// <summary><c>Content-Encoding: deflate</c>.</summary>
    Deflate,

    /// <summary><c>Content-Encoding: br</c>.</summary>
    Brotli,
}

/// <summary>
/// How this Wix behaves where the real one is unknown, or where a test wants it otherwise. Immutable: assign
/// <c>control.Switches with { … }</c>. As JSON, durations are seconds.
/// </summary>
public sealed record PretendWixSwitches
{
    /// <summary>How long access tokens of <c>/oauth/access</c> live (wix-protocol §5).</summary>
    public TimeSpan AccessTokenLifetime { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>How long access tokens of <c>/oauth2/token</c> live (wix-protocol §8).</summary>
    public TimeSpan ClientCredentialsLifetime { get; init; } = TimeSpan.FromHours(4);

    /// <summary>How long codes live (wix-protocol §4).</summary>
    public TimeSpan CodeLifetime { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long the token lives that the App URL gets (wix-protocol §2).</summary>
    public TimeSpan InstallTokenLifetime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How many characters a code has, give or take two; up to 8,000 (wix-protocol §4).</summary>
    public int CodeLength { get; init; } = 1_400;

    /// <summary>How many characters an access token has, give or take two; up to 8,000.</summary>
    public int AccessTokenLength { get; init; } = 1_000;

    /// <summary>Whether an access token contains an <c>exp</c>.</summary>
    public bool AccessTokenHasExp { get; init; } = true;

    /// <summary>Whether <c>/oauth/access</c> answers <c>expires_in</c>, which is not documented (wix-protocol §5).</summary>
    public bool SendExpiresIn { get; init; }

    /// <summary>Which refresh token a refresh answers.</summary>
    public RefreshTokenAnswer RefreshTokenAnswer { get; init; }

    /// <summary>Whether a refresh token outlives the issue of a newer one for its instance; unknown (wix-protocol §5).</summary>
    public bool OldRefreshTokensStayValid { get; init; }

    /// <summary>Whether a code's second use revokes what its first one got (RFC 6749 §4.1.2).</summary>
    public bool SecondUseOfCodeRevokes { get; init; }

    /// <summary>The status of a rejected code or refresh token; unknown (wix-protocol §5).</summary>
    public int RejectionStatus { get; init; } = 400;

    /// <summary>The status of a wrong app secret on <c>/oauth/access</c>; unknown (wix-protocol §5).</summary>
    public int WrongSecretStatus { get; init; } = 403;

    /// <summary>Whether errors have the older shape, <c>errorCode</c> and <c>errorDescription</c> (wix-protocol §5).</summary>
    public bool OldErrorShape { get; init; }

    /// <summary>In which form bodies are sent.</summary>
    public BodyForm BodyForm { get; init; }

    /// <summary>Whether token-info answers true booleans and numbers in place of the strings in Wix's samples (wix-protocol §8).</summary>
    public bool TokenInfoHasRealTypes { get; init; }

    /// <summary>Whether "Cancel" sends <c>error=access_denied</c> or nothing at all; unknown (wix-protocol §4).</summary>
    public bool CancelSendsError { get; init; } = true;

    /// <summary>Whether choosing a site in an install without a token opens the App URL with one (wix-protocol §2).</summary>
    public bool SiteChoiceOpensAppUrl { get; init; }

    /// <summary>Whether installs and removals send webhooks by themselves (wix-protocol §10).</summary>
    public bool SendWebhooks { get; init; } = true;

    /// <summary>Whether webhooks carry the newer members <c>identity</c> and <c>id</c> (wix-protocol §10).</summary>
    public bool NewerWebhooks { get; init; }

    /// <summary>What the receiver of events answers to one that it verified.</summary>
    public int ReceiverStatus { get; init; } = StatusCodes.Status204NoContent;

    /// <summary>Real milliseconds to wait before an endpoint acts, by its name in <see cref="PretendWixEndpoints"/>.</summary>
    public IReadOnlyDictionary<string, int> LatencyMs { get; init; } = new Dictionary<string, int>();

    internal void Validate()
    {
        foreach (var (name, value) in new (string, TimeSpan)[]
        {
            (nameof(AccessTokenLifetime), AccessTokenLifetime),
            (nameof(ClientCredentialsLifetime), ClientCredentialsLifetime),
            (nameof(CodeLifetime), CodeLifetime),
            (nameof(InstallTokenLifetime), InstallTokenLifetime),
        })
        {
            Require(value >= TimeSpan.Zero && value <= TimeSpan.FromDays(3_650), $"{name} lies between nothing and ten years.");
        }

        Require(CodeLength is >= 0 and <= 8_000 && AccessTokenLength is >= 0 and <= 8_000, "A code or token has up to 8,000 characters.");
        Require(RejectionStatus is >= 400 and <= 599 && WrongSecretStatus is >= 400 and <= 599, "A rejection's status is 400 to 599.");
        Require(ReceiverStatus is >= 200 and <= 599, "The receiver's status is 200 to 599.");
        Require(Enum.IsDefined(RefreshTokenAnswer), "RefreshTokenAnswer is same, new or none.");
        Require(Enum.IsDefined(BodyForm), "BodyForm is plain, byteOrderMark, utf16, gzip, deflate or brotli.");
        ArgumentNullException.ThrowIfNull(LatencyMs);
        foreach (var (endpoint, milliseconds) in LatencyMs)
        {
            _ = PretendWixEndpoints.IndexOf(endpoint);
            Require(milliseconds is >= 0 and <= 600_000, "A latency is 0 to 600,000 milliseconds.");
        }
    }

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new ArgumentException(message);
        }
    }
}

/// <summary>Durations as seconds: what a person types after <c>curl -d</c>.</summary>
internal sealed class SecondsConverter : JsonConverter<TimeSpan>
{
    public override TimeSpan Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var seconds = reader.GetDouble();
        return Math.Abs(seconds) < 1e9 ? TimeSpan.FromSeconds(seconds) : throw new JsonException("Seconds, please.");
    }

    public override void Write(Utf8JsonWriter writer, TimeSpan value, JsonSerializerOptions options) =>
        writer.WriteNumberValue(value.TotalSeconds);
}
