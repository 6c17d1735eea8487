using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>Webhooks as Wix signs them (wix-protocol §10), with a key of the test's own.</summary>
internal static class SignedWebhook
{
    public static string Of(RSA key, string eventType, InstanceId id, DateTimeOffset issuedAt)
    {
        var data = JsonSerializer.Serialize(new { eventType, instanceId = id.ToString(), data = "{}" });
        var issued = issuedAt.ToUnixTimeSeconds();
        var signed = $"{Encode("""{"alg":"RS256"}""")}.{Encode(JsonSerializer.Serialize(new { data, iat = issued, exp = issued + 60 }))}";
        var signature = key.SignData(Encoding.ASCII.GetBytes(signed), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        return $"{signed}.{Base64Url.EncodeToString(signature)}";
    }

    private static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}
