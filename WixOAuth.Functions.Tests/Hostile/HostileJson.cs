using System.Text.Json;
using CsCheck;

namespace WixOAuth.Functions.Tests.Hostile;

/// <summary>JSON that is well-formed, nearly so, or only looks like it, with the names that Wix uses in it.</summary>
internal static class HostileJson
{
    private static readonly string[] s_names =
    [
        "alg", "crit", "kid", "typ", "data", "iat", "exp", "instanceId", "eventType", "appId", "identity", "access_token", "refresh_token", "expires_in", "active",
        "clientId", "instance", "site", "siteId", "siteDisplayName", "url", "appVersion", "", "ACCESS_TOKEN", "__proto__", "$type", "a\\u0000b", "\\ud800", "\\ud800aaaaaaaaaaaaaaaaaaaa",
        "\\udc00\\ud800", "al\\u0067", "access\\u005ftoken", "\\u0061ctive", "\\ud83d\\ude00",
    ];

    private static readonly string[] s_texts =
    [
        "\"\"", "\"RS256\"", "\"none\"", "\"HS256\"", "\"AppInstalled\"", "\"AppRemoved\"", "\"11111111-2222-4333-8444-555555555555\"", "\"00000000-0000-0000-0000-000000000000\"",
        "\"\\ud800\"", "\"\\u0000\"", "\"\\r\\nSet-Cookie: a=b\"", "\"<script>\"", "\"true\"", "\"TRUE\"", "\"1e400\"", "\"NaN\"", "\"Infinity\"", "\"-1\"", "\"a.b.c\"", "\"a.!.c\"",
        "\"OAUTH2.eyJleHAiOjk5OTk5OTk5OTk5OTl9.x\"", "\"x.eyJleHAiOi0xfQ.x\"", "\"x.e30=.x\"", "\"a b\"", "\"{\\\"data\\\":\\\"{\\\\\\\"appId\\\\\\\":1}\\\",\\\"eventType\\\":\\\"AppRemoved\\\"}\"",
        "\"{\\\"\\\\ud800\\\":1}\"", "\"\\ud83d\\ude00\"", "0", "-0", "1", "-1", "1.5", "1e10", "1e300", "1e400", "253402299999", "253402300000", "9223372036854775808", "300", "0.5",
        "true", "false", "null", "[]", "{}", "[[]]", "nul", "'a'", "0x10", "01", "\"unended", "\u0001", "/* a */1", "NaN",
    ];

    private static readonly Gen<string> s_leaf = Gen.Frequency(
        (8, Gen.OneOf(s_texts)),
        (2, Gen.String.Select(text => JsonSerializer.Serialize(text))),
        (1, Gen.Int[0, 5_000].Select(length => $"\"{string.Concat(Enumerable.Repeat("\\ud83d\\ude00", length))}\"")),
        (1, Gen.Int[0, 20_000].Select(length => $"\"{new string('t', length)}\"")));

    /// <summary>Objects mostly, since all else is refused at once.</summary>
    public static readonly Gen<string> Text = Gen.Frequency(
        (12, Object(Object(Object(s_leaf)))),
        (2, s_leaf),
        (1, Gen.Int[1, 200].Select(depth => string.Concat(Enumerable.Repeat("{\"data\":", depth)) + "1" + new string('}', depth))),
        (1, Gen.Int[1, 200].Select(depth => new string('[', depth))),
        (1, Gen.Select(Object(s_leaf), Gen.Int[0, 100]).Select((text, cut) => text[..Math.Min(cut, text.Length)])));

    /// <summary>An object whose values are among <paramref name="values"/> or leaves; a name may come twice.</summary>
    public static Gen<string> Object(Gen<string> values) =>
        Gen.Select(Gen.OneOf(s_names), Gen.Frequency((3, s_leaf), (1, values), (1, values.Select(text => JsonSerializer.Serialize(text)))))
            .Select((name, value) => $"\"{name}\":{value}")
            .Array[0, 6]
            .Select(members => $"{{{string.Join(',', members)}}}");
}
