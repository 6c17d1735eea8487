using System.Security.Cryptography;
using System.Text;
using WixOAuth.PretendWix;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>A site's life with every kind of trouble, and the secrets that occurred in it.</summary>
internal static class TroubledLife
{
    /// <summary>Comes in query strings and nowhere else.</summary>
    public const string OnlyInQueries = "only-in-a-query-string";

    /// <summary>Lives it; the bed has to take webhooks.</summary>
    public static async Task<(Guid InstanceId, IReadOnlyList<string> Secrets)> LiveAsync(TestBed bed)
    {
        using var browser = new TestBrowser();
        List<string> secrets = [TestBed.AppSecret, TestBed.FunctionKey, TestBed.ProtectionKey];

        // A link, its install, a reload, a replay, and redirects that are refused.
        var link = await bed.CreateLinkAsync("the-customer");
        secrets.Add(link.Split("start=")[1]);
        await browser.ConfirmAsync($"{link}&note={OnlyInQueries}");
        var site = bed.Wix.CreateSite("Ann's Café");
        var redirect = await bed.WalkToRedirectAsync(browser, site.InstanceId);
        var query = TestBed.QueryOf(redirect);
        secrets.AddRange([query["code"], query["state"], .. browser.Cookies.Values]);
        TestBrowser.LocationOf(await browser.GetAsync(redirect));
        await browser.GetAsync(redirect);
        await browser.GetAsync(new Uri($"{bed.Api}redirect?code=other-secret-code&state={query["state"]}&instanceId={query["instanceId"]}"));
        await browser.GetAsync(new Uri($"{bed.Api}redirect?code=other-secret-code&state=foreign-secret-state&instanceId={query["instanceId"]}&note={OnlyInQueries}"));
        await browser.GetAsync(new Uri($"{bed.Api}install?token=secret-install-token&start=secret-start"));
        secrets.AddRange(["other-secret-code", "foreign-secret-state", "secret-install-token", "secret-start"]);

        // Tokens: refreshed, reported, rejected, healed, away; by header and by query.
        var id = site.InstanceId;
        await bed.GetTokenAsync(id);
        bed.Clock.Advance(TimeSpan.FromMinutes(6));
        var token = (await TestBed.ReadJsonAsync(await bed.GetTokenAsync(id))).GetProperty("access_token").GetString()!;
        bed.Clock.Advance(TimeSpan.FromSeconds(20));
        await bed.GetTokenAsync(id, $"?rejected={Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)))}&note={OnlyInQueries}");
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
        using var byQuery = await bed.CallAsync(HttpMethod.Get, $"instances/{id}/token?code={TestBed.FunctionKey}&note={OnlyInQueries}", key: null);
        using var wrongKey = await bed.CallAsync(HttpMethod.Get, $"instances/{id}/token?code=secret-wrong-key", key: "secret-wrong-key");
        using var refreshed = await bed.CallAsync(HttpMethod.Post, $"instances/{id}/refresh");
        using var nowhere = await bed.CallAsync(HttpMethod.Get, $"nowhere?note={OnlyInQueries}");
        secrets.Add("secret-wrong-key");
        await bed.FlushTelemetryAsync();
        await bed.RestartAsync();
        await bed.GetTokenAsync(id);
        await bed.CallAsync(HttpMethod.Get, $"health?note={OnlyInQueries}", key: null);

        // Webhooks: of a kind that is not used, forged, no webhook at all, and the removal that ends it.
        var removal = bed.Wix.SignWebhook("AppRemoved", id, bed.Clock.GetUtcNow().AddMinutes(1));
        var unused = bed.Wix.SignWebhook("AppUsed", id);
        secrets.AddRange([removal, unused, "secret-forged-webhook"]);
        foreach (var webhook in new[] { unused, $"{removal[..^4]}AAAA", "secret-forged-webhook", removal, removal })
        {
            (await bed.PostWebhookAsync(webhook)).Dispose();
        }

        await bed.GetTokenAsync(id);
        await bed.FlushTelemetryAsync();
        secrets.AddRange(bed.Wix.Control.IssuedSecrets);
        Assert.InRange(secrets.Count, 20, 1_000);
        return (id, secrets);
    }

    /// <summary>No secret and no query string is in what was written; as it is, or as an URL escapes it.</summary>
    public static void AssertNothingToldIn(string written, IEnumerable<string> secrets)
    {
        foreach (var secret in secrets.Append(OnlyInQueries))
        {
            Assert.False(Tells(written, secret), $"A secret of {secret.Length} characters was told:\n{Where(written, secret)}");
        }
    }

    private static bool Tells(string text, string secret) =>
        text.Contains(secret, StringComparison.Ordinal) || text.Contains(Uri.EscapeDataString(secret), StringComparison.Ordinal);

    // Of a failing run only: these secrets are the test's own.
    private static string Where(string written, string secret) => string.Join('\n', written.Split('\n').Where(line => Tells(line, secret)).Take(3));
}
