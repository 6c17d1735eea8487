using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using WixOAuth.Functions.Tests.Support;

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
    public async Task A_webhook_that_Wix_did_not_sign_is_refused()
    {
        var id = await _bed.InstallAsync();
        var parts = _bed.Wix.SignWebhook("AppRemoved", id, _bed.Clock.GetUtcNow().AddMinutes(1)).Split('.');
        var pem = _bed.Wix.WebhookPublicKeyPem;
        using var other = RSA.Create(2048);
        List<string> forged =
        [
            $"{Encode("""{"alg":"none"}""")}.{parts[1]}.",
            $"{Encode("""{"alg":"none"}""")}.{parts[1]}.{parts[2]}",
            $"{parts[0]}.{parts[1]}.",
            $"{parts[0]}.{parts[1]}.AAAA",
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
    public async Task While_the_key_is_changed_both_are_taken_and_then_only_the_new_one()
    {
        var next = new WebhookSigner();
        var (first, second) = (Guid.NewGuid(), Guid.NewGuid());
        var old = _bed.Wix.WebhookPublicKeyPem;
        Assert.Equal(HttpStatusCode.Unauthorized, await PostNextAsync(first));

        // As pasted into one setting, and as base64 of it.
        var both = $"{old}\n{next.Pem}\n";
        foreach (var text in new[] { both, Convert.ToBase64String(Encoding.UTF8.GetBytes(both)) })
        {
            await _bed.RestartAsync(("Wix__WebhookPublicKey", text));
            Assert.Equal(HttpStatusCode.OK, await PostOldAsync());
            Assert.Equal(HttpStatusCode.OK, await PostNextAsync(first));
            Assert.Equal("removed", (await _bed.GetInstanceAsync(first)).GetProperty("status").GetString());
        }

        await _bed.RestartAsync(("Wix__WebhookPublicKey", next.Pem));
        Assert.Equal(HttpStatusCode.Unauthorized, await PostOldAsync());
        Assert.Equal(HttpStatusCode.OK, await PostNextAsync(second));
        Assert.Equal("removed", (await _bed.GetInstanceAsync(second)).GetProperty("status").GetString());

        await _bed.RestartAsync(("Wix__WebhookPublicKey", ""));
        Assert.Equal(HttpStatusCode.Unauthorized, await PostNextAsync(second));

        async Task<HttpStatusCode> PostOldAsync() =>
            (await _bed.PostWebhookAsync(_bed.Wix.SignWebhook("AppInstalled", _bed.Wix.CreateSite("Any").InstanceId))).StatusCode;

        async Task<HttpStatusCode> PostNextAsync(Guid id) =>
            (await _bed.PostWebhookAsync(next.Sign("AppRemoved", id, _bed.Clock.GetUtcNow(), TestBed.AppId))).StatusCode;
    }

    [Fact]
    public async Task Hostile_text_in_a_signed_webhook_changes_no_page()
    {
        var signer = new WebhookSigner();
        await _bed.RestartAsync(("Wix__WebhookPublicKey", signer.Pem));
        const string hostile = "</h3><script>alert(1)</script><img src=x onerror='alert(1)'>\u202e{{7*7}}";
        var claims = WebhookSigner.ClaimsOf("AppInstalled", Guid.NewGuid(), _bed.Clock.GetUtcNow(), TestBed.AppId);
        var plain = await OutlineAsync(claims);

        var data = JsonNode.Parse(claims["data"]!.GetValue<string>())!.AsObject();
        data["instanceId"] = Guid.NewGuid().ToString();
        data["data"] = new JsonObject { ["appId"] = TestBed.AppId, ["originInstanceId"] = hostile, [hostile] = hostile }.ToJsonString();
        data["identity"] = hostile;
        data["id"] = hostile;
        data["site"] = new JsonObject { ["siteDisplayName"] = hostile, ["url"] = "javascript:alert(1)" };
        claims["data"] = data.ToJsonString();
        claims["iss"] = hostile;
        claims["kid"] = hostile;

        Assert.Equal(plain, await OutlineAsync(claims));
        Assert.DoesNotContain("alert(1)", _bed.Logs.Everything, StringComparison.Ordinal);

        async Task<string> OutlineAsync(JsonObject claims)
        {
            var id = JsonNode.Parse(claims["data"]!.GetValue<string>())!["instanceId"]!.GetValue<string>();
            Assert.Equal(HttpStatusCode.OK, (await _bed.PostWebhookAsync(signer.SignClaims(claims))).StatusCode);
            using var answer = await _bed.CallAsync(HttpMethod.Get, $"status/view?search={id}");
            var page = await answer.Content.ReadAsStringAsync();
            var list = Regex.Match(page, """<ul class="list">.*?</ul>""", RegexOptions.Singleline).Value;
            Assert.Contains(id, list, StringComparison.Ordinal);
            return list.Replace(id, "", StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_body_that_is_not_a_webhook_is_refused_and_one_too_long_is_not_read()
    {
        foreach (var body in new[] { "", "rubbish", "a.b", "{}", "..", "\0\0\0" })
        {
            Assert.Equal(HttpStatusCode.BadRequest, (await _bed.PostWebhookAsync(body)).StatusCode);
        }

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, (await _bed.PostWebhookAsync(new string('x', (64 * 1024) + 1))).StatusCode);
    }

    private static string Encode(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}
