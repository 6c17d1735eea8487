using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.Secrets;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Lifecycle;
using WixOAuth.Secrets;
using WixOAuth.Telemetry;

namespace WixOAuth.Functions.Tests.Lifecycle;

/// <summary>The webhook keys in Key Vault, and what becomes of a webhook while they cannot be had.</summary>
public sealed class KeyVaultWebhookKeyTests : KeyVaultFixture, IDisposable
{
    private const string Name = "wix-webhook-public-key";

    private static readonly RSA s_first = RSA.Create(2048);
    private static readonly RSA s_second = RSA.Create(2048);
    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task Without_the_secret_there_are_no_keys_and_it_is_read_at_most_once_a_minute()
    {
        var reader = NewReader();

        Assert.Equal(new Webhook.Untrusted("no public key is configured"), await ReadAsync(reader, s_first));
        await ReadAsync(reader, s_first);
        Assert.Single(Vault.Calls);
        Assert.Contains("There is no secret wix-webhook-public-key in Key Vault", Logs.Everything, StringComparison.Ordinal);

        Vault.Add(Name, Pem(s_first));
        Assert.IsType<Webhook.Untrusted>(await ReadAsync(reader, s_first));
        Time.Advance(KeyVaultSource<WebhookKeys>.NewestInterval);
        Assert.IsType<Webhook.Known>(await ReadAsync(reader, s_first));
        Assert.Equal(2, Vault.Calls.Count);
    }

    [Theory]
    [InlineData("{0}")]
    [InlineData("\n {0} \n")]
    [InlineData("base64")]
    public async Task The_key_may_be_written_as_in_the_setting(string form)
    {
        Vault.Add(Name, form == "base64" ? Convert.ToBase64String(Encoding.ASCII.GetBytes(Pem(s_first))) : string.Format(null, form, Pem(s_first)));

        Assert.IsType<Webhook.Known>(await ReadAsync(NewReader(), s_first));
    }

    [Fact]
    public async Task A_signature_by_an_unknown_key_has_the_vault_asked_once_a_minute_and_a_good_one_never()
    {
        Vault.Add(Name, Pem(s_first));
        var reader = NewReader();
        await ReadAsync(reader, s_first);
        Time.Advance(KeyVaultSource<WebhookKeys>.NewestInterval);
        await ReadAsync(reader, s_first);
        Assert.Single(Vault.Calls);

        for (var forged = 0; forged < 20; forged++)
        {
            Assert.Equal(new Webhook.Untrusted("its signature matches no configured key"), await ReadAsync(reader, s_second));
        }

        Assert.Equal(2, Vault.Calls.Count);
        Vault.Add(Name, $"{Pem(s_first)}\n{Pem(s_second)}");
        Time.Advance(KeyVaultSource<WebhookKeys>.NewestInterval);
        Assert.IsType<Webhook.Known>(await ReadAsync(reader, s_second));
        Assert.IsType<Webhook.Known>(await ReadAsync(reader, s_first));
        Assert.Equal(3, Vault.Calls.Count);
    }

    [Fact]
    public async Task A_malformed_key_leaves_the_known_ones_in_use()
    {
        Vault.Add(Name, Pem(s_first));
        var reader = NewReader();
        await ReadAsync(reader, s_first);

        Vault.Add(Name, "rubbish");
        Time.Advance(TimeSpan.FromHours(1));
        await ReadAsync(reader, s_second);

        Assert.IsType<Webhook.Known>(await ReadAsync(reader, s_first));
        Assert.Contains("should be the app's RSA public key as PEM", Logs.Everything, StringComparison.Ordinal);
        Assert.DoesNotContain("rubbish", Logs.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_404_of_a_proxy_leaves_the_known_ones_in_use()
    {
        Vault.Add(Name, Pem(s_first));
        var reader = NewReader();
        await ReadAsync(reader, s_first);

        Vault.Fault = () => Results.Content("<html>No such page</html>", "text/html", statusCode: 404);
        Time.Advance(TimeSpan.FromHours(1));
        await ReadAsync(reader, s_second);

        Assert.IsType<Webhook.Known>(await ReadAsync(reader, s_first));
    }

    [Fact]
    public async Task A_refusing_vault_without_known_keys_makes_Wix_send_the_webhook_again()
    {
        Vault.Fault = KeyVaultServer.Forbidden;

        Assert.Equal(503, await PostAsync(Endpoint(), s_first));
    }

    [Fact]
    public async Task While_the_keys_cannot_be_read_the_log_has_a_line_a_minute_however_many_webhooks_come()
    {
        Vault.Fault = KeyVaultServer.Forbidden;
        var endpoint = Endpoint();

        for (var forged = 0; forged < 20; forged++)
        {
            Assert.Equal(503, await PostAsync(endpoint, s_second));
        }

        Assert.Single(Logs.Lines(LogLevel.Error), line => line.Contains("could not be served", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_slow_vault_is_answered_in_time_so_that_Wix_sends_the_webhook_again()
    {
        var gate = new TaskCompletionSource();
        (Vault.Gate, var endpoint) = (gate.Task, Endpoint());
        Vault.Add(Name, Pem(s_first));

        var posting = PostAsync(endpoint, s_first);
        await Vault.Arrived.Task;
        Time.Advance(WebhookEndpoint.LongestAnswer);
        Assert.Equal(503, await posting);

        gate.SetResult();
        Assert.Equal(200, await PostAsync(endpoint, s_first));
    }

    private static string Pem(RSA key) => key.ExportSubjectPublicKeyInfoPem();

    private WebhookReader NewReader() => new(
        Reader().SourceOf(Name, WebhookKeys.Parse, whenMissing: new WebhookKeys([])), _core.Settings, Time);

    private WebhookEndpoint Endpoint() =>
        new(NewReader(), _core.Life, _core.Background, _core.Get<Instruments>(), Time, Logs.For<WebhookEndpoint>());

    private string Signed(RSA key) => SignedWebhook.Of(key, "AppRemoved", Core.NewId(), Time.GetUtcNow());

    private Task<Webhook> ReadAsync(WebhookReader reader, RSA key) => reader.ReadAsync(Encoding.ASCII.GetBytes(Signed(key)), None);

    private async Task<int> PostAsync(WebhookEndpoint endpoint, RSA key)
    {
        var context = new DefaultHttpContext { Request = { Body = new MemoryStream(Encoding.ASCII.GetBytes(Signed(key))) } };
        await (await endpoint.WixWebhook(context.Request, None)).ExecuteAsync(context);
        return context.Response.StatusCode;
    }
}
