using System.Security.Cryptography;
using System.Text;
using WixOAuth.Local.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Everything that is logged, by whomever, in a life with every kind of trouble: no secret is in it.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class LogSecrecyTests(AzuriteFixture azurite)
{
    public static TheoryData<bool> Levels() => [false, true];

    [Theory]
    [MemberData(nameof(Levels))]
    public async Task No_secret_that_occurred_is_logged(bool frameworksAtTrace)
    {
        var levels = frameworksAtTrace
            ? new[] { "Microsoft", "Microsoft.AspNetCore", "Microsoft.AspNetCore.Hosting.Diagnostics", "System.Net.Http", "Azure", "Polly" }
            : [];
        await using var bed = await TestBed.StartAsync(
            azurite, overrides: null, [.. levels.Select(name => ($"Logging__LogLevel__{name}", "Trace")), ("Wix__ClientCredentialsFallback", "true")]);
        using var browser = new TestBrowser();
        List<string> secrets = [TestBed.AppSecret, TestBed.FunctionKey, TestBed.ProtectionKey];

        // A link, its install, a reload, a replay, and redirects that are refused.
        using var made = await bed.CallAsync(HttpMethod.Post, "install-links", new StringContent("""{"customer":"the-customer"}"""));
        var link = (await TestBed.ReadJsonAsync(made)).GetProperty("url").GetString()!;
        secrets.Add(link.Split("start=")[1]);
        await browser.GetAsync(link);
        var site = bed.Wix.CreateSite("Ann's Café");
        var redirect = await bed.WalkToRedirectAsync(browser, site.InstanceId);
        var query = TestBed.QueryOf(redirect);
        secrets.AddRange([query["code"], query["state"], .. browser.Cookies.Values]);
        TestBrowser.LocationOf(await browser.GetAsync(redirect));
        await browser.GetAsync(redirect);
        await browser.GetAsync(new Uri($"{bed.Api}redirect?code=other-secret-code&state={query["state"]}&instanceId={query["instanceId"]}"));
        await browser.GetAsync(new Uri($"{bed.Api}redirect?code=other-secret-code&state=foreign-secret-state&instanceId={query["instanceId"]}"));
        await browser.GetAsync(new Uri($"{bed.Api}install?token=secret-install-token&start=secret-start"));
        secrets.AddRange(["other-secret-code", "foreign-secret-state", "secret-install-token", "secret-start"]);

        // Tokens: refreshed, reported, rejected, healed, away; by header and by query.
        var id = site.InstanceId;
        await bed.GetTokenAsync(id);
        bed.Clock.Advance(TimeSpan.FromMinutes(6));
        var token = (await TestBed.ReadJsonAsync(await bed.GetTokenAsync(id))).GetProperty("access_token").GetString()!;
        bed.Clock.Advance(TimeSpan.FromSeconds(20));
        await bed.GetTokenAsync(id, $"?rejected={Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)))}");
        foreach (var kind in Enum.GetValues<PretendWixFaultKind>().Where(kind => kind is not (PretendWixFaultKind.Hang or PretendWixFaultKind.HangAfter)))
        {
            bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Kind = kind });
            bed.Clock.Advance(TimeSpan.FromHours(1));
            await bed.GetTokenAsync(id);
        }

        bed.Wix.Control.Heal(PretendWixEndpoints.Access);
        bed.Wix.Control.RejectRefreshToken(id);
        bed.Clock.Advance(TimeSpan.FromHours(1));
        await bed.SweepAsync();
        using var byQuery = await bed.CallAsync(HttpMethod.Get, $"instances/{id}/token?code={TestBed.FunctionKey}", key: null);
        using var wrongKey = await bed.CallAsync(HttpMethod.Get, $"instances/{id}/token?code=secret-wrong-key", key: "secret-wrong-key");
        using var refreshed = await bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");
        secrets.Add("secret-wrong-key");
        await bed.RestartAsync();
        await bed.GetTokenAsync(id);
        await bed.CallAsync(HttpMethod.Get, "health", key: null);

        secrets.AddRange(bed.Wix.Control.IssuedSecrets);
        var logs = bed.Logs.Everything;
        Assert.Contains(id.ToString(), logs, StringComparison.Ordinal);
        Assert.InRange(secrets.Count, 20, 1_000);
        foreach (var secret in secrets)
        {
            Assert.False(
                logs.Contains(secret, StringComparison.Ordinal) || logs.Contains(Uri.EscapeDataString(secret), StringComparison.Ordinal),
                $"A secret of {secret.Length} characters was logged:\n{Where(logs, secret)}");
        }
    }

    // Of a failing run only: these secrets are the test's own.
    private static string Where(string logs, string secret) =>
        string.Join('\n', logs.Split('\n').Where(line => line.Contains(secret, StringComparison.Ordinal) || line.Contains(Uri.EscapeDataString(secret), StringComparison.Ordinal)).Take(3));
}
