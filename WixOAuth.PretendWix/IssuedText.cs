using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace WixOAuth.PretendWix;

/// <summary>What a text issued by this Wix is good for.</summary>
internal enum IssuedTextKind
{
    /// <summary>The token that the App URL gets.</summary>
    Install,

    /// <summary>An authorization code.</summary>
    Code,

    /// <summary>An access token.</summary>
    Access,

    /// <summary>A refresh token.</summary>
    Refresh,
}

/// <summary>What stands in a text issued by this Wix.</summary>
/// <param name="Kind">What it is good for.</param>
/// <param name="InstanceId">Whose it is.</param>
/// <param name="Epoch">The installation it was issued in: a removal ends it.</param>
/// <param name="Serial">The number of a refresh token.</param>
/// <param name="Id">What tells two codes apart.</param>
/// <param name="IssuedMs">When it was issued, in Unix milliseconds.</param>
/// <param name="UntilMs">When it ends, in Unix milliseconds.</param>
internal sealed record IssuedText(IssuedTextKind Kind, Guid InstanceId, int Epoch, int Serial, string Id, long IssuedMs, long UntilMs);

/// <summary>
/// Writes and reads the texts that Wix hands out (wix-protocol §4). They prove themselves by an HMAC, so none of the
/// millions of a load test has to be remembered. Each holds characters that must be URL-encoded, as Wix warns (§3):
/// without it the text no longer verifies.
/// </summary>
internal sealed class IssuedTexts
{
    private const string Prefix = "OAUTH2.";
    private const string InstallPrefix = "JWS.";

    // Everything that a careless query string loses or cuts off.
    private const string InstallTail = "~+/=&%2B#?;:@,\"<'>é";

    private const string Scopes = "SCOPE.DC-STORES.READ-PRODUCTS,SCOPE.DC-CONTACTS.MANAGE-CONTACTS,SCOPE.DC-APPS.MANAGE-YOUR-APP,";

    // "++//" in base64.
    private static readonly byte[] _signatureStart = [0xFB, 0xEF, 0xFF];

    private readonly byte[] _key;
    private readonly string _appId;
    private readonly string _header;

    public IssuedTexts(byte[] key, string appId)
    {
        _key = key;
        _appId = appId;
        _header = Base64Url("""{"kid":"pR3t3nD","alg":"HS256"}""");
    }

    public string Write(IssuedText issued, int length, bool withExp)
    {
        var data = $$"""{"kind":"{{issued.Kind}}","appId":{{JsonSerializer.Serialize(_appId)}},"instanceId":"{{issued.InstanceId}}" """
            + $$""","epoch":{{issued.Epoch}},"serial":{{issued.Serial}},"id":"{{issued.Id}}" """
            + $$""","issued":{{issued.IssuedMs}},"until":{{issued.UntilMs}},"scopes":""" + '"';
        var start = $$"""{"data":{{JsonSerializer.Serialize(data, PretendWixJson.Options)}}"""[..^1];
        var exp = withExp ? $""","exp":{issued.UntilMs / 1_000}""" : "";
        var end = $$"""\"}","iat":{{issued.IssuedMs / 1_000}}{{exp}}}""";
        var bare = Prefix.Length + _header.Length + 1 + 1 + 48 + ((start.Length + end.Length) * 4 / 3) + 1;
        var padding = string.Create(Math.Max(0, (length - bare) * 3 / 4), 0, static (span, _) =>
        {
            for (var at = 0; at < span.Length; at += Scopes.Length)
            {
                Scopes.AsSpan(0, Math.Min(Scopes.Length, span.Length - at)).CopyTo(span[at..]);
            }
        });

        var signed = $"{_header}.{Base64Url(start + padding + end)}";
        var text = $"{signed}.{Convert.ToBase64String(Sign(signed))}";
        return issued.Kind == IssuedTextKind.Install ? InstallPrefix + text + InstallTail : Prefix + text;
    }

    public IssuedText? Read(string? text)
    {
        var body = text switch
        {
            null => null,
            _ when text.StartsWith(Prefix, StringComparison.Ordinal) => text[Prefix.Length..],
            _ when text.StartsWith(InstallPrefix, StringComparison.Ordinal) && text.EndsWith(InstallTail, StringComparison.Ordinal) =>
                text[InstallPrefix.Length..^InstallTail.Length],
            _ => null,
        };
        var dot = body?.LastIndexOf('.') ?? -1;
        if (dot < 0)
        {
            return null;
        }

        var signed = body![..dot];
        if (!CryptographicOperations.FixedTimeEquals(
                Encoding.UTF8.GetBytes(body[(dot + 1)..]), Encoding.UTF8.GetBytes(Convert.ToBase64String(Sign(signed)))))
        {
            return null;
        }

        using var payload = JsonDocument.Parse(System.Buffers.Text.Base64Url.DecodeFromChars(signed.AsSpan(signed.IndexOf('.', StringComparison.Ordinal) + 1)));
        using var data = JsonDocument.Parse(payload.RootElement.GetProperty("data").GetString()!);
        var root = data.RootElement;
        var issued = new IssuedText(
            Enum.Parse<IssuedTextKind>(root.GetProperty("kind").GetString()!),
            root.GetProperty("instanceId").GetGuid(),
            root.GetProperty("epoch").GetInt32(),
            root.GetProperty("serial").GetInt32(),
            root.GetProperty("id").GetString()!,
            root.GetProperty("issued").GetInt64(),
            root.GetProperty("until").GetInt64());
        return root.GetProperty("appId").GetString() == _appId && (issued.Kind == IssuedTextKind.Install) == text!.StartsWith(InstallPrefix, StringComparison.Ordinal)
            ? issued
            : null;
    }

    private byte[] Sign(string signed) => [.. _signatureStart, .. HMACSHA256.HashData(_key, Encoding.UTF8.GetBytes(signed))];

    private static string Base64Url(string text) => System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes(text));
}
