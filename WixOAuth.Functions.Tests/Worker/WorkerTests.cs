using System.Net;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>The Function App in its real worker process, on its good days.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class WorkerTests(AzuriteFixture azurite)
{
    private const string SiteName = "<script>alert(1)</script> & \"Ünïcødé\" 日本 🦊";

    [Fact]
    public async Task Functions_that_the_worker_reports_are_the_documented_ones()
    {
        await using var bed = await WorkerBed.StartAsync(azurite, ("BackupSchedule", "0 37 2 * * *"));
        var functions = bed.Host.Functions;

        AssertSame(
            Repository.Table("docs/http-api.md", "## Functions").Select(row => string.Join(' ', row)),
            functions.Where(function => function.IsHttp).Select(function =>
                $"{function.Name} {string.Join(',', function.Methods)} /api/{function.Route} {(function.IsAnonymous ? "no" : "yes")}"));
        AssertSame(
            Repository.Table("docs/http-api.md", "## Timers").Select(row => $"{row[0]} %{row[1]}%"),
            functions.Where(function => !function.IsHttp && function.Schedule is { Length: > 0 }).Select(function => $"{function.Name} {function.Schedule}"));
        await bed.EndAsync();
    }

    [Fact]
    public async Task Site_is_installed_served_refreshed_and_removed()
    {
        await using var receiver = await TelemetryReceiver.StartAsync();
        await using var bed = await WorkerBed.StartAsync(
            azurite, ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.Url), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"));
        bed.Wix.Control.Switches = bed.Wix.Control.Switches with { CodeLength = 7_500, AccessTokenLifetime = TimeSpan.FromMinutes(1) };

        var id = await bed.InstallAsync(SiteName);
        var token = await bed.GetTokenAsync(id);
        await RefreshedAsync(bed, id, token);
        await bed.AssertTimerSucceedsAsync("RefreshTokens");
        await bed.AssertTimerSucceedsAsync("Housekeeping");
        using var instance = await bed.SendAsync(HttpMethod.Get, $"instances/{id}");
        Assert.Equal(SiteName, (await TestBed.ReadJsonAsync(instance)).GetProperty("site").GetProperty("name").GetString());
        TestBed.AssertCommonHeaders(instance);
        using var page = await bed.SendAsync(HttpMethod.Get, "status/view");
        var html = await page.Content.ReadAsStringAsync();
        Assert.DoesNotContain("<script>", html, StringComparison.Ordinal);
        Assert.Contains(SiteName, WebUtility.HtmlDecode(html), StringComparison.Ordinal);

        Assert.Equal(200, await bed.PostWebhookAsync(bed.Wix.SignWebhook("AppRemoved", id, TimeProvider.System.GetUtcNow().AddMinutes(1))));
        await TestBed.AssertProblemAsync(await bed.SendAsync(HttpMethod.Get, $"instances/{id}/token"), 410, "app_removed");
        await bed.EndAsync();

        var logs = receiver.Of("/v1/logs");
        Assert.Contains("Sweep: ", logs, StringComparison.Ordinal);
        Assert.Contains("Housekeeping: ", logs, StringComparison.Ordinal);
        Assert.DoesNotContain("ecuting endpoint", logs, StringComparison.Ordinal);
        Assert.DoesNotContain("Microsoft.AspNetCore", logs, StringComparison.Ordinal);
        bed.AssertNoSecretIn($"{logs}\n{receiver.Of("/v1/traces")}\n{receiver.Of("/v1/metrics")}");
    }

    [Fact]
    public async Task Token_from_memory_is_answered_without_a_call_to_Wix_by_200_requests_at_once()
    {
        await using var bed = await WorkerBed.StartAsync(azurite);
        var id = await bed.InstallAsync();
        var token = await bed.GetTokenAsync(id);
        var calls = bed.Wix.Control.Counts.Grants.Values.Sum();

        var tokens = Task.WhenAll(Enumerable.Range(0, 100).Select(_ => bed.GetTokenAsync(id)));
        var installs = Task.WhenAll(Enumerable.Range(0, 100).Select(async _ =>
        {
            using var browser = new TestBrowser();
            using var response = await browser.GetAsync(new Uri(bed.Api, "install"));
            return TestBrowser.LocationOf(response);
        }));

        Assert.Equal([token], (await tokens).Distinct());
        Assert.Equal(100, (await installs).Select(consent => TestBed.QueryOf(consent)["state"]).Distinct().Count());
        Assert.Equal(calls, bed.Wix.Control.Counts.Grants.Values.Sum());
        await bed.EndAsync();
    }

    [Fact]
    public async Task Caller_that_leaves_ends_its_invocation_and_not_the_refresh()
    {
        await using var bed = await WorkerBed.StartAsync(azurite);
        bed.Wix.Control.Switches = bed.Wix.Control.Switches with { AccessTokenLifetime = TimeSpan.FromMinutes(1) };
        var id = await bed.InstallAsync();
        var token = await bed.GetTokenAsync(id);
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var open = new TaskCompletionSource();
        bed.Wix.Control.Gate = (_, _) =>
        {
            reached.TrySetResult();
            return open.Task;
        };

        // Until the report is believed.
        var query = Reporting(token);
        using var leaving = new CancellationTokenSource();
        var asking = bed.GetTokenAsync(id, query, leaving.Token);
        while (await Task.WhenAny(asking, reached.Task).WaitAsync(TimeSpan.FromMinutes(3)) == asking)
        {
            Assert.Equal(token, await asking);
            asking = bed.GetTokenAsync(id, query, leaving.Token);
        }

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asking);
        await bed.Host.LatestInvocation.WaitAsync(TimeSpan.FromMinutes(3));
        open.SetResult();

        Assert.NotEqual(token, await bed.GetTokenAsync(id, query));
        Assert.Equal(1, bed.Wix.Control.CountsOf(id).Grants["refresh_token"]);
        await bed.EndAsync();
    }

    [Fact]
    public async Task Webhook_of_64_KiB_is_read_and_a_longer_one_is_refused()
    {
        await using var bed = await WorkerBed.StartAsync(azurite);

        Assert.Equal(400, await bed.PostWebhookAsync(new string('x', 64 * 1024)));
        Assert.Equal(413, await bed.PostWebhookAsync(new string('x', (64 * 1024) + 1)));
        await bed.EndAsync();
    }

    [Fact]
    public async Task Request_without_the_key_or_a_route_reaches_no_function()
    {
        await using var bed = await WorkerBed.StartAsync(azurite);

        using var noKey = await bed.SendAsync(HttpMethod.Get, $"instances/{Guid.NewGuid()}/token", key: null);
        using var noRoute = await bed.SendAsync(HttpMethod.Get, "nowhere");
        using var unknown = await bed.SendAsync(HttpMethod.Get, $"instances/{Guid.NewGuid()}/token");
        Assert.Equal((HttpStatusCode.Unauthorized, HttpStatusCode.NotFound), (noKey.StatusCode, noRoute.StatusCode));
        await TestBed.AssertProblemAsync(unknown, 404, "unknown_instance");
        await bed.EndAsync();
    }

    private static async Task RefreshedAsync(WorkerBed bed, Guid id, string before)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        while (await bed.GetTokenAsync(id, Reporting(before), patience.Token) == before)
        {
            // Until the report is believed.
        }
    }

    /// <summary>Reports a token as rejected, which is believed once it is 3 % of its life old.</summary>
    private static string Reporting(string token) => $"?rejected={Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(token)))}";

    private static void AssertSame(IEnumerable<string> documented, IEnumerable<string> reported) =>
        Assert.Equal(documented.Order(StringComparer.Ordinal), reported.Order(StringComparer.Ordinal));
}
