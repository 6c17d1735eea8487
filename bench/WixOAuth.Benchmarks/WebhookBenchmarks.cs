using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using BenchmarkDotNet.Attributes;
using WixOAuth.Lifecycle;

namespace WixOAuth.Benchmarks;

/// <summary>What a webhook costs before it is applied: one of Wix, and one of an attacker.</summary>
[MemoryDiagnoser]
public class WebhookBenchmarks
{
    private Service _service = null!;
    private WebhookReader _reader = null!;
    private byte[] _signed = [];
    private byte[] _forged = [];

    [GlobalSetup]
    public async Task Setup()
    {
        using var key = RSA.Create(2048);
        using var otherKey = RSA.Create(2048);
        _service = new Service(key.ExportSubjectPublicKeyInfoPem());
        _reader = _service.Get<WebhookReader>();
        (_signed, _forged) = (Sign(key), Sign(otherKey));
        if (await _reader.ReadAsync(_signed, CancellationToken.None) is not Webhook.Known
            || await _reader.ReadAsync(_forged, CancellationToken.None) is not Webhook.Untrusted)
        {
            throw new InvalidOperationException("The two are not distinguished.");
        }
    }

    [GlobalCleanup]
    public void Cleanup() => _service.Dispose();

    [Benchmark(Description = "Verify and read a webhook")]
    public Task ReadAsync() => _reader.ReadAsync(_signed, CancellationToken.None);

    [Benchmark(Description = "Refuse a forged one")]
    public Task RefuseAsync() => _reader.ReadAsync(_forged, CancellationToken.None);

    private static byte[] Sign(RSA key)
    {
        var now = TimeProvider.System.GetUtcNow();
        var data = JsonSerializer.Serialize(new Dictionary<string, string>
        {
            ["data"] = JsonSerializer.Serialize(new Dictionary<string, string> { ["appId"] = Service.AppId }),
            ["instanceId"] = Guid.NewGuid().ToString(),
            ["eventType"] = "AppInstalled",
        });
        var claims = JsonSerializer.Serialize(new Dictionary<string, object>
        {
            ["data"] = data,
            ["iat"] = now.ToUnixTimeSeconds(),
            ["exp"] = now.AddDays(41).ToUnixTimeSeconds(),
        });
        var text = $"{Encode("""{"kid":"a","alg":"RS256"}""")}.{Encode(claims)}";
        var signature = key.SignData(Encoding.UTF8.GetBytes(text), HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        return Encoding.UTF8.GetBytes($"{text}.{Base64Url.EncodeToString(signature)}");
    }

    private static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}
