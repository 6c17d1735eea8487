using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace WixOAuth.Wix;

/// <summary>
/// Reads Wix's JSON leniently, because its samples show numbers and booleans as strings (wix-protocol §8). What is
/// missing or of another kind reads as null, and nothing here throws for what was sent.
/// </summary>
internal static class WixJson
{
    /// <summary>The longest text taken over to be stored or sent on: it has to fit into a header and a table's property.</summary>
    private const int MaxText = 16_000;

    /// <summary>Parses a body in the charset it names, UTF-8 otherwise; a byte order mark outranks both and is left out.</summary>
    public static JsonElement? Parse(byte[] body, string? charset)
    {
        using var reader = new StreamReader(new MemoryStream(body), EncodingOf(charset), detectEncodingFromByteOrderMarks: true);
        return Parse(Encoding.UTF8.GetBytes(reader.ReadToEnd()));
    }

    /// <summary>Parses a JSON object in UTF-8; null for anything else.</summary>
    public static JsonElement? Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 32 });
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static Encoding EncodingOf(string? charset)
    {
        try
        {
            return Encoding.GetEncoding(charset?.Trim('"') ?? "utf-8");
        }
        catch (ArgumentException)
        {
            // An unknown name: JSON is UTF-8 unless stated otherwise (RFC 8259 §8.1).
            return Encoding.UTF8;
        }
    }

    public static JsonElement? Object(this JsonElement element, string name) =>
        element.Property(name) is { ValueKind: JsonValueKind.Object } value ? value : null;

    public static JsonElement? Property(this JsonElement element, string name)
    {
        try
        {
            return element.TryGetProperty(name, out var value) ? value : null;
        }
        catch (InvalidOperationException)
        {
            // Looking for a name reads the others: an escaped lone surrogate in one is well-formed JSON but no text.
            return null;
        }
    }

    public static string? Text(this JsonElement element, string name) => element.LongText(name) is { Length: <= MaxText } text ? text : null;

    public static string? LongText(this JsonElement element, string name)
    {
        if (element.Property(name) is not { } value)
        {
            return null;
        }

        try
        {
            var text = value.ValueKind switch
            {
                JsonValueKind.String => value.GetString(),
                JsonValueKind.Number => value.GetRawText(),
                JsonValueKind.True => "true",
                JsonValueKind.False => "false",
                _ => null,
            };
            return text is { Length: > 0 } ? text : null;
        }
        catch (InvalidOperationException)
        {
            // An escaped lone surrogate is well-formed JSON but no text.
            return null;
        }
    }

    /// <summary>A token: visible ASCII only, since it goes into a header as it is (RFC 6749 §A.12, VSCHAR).</summary>
    public static string? Token(this JsonElement element, string name) =>
        element.Property(name) is { ValueKind: JsonValueKind.String } && element.Text(name) is { } text && text.All(c => c is > ' ' and <= '~')
            ? text
            : null;

    public static bool? Flag(this JsonElement element, string name) =>
        bool.TryParse(element.Text(name), out var value) ? value : null;

    public static double? Number(this JsonElement element, string name) =>
        double.TryParse(element.Text(name), NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value)
            ? value
            : null;

    public static DateTimeOffset? UnixTime(this JsonElement element, string name) =>
        element.Number(name) is { } seconds and > 0 and < 253_402_300_000 ? DateTimeOffset.FromUnixTimeSeconds((long)seconds) : null;

    /// <summary>
    /// The claims of a token that is a JWT, bare or behind a prefix as in <c>OAUTH2.eyJ…</c> (wix-protocol §4); null
    /// when it is none. They are hints from the answer we already trust, so the signature does not matter.
    /// </summary>
    public static JsonElement? Claims(string token)
    {
        var parts = token.Split('.');
        return parts.Length >= 3 && FromBase64Url(parts[^2]) is { } json ? Parse(json) : null;
    }

    public static byte[]? FromBase64Url(string text)
    {
        var bytes = new byte[Base64Url.GetMaxDecodedLength(text.Length)];

        // Not TryDecodeFromChars, which throws for some input.
        return Base64Url.DecodeFromChars(text, bytes, out _, out var length) == OperationStatus.Done ? bytes[..length] : null;
    }
}
