using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>Signs webhooks as Wix does, with its own key (wix-protocol §10).</summary>
internal sealed class WebhookSigner
{
    private const string Header = """{"kid":"k","alg":"RS256"}""";

    // One for all tests: making a key takes a fifth of a second.
    private static readonly RSA s_key = RSA.Create(2_048);

    public string Pem { get; } = s_key.ExportSubjectPublicKeyInfoPem();

    public string Sign(string eventType, Guid instanceId, DateTimeOffset issuedAt, string appId) => SignClaims(ClaimsOf(eventType, instanceId, issuedAt, appId));

    public string SignClaims(JsonNode claims, string header = Header) => SignText(claims.ToJsonString(), header);

    public string SignText(string claims, string header = Header)
    {
        var signed = $"{Encode(header)}.{Encode(claims)}";
        lock (s_key)
        {
            return $"{signed}.{Base64Url.EncodeToString(s_key.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1))}";
        }
    }

    public static JsonObject ClaimsOf(string eventType, Guid instanceId, DateTimeOffset issuedAt, string appId) => new()
    {
        ["data"] = new JsonObject
        {
            ["data"] = new JsonObject { ["appId"] = appId }.ToJsonString(),
            ["instanceId"] = instanceId.ToString(),
            ["eventType"] = eventType,
        }.ToJsonString(),
        ["iat"] = issuedAt.ToUnixTimeSeconds(),
        ["exp"] = issuedAt.AddDays(41).ToUnixTimeSeconds(),
    };

    private static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}
