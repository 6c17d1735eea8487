using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Webhooks over HTTP: only what Wix has signed is applied.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class WebhookTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private TestBed _bed = null!;

    public async Task InitializeAsync() => _bed = await TestBed.StartWithWebhooksAsync(azurite);

    public async Task DisposeAsync() => await _bed.DisposeAsync();

    [Fact]
    public async Task A_removal_that_Wix_signed_erases_the_tokens_and_again_changes_nothing()
    {
        var id = await _bed.InstallAsync();
        var webhook = _bed.Wix.SignWebhook("AppRemoved", id, _bed.Clock.GetUtcNow().AddMinutes(1));

        Assert.Equal(HttpStatusCode.OK, (await _bed.PostWebhookAsync(webhook)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await _bed.PostWebhookAsync(webhook)).StatusCode);

        await TestBed.AssertProblemAsync(await _bed.GetTokenAsync(id), 410, "app_removed");
        Assert.DoesNotContain(await _bed.RowsOfAsync(id), row => ((IDictionary<string, object?>)row).Values.Any(value => value is byte[] or BinaryData));
    }

    [Fact]
    public async Task What_Wix_did_not_sign_is_refused()
    {
        var id = await _bed.InstallAsync();
        var parts = _bed.Wix.SignWebhook("AppRemoved", id, _bed.Clock.GetUtcNow().AddMinutes(1)).Split('.');
        var pem = _bed.Wix.WebhookPublicKeyPem;
        using var other = RSA.Create(2048);
        List<string> forged =
        [
            $"{Encode("""{"alg":"none"}""")}.{parts[1]}.",
            $"{Encode("""{"alg":"none"}""")}.{parts[1]}.{parts[2]}",
            $"{parts[0]}.{parts[1]}.{parts[2][..^4]}AAAA",
            $"{parts[0]}.{Encode("""{"data":"{}","iat":1,"exp":99999999999}""")}.{parts[2]}",
            Sign("""{"alg":"RS256"}""", bytes => other.SignData(bytes, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)),
        ];
        foreach (var secret in new[] { pem, pem.Trim(), pem.ReplaceLineEndings("\n"), pem.ReplaceLineEndings("\n") + "\n" })
        {
            forged.Add(Sign("""{"alg":"HS256"}""", bytes => HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), bytes)));
        }

        foreach (var webhook in forged)
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await _bed.PostWebhookAsync(webhook)).StatusCode);
        }

        Assert.Equal(HttpStatusCode.OK, (await _bed.GetTokenAsync(id)).StatusCode);

        string Sign(string header, Func<byte[], byte[]> sign)
        {
            var signed = $"{Encode(header)}.{parts[1]}";
            return $"{signed}.{Base64Url.EncodeToString(sign(Encoding.ASCII.GetBytes(signed)))}";
        }
    }

    [Fact]
    public async Task What_is_no_webhook_is_refused_and_what_is_too_long_is_not_read()
    {
        foreach (var body in new[] { "", "rubbish", "a.b", "{}", "..", "\0\0\0" })
        {
            Assert.Equal(HttpStatusCode.BadRequest, (await _bed.PostWebhookAsync(body)).StatusCode);
        }

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await _bed.PostWebhookAsync(new string('x', (64 * 1024) + 1))).StatusCode);
    }

    private static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}
