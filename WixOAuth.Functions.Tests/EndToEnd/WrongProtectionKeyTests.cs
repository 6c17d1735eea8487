using System.Net;
using System.Security.Cryptography;
using System.Text.Json;
using Azure.Data.Tables;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.Secrets;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Local;
using WixOAuth.Protection;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>
/// The whole program with keys that are not those of the stored tokens: it says so, serves what it can from memory, and
/// loses no refresh token, however long that lasts.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class WrongProtectionKeyTests(AzuriteFixture azurite)
{
    private const int Sites = 5;
    private const string KeyName = "token-protection-key";

    [Fact]
    public async Task A_restart_with_another_key_loses_no_refresh_token_and_the_right_one_heals_it()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var sites = await InstallAsync(bed);
        var before = await TokensAsync(bed);

        await bed.RestartAsync(("Tokens__ProtectionKey", NewKey()));
        Assert.Equal(("unhealthy", "healthy", "unhealthy"), await HealthAsync(bed.Api));
        for (var minute = 0; minute < 10; minute++)
        {
            foreach (var id in sites)
            {
                Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(id)).StatusCode);
            }

            await SweepAsync(bed);
            bed.Clock.Advance(TimeSpan.FromMinutes(2));
        }

        // Nothing can be encrypted again, and the host gets the failure.
        await Assert.ThrowsAsync<TimerFailedException>(() =>
            bed.Host.Services.GetRequiredService<TimerEndpoints>().Housekeeping(CancellationToken.None));
        Assert.Equal(before, await TokensAsync(bed));
        Assert.Single(bed.Logs.Lines(LogLevel.Critical), line => line.StartsWith("The protection keys are not those of the stored tokens.", StringComparison.Ordinal));

        await bed.RestartAsync(("Tokens__ProtectionKey", TestBed.ProtectionKey));
        Assert.Equal(("healthy", "healthy", "healthy"), await HealthAsync(bed.Api));
        await AssertOwnTokensWorkAsync(bed, sites);
    }

    [Fact]
    public async Task The_redirect_refuses_before_it_spends_the_code_and_takes_the_same_state_when_healed()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        await InstallAsync(bed);
        var right = (await bed.FindKeyCheckRowAsync())!;
        await bed.RestartAsync(("Tokens__ProtectionKey", NewKey()));
        using var browser = new TestBrowser();
        var site = bed.Wix.CreateSite("New");
        var exchanges = bed.Wix.Control.Counts.Grants["authorization_code"];

        var redirect = await bed.WalkToRedirectAsync(browser, site.InstanceId);
        using (var refused = await browser.GetAsync(redirect))
        {
            Assert.Equal(HttpStatusCode.SeeOther, refused.StatusCode);
            Assert.EndsWith("?problem=storage_unavailable", refused.Headers.Location?.OriginalString, StringComparison.Ordinal);
        }

        Assert.Equal(exchanges, bed.Wix.Control.Counts.Grants["authorization_code"]);
        Assert.Empty(await bed.RowsOfAsync(site.InstanceId));
        Assert.DoesNotContain(await bed.RowsAsync(), row => row.RowKey.StartsWith("n|", StringComparison.Ordinal) && Equals(row["InstanceId"], site.InstanceId.ToString()));

        // The operator has lost the old key for good, and says so by emptying the row.
        await bed.Table.UpdateEntityAsync(new TableEntity(right.PartitionKey, right.RowKey), Azure.ETag.All, TableUpdateMode.Replace);
        bed.Clock.Advance(ProtectionKeyCheck.RecheckInterval);
        using var completed = await browser.GetAsync(redirect);
        Assert.Equal("/installer/close-window", TestBrowser.LocationOf(completed).AbsolutePath);
        Assert.NotEqual(right["CheckKeyId"], (await bed.FindKeyCheckRowAsync())!["CheckKeyId"]);
    }

    [Fact]
    public async Task Of_two_deployments_with_different_keys_on_one_table_only_the_first_writes()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var sites = await InstallAsync(bed);
        var before = await TokensAsync(bed);
        var url = $"http://127.0.0.1:{FreePort.Next()}";
        var settings = new Dictionary<string, string?>(bed.Settings)
        {
            ["urls"] = url,
            ["Wix__RedirectUrl"] = $"{url}/api/redirect",
            ["Tokens__ProtectionKey"] = NewKey(),
        };
        await using var other = await LocalHost.StartAsync(
            LocalSettings.From(settings),
            services =>
            {
                services.Replace(ServiceDescriptor.Singleton<TimeProvider>(bed.Clock));
                services.AddSingleton<ILoggerProvider>(bed.Logs);
            },
            CancellationToken.None);
        using var http = new HttpClient { DefaultRequestHeaders = { { "x-functions-key", TestBed.FunctionKey } } };

        Assert.Equal(("unhealthy", "healthy", "unhealthy"), await HealthAsync(new Uri(other.Url, "/api/")));
        foreach (var id in sites)
        {
            using var answer = await http.GetAsync(new Uri(other.Url, $"/api/instances/{id}/token"));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }

        Assert.Equal(before, await TokensAsync(bed));
        Assert.Equal(("healthy", "healthy", "healthy"), await HealthAsync(bed.Api));
        bed.Clock.Advance(TimeSpan.FromHours(1));
        await AssertOwnTokensWorkAsync(bed, sites);
    }

    [Fact]
    public async Task A_protection_key_that_was_deleted_in_Key_Vault_loses_nothing_and_its_recovery_heals_without_a_restart()
    {
        await using var vault = await KeyVaultServer.StartAsync();
        vault.Add("wix-app-secret", TestBed.AppSecret);
        var value = NewKey();
        var old = vault.Add(KeyName, value);
        await using var bed = await StartAsync(vault);
        var sites = await InstallAsync(bed);
        var before = await TokensAsync(bed);

        vault.Delete(KeyName);
        var other = vault.Add(KeyName, NewKey());
        await bed.RestartAsync();
        Assert.Equal(("unhealthy", "healthy", "unhealthy"), await HealthAsync(bed.Api));
        foreach (var id in sites)
        {
            Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(id)).StatusCode);
        }

        await SweepAsync(bed);
        Assert.Equal(before, await TokensAsync(bed));
        Assert.Contains(bed.Logs.Lines(LogLevel.Critical), line => line.Contains($"Needed: {old}; present: {other}.", StringComparison.Ordinal));

        vault.Add(KeyName, value, old);
        bed.Clock.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(("healthy", "healthy", "healthy"), await HealthAsync(bed.Api));
        bed.Clock.Advance(TimeSpan.FromHours(4));
        await AssertOwnTokensWorkAsync(bed, sites);
    }

    [Fact]
    public async Task Sites_whose_key_version_is_disabled_are_served_by_the_fallback_and_return_when_it_is_enabled()
    {
        await using var vault = await KeyVaultServer.StartAsync();
        vault.Add("wix-app-secret", TestBed.AppSecret);
        vault.Add(KeyName, NewKey());
        await using var bed = await StartAsync(vault);
        await bed.InstallAsync("Site of the key that stays");
        var disabled = vault.Add(KeyName, NewKey());
        await bed.RestartAsync();
        var sites = await InstallAsync(bed);
        var before = await SealedAsync(bed, sites);

        vault.Disable(KeyName, disabled);
        await bed.RestartAsync();
        Assert.Equal(("healthy", "healthy", "healthy"), await HealthAsync(bed.Api));
        foreach (var id in sites)
        {
            Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(id)).StatusCode);
            Assert.Equal("unreadable", (await bed.GetInstanceAsync(id)).GetProperty("refresh_token").GetString());
        }

        await bed.Host.Services.GetRequiredService<TimerEndpoints>().Housekeeping(CancellationToken.None);
        bed.Clock.Advance(TimeSpan.FromHours(4));
        await SweepAsync(bed);
        Assert.Equal(before, await SealedAsync(bed, sites));
        Assert.All(before, text => Assert.StartsWith(disabled, text, StringComparison.Ordinal));

        vault.Enable(KeyName, disabled);
        bed.Clock.Advance(TimeSpan.FromMinutes(1));
        await AssertOwnTokensWorkAsync(bed, sites);
        foreach (var id in sites)
        {
            Assert.Equal("ok", (await bed.GetInstanceAsync(id)).GetProperty("refresh_token").GetString());
        }
    }

    [Fact]
    public async Task A_table_without_the_row_gets_it_at_a_start_with_the_right_key_only()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var sites = await InstallAsync(bed);
        var row = (await bed.FindKeyCheckRowAsync())!;
        await bed.Table.DeleteEntityAsync(row.PartitionKey, row.RowKey);
        var before = await TokensAsync(bed);

        await bed.RestartAsync(("Tokens__ProtectionKey", NewKey()));
        Assert.Equal(("unhealthy", "healthy", "unhealthy"), await HealthAsync(bed.Api));
        Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(sites[0])).StatusCode);
        Assert.Equal(before, await TokensAsync(bed));
        Assert.Null(await bed.FindKeyCheckRowAsync());

        await bed.RestartAsync(("Tokens__ProtectionKey", TestBed.ProtectionKey));
        Assert.Equal(("healthy", "healthy", "healthy"), await HealthAsync(bed.Api));
        Assert.Equal(row["CheckKeyId"], (await bed.FindKeyCheckRowAsync())!["CheckKeyId"]);
        await AssertOwnTokensWorkAsync(bed, sites);
    }

    private static async Task<IReadOnlyList<Guid>> InstallAsync(TestBed bed)
    {
        var sites = new List<Guid>();
        for (var number = 0; number < Sites; number++)
        {
            sites.Add(await bed.InstallAsync($"Site {number}"));
        }

        return sites;
    }

    /// <summary>By row, the refresh tokens as they are stored.</summary>
    private static async Task<SortedDictionary<string, string>> TokensAsync(TestBed bed) => new(
        (await bed.RowsAsync()).Where(row => row.RowKey.StartsWith("i|", StringComparison.Ordinal)).ToDictionary(
            row => row.RowKey, row => $"{row["RefreshTokenKeyId"]} {Convert.ToHexString(row.GetBinary("RefreshToken"))} {row["Generation"]} {row["Grant"]}"));

    /// <summary>The refresh tokens of some sites as they are stored, each after the id of its key.</summary>
    private static async Task<List<string>> SealedAsync(TestBed bed, IReadOnlyList<Guid> sites)
    {
        List<string> texts = [];
        foreach (var id in sites)
        {
            var row = (await bed.RowsOfAsync(id)).Single(row => row.RowKey.StartsWith("i|", StringComparison.Ordinal));
            texts.Add($"{row["RefreshTokenKeyId"]} {Convert.ToHexString(row.GetBinary("RefreshToken"))}");
        }

        return texts;
    }

    private static async Task<(string? Status, string? Storage, string? Secrets)> HealthAsync(Uri api)
    {
        using var http = new HttpClient();
        using var answer = await http.GetAsync(new Uri(api, "health"));
        var body = JsonSerializer.Deserialize<JsonElement>(await answer.Content.ReadAsStringAsync());
        Assert.Equal(body.GetProperty("status").GetString() == "healthy" ? 200 : 503, (int)answer.StatusCode);
        return (body.GetProperty("status").GetString(), body.GetProperty("storage").GetString(), body.GetProperty("secrets").GetString());
    }

    private Task<TestBed> StartAsync(KeyVaultServer vault) => TestBed.StartAsync(
        azurite,
        services => services.Replace(ServiceDescriptor.Singleton(vault.Client())),
        ("KeyVault__VaultUri", vault.Uri.ToString()),
        ("Wix__AppSecret", ""),
        ("Tokens__ProtectionKey", ""));

    // Not TestBed.SweepAsync, which also waits for background work.
    private static Task SweepAsync(TestBed bed) => bed.Host.Services.GetRequiredService<TimerEndpoints>().RefreshTokens(CancellationToken.None);

    private static async Task AssertOwnTokensWorkAsync(TestBed bed, IReadOnlyList<Guid> sites)
    {
        foreach (var id in sites)
        {
            Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(id)).StatusCode);
            var before = bed.Wix.Control.CountsOf(id).Grants.GetValueOrDefault("refresh_token");
            using var refreshed = await bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");
            Assert.Equal(HttpStatusCode.NoContent, refreshed.StatusCode);
            Assert.Equal(before + 1, bed.Wix.Control.CountsOf(id).Grants.GetValueOrDefault("refresh_token"));
            Assert.Equal("refresh_token", (await bed.GetInstanceAsync(id)).GetProperty("grant").GetString());
        }
    }

    private static string NewKey() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(ProtectionKey.Length));
}
