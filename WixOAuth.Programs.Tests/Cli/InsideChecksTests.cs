using System.Net;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Http;
using WixOAuth.Cli.Doctor;
using WixOAuth.Functions.Tests.Secrets;
using WixOAuth.Instances;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>What the doctor finds out inside, on a clock, a store, a vault and a Wix of the test's own.</summary>
public sealed class InsideChecksTests : IDisposable
{
    private static readonly CancellationToken s_none = CancellationToken.None;
    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task The_bridge_waits_while_Wix_throttles_and_asks_again()
    {
        await InstallAsync(20);
        var calls = 0;
        _core.Wix.Answer = (_, _, _) => Task.FromResult(Interlocked.Increment(ref calls) == 3 ? StubWix.Status(429) : StubWix.Tokens("granted"));
        await using var checks = New(Core.Configure());

        var report = await _core.Clock.RunAsync(checks.TryBridgeAsync(int.MaxValue, new Progress<long>(), s_none));

        Assert.Equal((20, 0, 0), (report.Ready, report.Refused.Count, report.Unknown));
        Assert.True(calls > 20);
    }

    [Fact]
    public async Task The_bridge_gives_a_site_up_that_never_gets_a_clear_answer()
    {
        await InstallAsync(1);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(429));
        await using var checks = New(Core.Configure());

        var report = await _core.Clock.RunAsync(checks.TryBridgeAsync(int.MaxValue, new Progress<long>(), s_none));

        Assert.Equal((0, 0, 1), (report.Ready, report.Refused.Count, report.Unknown));
        Assert.InRange(_core.Wix.Calls.Count, 2, 5);
    }

    [Theory]
    [InlineData("""{"message":"no","details":{"applicationError":{"code":"invalid_token"}}}""", "invalid_token")]
    [InlineData("""{"errorCode":-19988,"errorDescription":"the-app-secret is another one"}""", "-19988")]
    [InlineData("""{"error":"unauthorized_client","error_description":"the-app-secret"}""", "unauthorized_client")]
    [InlineData("""{"error":"the app-secret is another one"}""", null)]
    [InlineData("{}", null)]
    public async Task The_bridge_names_a_refused_site_with_the_code_of_Wix(string body, string? code)
    {
        var ids = await InstallAsync(2);
        _core.Wix.Answer = (_, request, _) => Task.FromResult(
            request!.Value.GetProperty("instance_id").GetString() == $"{ids[0]}" ? StubWix.Json(HttpStatusCode.Forbidden, body) : StubWix.Tokens("granted"));
        await using var checks = New(Core.Configure());

        var report = await checks.TryBridgeAsync(int.MaxValue, new Progress<long>(), s_none);

        Assert.Equal((1, 0), (report.Ready, report.Unknown));
        Assert.Equal(new RefusedSite($"{ids[0]}", code), Assert.Single(report.Refused));
    }

    [Theory]
    [InlineData(null, "There is no secret 'events-secret' in Key Vault")]
    [InlineData("no-secret-of-events", "The secret 'events-secret' in Key Vault should be whsec_ and base64")]
    [InlineData("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "could not be reached")]
    public async Task A_secret_of_events_that_the_vault_lacks_or_has_malformed_is_named(string? secret, string message)
    {
        await using var vault = await StartVaultAsync();
        if (secret is not null)
        {
            vault.Add("events-secret", secret);
        }

        var finding = await CheckAsync("events", vault, ("Events__Url", "http://127.0.0.1:1/events"));

        Assert.Equal(Verdict.Failed, finding.Verdict);
        Assert.StartsWith(message, finding.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(secret ?? "whsec_AAAA", finding.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_webhook_key_that_the_vault_lacks_is_named()
    {
        await using var vault = await StartVaultAsync();
        (string, string) named = ("Wix__WebhookPublicKeyName", "wix-webhook-public-key");

        var missing = await CheckAsync("webhook key", vault, named);
        vault.Add("wix-webhook-public-key", new WebhookSigner().Pem);
        var there = await CheckAsync("webhook key", vault, named);

        Assert.Equal(Verdict.Failed, missing.Verdict);
        Assert.StartsWith("there is no secret 'wix-webhook-public-key' in Key Vault", missing.Message, StringComparison.Ordinal);
        Assert.Equal(Verdict.Ok, there.Verdict);
    }

    private static async Task<KeyVaultServer> StartVaultAsync()
    {
        var vault = await KeyVaultServer.StartAsync();
        vault.Add("wix-app-secret", "the-app-secret");
        vault.Add("token-protection-key", Convert.ToBase64String(Core.Key));
        return vault;
    }

    private async Task<Finding> CheckAsync(string check, KeyVaultServer vault, (string, string) setting)
    {
        await using var checks = New(
            Core.Configure(("Wix__AppSecret", ""), ("Tokens__ProtectionKey", ""), ("KeyVault__VaultUri", $"{vault.Uri}"), setting),
            services => services.Replace(ServiceDescriptor.Singleton(vault.Client())));
        return await checks.RunAsync(s_none).SingleAsync(finding => finding.Check == check);
    }

    private async Task<List<InstanceId>> InstallAsync(int sites)
    {
        List<InstanceId> ids = [.. Enumerable.Range(0, sites).Select(_ => Core.NewId())];
        foreach (var id in ids)
        {
            await _core.InstallAsync(id);
        }

        return ids;
    }

    private InsideChecks New(IConfiguration configuration, Action<IServiceCollection>? replace = null) => new(configuration, _core.Clock, services =>
    {
        services
            .Replace(ServiceDescriptor.Singleton(_core.Store))
            .Replace(ServiceDescriptor.Singleton(_core.Get<IKeyCheckStore>()))
            .ConfigureAll<HttpClientFactoryOptions>(options => options.HttpMessageHandlerBuilderActions.Add(builder => builder.PrimaryHandler = _core.Wix));
        replace?.Invoke(services);
    });
}
