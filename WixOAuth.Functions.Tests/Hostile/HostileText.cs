using System.Text;
using CsCheck;

namespace WixOAuth.Functions.Tests.Hostile;

/// <summary>What people send who mean harm, or whose program is broken.</summary>
internal static class HostileText
{
    /// <summary>A word that none of our answers or logs has a reason to contain.</summary>
    public const string Marker = "pwn3d";

    /// <summary>Texts that break one thing or another when they get where they are not expected; valid in a request line as they are.</summary>
    private static readonly string[] s_encoded =
    [
        "", "%", "%%", "%zz", "%u0041", "%0", "%00", "%0d%0aSet-Cookie:%20a=" + Marker, "%0D%0A%0D%0A%3Chtml%3E" + Marker, "%0a", "%7f", "%1b[31m" + Marker,
        "%3Cscript%3E" + Marker + "%3C/script%3E", "\"><img%20src=x%20onerror=" + Marker + ">", "'%20or%201=1--", "javascript:" + Marker,
        "%c0%af", "%ED%A0%80", "%ED%B0%80", "%F0%9F%92%A9", "%E2%80%A8", "%EF%BB%BF", "%E2%80%AE" + Marker, "%ff%fe", "%fe", "..%2f..%2f" + Marker,
        "{{7*7}}", "${jndi:ldap://" + Marker + "}", "%25%30%30", "+", "%20", "%20%20" + Marker + "%20", "null", "undefined", "NaN", "-1", "1e999",
        "9223372036854775808", "true", "[]", "{}", "//evil.example", "https://evil.example/" + Marker, "https:%5C%5Cevil.example", "OAUTH2.eyJhIjoxfQ.e30.x", "A.B.C",
        "00000000-0000-0000-0000-000000000000", "%7b11111111-2222-4333-8444-555555555555%7d", "11111111222243338444555555555555", "11111111-2222-4333-8444-55555555555g",
        "%20" + "11111111-2222-4333-8444-555555555555", "(11111111-2222-4333-8444-555555555555)", ";", "=", "==", "[0]",
    ];

    /// <summary>Any bytes, percent-encoded.</summary>
    private static readonly Gen<string> s_bytes = Gen.Byte.Array[0, 40].Select(bytes => string.Concat(bytes.Select(one => $"%{one:x2}")));

    /// <summary>Visible ASCII as it is, but for what ends a request target's query.</summary>
    private static readonly Gen<string> s_visible = Gen.Char['!', '~'].Array[0, 60].Select(chars => new string(chars).Replace('#', '%'));

    /// <summary>Around every limit that there is: 4,096 for a state, 8,192 for a parameter, 8 KiB for a request line.</summary>
    private static readonly Gen<string> s_long =
        Gen.Select(Gen.OneOf(200, 1_000, 4_095, 4_096, 4_097, 7_500, 8_100, 8_192, 8_193, 20_000), Gen.OneOf("a", "A.", "%41", "%00", "%F0%9F%92%A9", "%", "-"))
            .Select((length, piece) => string.Concat(Enumerable.Repeat(piece, length / piece.Length)));

    /// <summary>A value of a query, valid in a request line as it is.</summary>
    public static readonly Gen<string> InQuery = Gen.Frequency(
        (6, Gen.OneOf(s_encoded)),
        (3, s_bytes),
        (3, s_visible),
        (1, s_long),
        (2, Gen.OneOf(s_encoded).Array[2, 4].Select(string.Concat)));

    /// <summary>A value of a header: any bytes that HTTP allows there.</summary>
    public static readonly Gen<string> InHeader = Gen.Frequency(
        (5, Gen.OneOf(s_encoded)),
        (3, s_visible),
        (1, s_long),
        (2, Gen.Char[' ', '~'].Array[0, 80].Select(chars => new string(chars))));

    /// <summary>Any bytes of a body.</summary>
    public static readonly Gen<byte[]> Body = Gen.Frequency(
        (3, Gen.Byte.Array[0, 300]),
        (3, Gen.OneOf(s_encoded).Array[1, 8].Select(parts => Encoding.UTF8.GetBytes(string.Join('.', parts)))),
        (3, Gen.Select(Part, Part, Part).Select((one, two, three) => Encoding.UTF8.GetBytes($"{one}.{two}.{three}"))),
        (2, HostileJson.Text.Select(Encoding.UTF8.GetBytes)),
        (1, Gen.OneOf(65_535, 65_536, 65_537, 100_000).Select(length => Encoding.ASCII.GetBytes(new string('.', length)))),
        (1, Gen.OneOf(65_536, 65_537, 200_000).Select(length => Encoding.ASCII.GetBytes(new string('e', length)))));

    /// <summary>What may stand between the points of a JWT: JSON of any kind, or no base64url at all.</summary>
    private static Gen<string> Part => Gen.Frequency(
        (4, HostileJson.Text.Select(json => System.Buffers.Text.Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json)))),
        (1, Gen.OneOf(s_encoded)),
        (1, Gen.Byte.Array[0, 60].Select(bytes => System.Buffers.Text.Base64Url.EncodeToString(bytes))),
        (1, s_visible));

    /// <summary>Changes one thing of a text that was good; the outcome is never the text itself.</summary>
    public static Gen<Func<string, string>> Change { get; } =
        Gen.Select(Gen.Int[0, 7], Gen.Double[0, 1], Gen.OneOf('A', 'b', '0', '_', '-', '.', '=', '+', '/', '!')).Select(
            (kind, where, c) => (Func<string, string>)(text =>
            {
                if (text.Length == 0)
                {
                    return "x";
                }

                var at = Math.Min((int)(where * text.Length), text.Length - 1);
                var changed = kind switch
                {
                    0 => text[..at] + c + text[(at + 1)..],
                    1 => text[..at] + c + text[at..],
                    2 => text[..at] + text[(at + 1)..],
                    3 => text[..at],
                    4 => text[at..],
                    5 => text + c,
                    6 => text[..at] + (char.IsLower(text[at]) ? char.ToUpperInvariant(text[at]) : char.ToLowerInvariant(text[at])) + text[(at + 1)..],
                    _ => text[at..] + text[..at],
                };
                return changed == text ? text + "x" : changed;
            }));
}
