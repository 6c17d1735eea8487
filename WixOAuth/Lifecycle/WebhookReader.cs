using System.Buffers.Text;
using System.Text;
using System.Text.Json;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Wix;

namespace WixOAuth.Lifecycle;

/// <summary>
/// Reads webhooks (wix-protocol §10): a JWS in its compact form (RFC 7515 §3.1), signed RS256 with one of the app's
/// <see cref="WebhookKeys"/>.
/// </summary>
internal sealed class WebhookReader(ISecretSource<WebhookKeys> keys, ServiceSettings settings, TimeProvider time)
{
    public const int MaxLength = 64 * 1024;

    /// <summary>How far Wix's clock and ours may differ when the expiry of a webhook is checked.</summary>
    public static readonly TimeSpan ClockSkew = TimeSpan.FromMinutes(2);

    /// <summary>Reads a body of up to <see cref="MaxLength"/> bytes; white space around the token is ignored.</summary>
    /// <exception cref="SecretUnavailableException">The keys cannot be had.</exception>
    /// <exception cref="OperationCanceledException">They were waited for no longer.</exception>
    public async Task<Webhook> ReadAsync(ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        // Checked first, because it is cheap: anybody can send the longest bodies.
        if (body.Span.Count((byte)'.') != 2)
        {
            return new Webhook.Malformed();
        }

        var token = Encoding.UTF8.GetString(body.Span).Trim(' ', '\t', '\r', '\n');
        if (token.Split('.') is not [var first, var second, var third]
            || Decode(first) is not { } header
            || Decode(second) is not { } claims
            || FromBase64Url(third) is not { } signature)
        {
            return new Webhook.Malformed();
        }

        // An extension that is not understood makes the whole of it invalid (RFC 7515 §4.1.11).
        if (header.Text("alg") != "RS256" || header.Property("crit") is not null)
        {
            return new Webhook.Untrusted("its algorithm is not RS256, or it has a critical header");
        }

        if (await WhyUnsignedAsync(Encoding.ASCII.GetBytes($"{first}.{second}"), signature, cancellationToken) is { } reason)
        {
            return new Webhook.Untrusted(reason);
        }

        return claims.UnixTime("exp") + ClockSkew > time.GetUtcNow() ? ReadEvent(claims) : new Webhook.Untrusted("its expiry is past or missing");
    }

    private async Task<string?> WhyUnsignedAsync(byte[] signingInput, byte[] signature, CancellationToken cancellationToken)
    {
        var known = await keys.GetAsync(cancellationToken);
        if (known.HaveSigned(signingInput, signature))
        {
            return null;
        }

        // Either it is forged, or Wix has begun to use another key.
        var newest = await keys.GetNewestAsync(cancellationToken);
        if (newest != known && newest.HaveSigned(signingInput, signature))
        {
            return null;
        }

        return newest.Count == 0 ? "no public key is configured" : "its signature matches no configured key";
    }

    private Webhook ReadEvent(JsonElement claims)
    {
        // A site that was cloned together with the app tells of an install too (wix-protocol §10).
        if (Nested(claims, "data") is not { } data || data.Text("eventType") is not { } type || type is not ("AppInstalled" or "AppRemoved"))
        {
            return new Webhook.NotUsed();
        }

        if (Nested(data, "data")?.Text("appId") is { } app && !app.Equals(settings.Wix.AppId, StringComparison.OrdinalIgnoreCase))
        {
            return new Webhook.OfAnotherApp();
        }

        return InstanceId.TryParse(data.Text("instanceId"), out var id) && claims.UnixTime("iat") is { } issuedAt
            ? new Webhook.Known(type == "AppRemoved", id, issuedAt)
            : new Webhook.Malformed();
    }

    // Wix writes JSON into strings of JSON; an object in their place is understood too.
    private static JsonElement? Nested(JsonElement element, string name) =>
        element.Object(name) ?? (element.LongText(name) is { } text ? WixJson.Parse(Encoding.UTF8.GetBytes(text)) : null);

    private static JsonElement? Decode(string part) => FromBase64Url(part) is { Length: > 0 } json ? WixJson.Parse(json) : null;

    // Accept only the canonical encoding (RFC 7515 §2, no padding): a signed webhook must have no second valid form.
    private static byte[]? FromBase64Url(string text) =>
        WixJson.FromBase64Url(text) is { } bytes && Base64Url.EncodeToString(bytes) == text ? bytes : null;
}
