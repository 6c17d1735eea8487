using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Azure.Core;
using Azure.Data.Tables;
using Azure.Identity;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using WixOAuth.Cli.Import;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.PretendWix;
using Xunit.Abstractions;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary><c>wixoauth import</c> against the running service.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class ImportCommandTests(AzuriteFixture azurite, ITestOutputHelper output) : IDisposable
{
    private static readonly Dictionary<string, string?> s_key = new() { ["WIXOAUTH_KEY"] = TestBed.FunctionKey };
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Sites_of_a_CSV_are_imported_and_a_second_run_finds_them_unchanged()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seeds = bed.Wix.Seed(60);
        var file = Write(seeds.Select(seed => $"{seed.RefreshToken},{seed.InstanceId},customer {seed.InstanceId:N}"), "refreshToken,instanceId,customer");

        var check = await RunAsync(bed, file, "--dry-run");
        Assert.Equal((0, "60 sites: 60 would be imported, 0 failed"), (check.ExitCode, check.Out.Trim()));
        Assert.DoesNotContain(await bed.RowsAsync(), row => row.RowKey.StartsWith("i|", StringComparison.Ordinal));

        var first = await RunAsync(bed, file, "--report", Path.Combine(_folder.Path, "report.csv"));
        Assert.Equal((0, "60 sites: 60 imported, 0 failed"), (first.ExitCode, first.Out.Trim()));
        Assert.Equal(61, (await File.ReadAllLinesAsync(Path.Combine(_folder.Path, "report.csv"))).Length);
        Assert.False(File.Exists(file + ".journal"));
        var second = await RunAsync(bed, file, "--json");
        Assert.Equal(60, JsonDocument.Parse(second.Out).RootElement.GetProperty("outcomes").GetProperty("unchanged").GetInt32());
        foreach (var seed in seeds.Take(5))
        {
            Assert.Equal(HttpStatusCode.OK, (await bed.GetTokenAsync(seed.InstanceId)).StatusCode);
            Assert.Equal($"customer {seed.InstanceId:N}", (await bed.GetInstanceAsync(seed.InstanceId)).GetProperty("customer").GetString());
        }

        AssertSilent(seeds, check, first, second);
    }

    [Fact]
    public async Task Failures_are_listed_with_their_lines_and_only_they_are_tried_again()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seeds = bed.Wix.Seed(10);
        bed.Wix.Control.RejectRefreshToken(seeds[3].InstanceId);
        await bed.CallAsync(HttpMethod.Delete, $"instances/{seeds[5].InstanceId}");
        var file = Write(seeds.Select(seed => $"{seed.InstanceId},{seed.RefreshToken}").Append("nonsense,s3cret"));

        var first = await RunAsync(bed, file);

        Assert.Equal(1, first.ExitCode);
        Assert.Contains($"line 5: {seeds[3].InstanceId} import_rejected", first.Out, StringComparison.Ordinal);
        Assert.Contains($"line 7: {seeds[5].InstanceId} app_removed", first.Out, StringComparison.Ordinal);
        Assert.Contains("line 12: bad_line", first.Out, StringComparison.Ordinal);
        Assert.EndsWith("11 sites: 8 imported, 3 failed", first.Out.Trim(), StringComparison.Ordinal);

        bed.Wix.Control.RejectRefreshToken(seeds[3].InstanceId, rejected: false);
        bed.Wix.Control.Reset();
        var second = await RunAsync(bed, file, "--revive");
        Assert.EndsWith("11 sites: 10 imported, 1 failed", second.Out.Trim(), StringComparison.Ordinal);
        Assert.Equal(2, bed.Wix.Control.Counts.Grants["refresh_token"]);
        AssertSilent(seeds, first, second);
        Assert.DoesNotContain("s3cret", first.Everything + second.Everything + await File.ReadAllTextAsync(file + ".journal"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_table_that_lost_a_site_has_it_imported_again_and_newer_tokens_stay()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var seeds = bed.Wix.Seed(3);
        bed.Wix.Control.RejectRefreshToken(seeds[1].InstanceId);
        var file = Write(seeds.Select(seed => $"{seed.InstanceId},{seed.RefreshToken},2020-01-02"), "instanceId,refreshToken,consentedAt");
        Assert.EndsWith("3 sites: 2 imported, 1 failed", (await RunAsync(bed, file)).Out.Trim(), StringComparison.Ordinal);
        using (var browser = new TestBrowser())
        {
            await browser.GetAsync(await bed.WalkToRedirectAsync(browser, seeds[0].InstanceId));
            await bed.SettleAsync();
        }

        var newer = await ExportAsync();
        Assert.NotEqual(seeds[0].RefreshToken, newer[seeds[0].InstanceId]);
        var lost = await bed.Table.QueryAsync<TableEntity>($"RowKey eq 'i|{seeds[2].InstanceId}'").SingleAsync();
        await bed.Table.DeleteEntityAsync(lost);

        var again = await RunAsync(bed, file);

        Assert.EndsWith("3 sites: 1 imported, 1 kept, 1 failed", again.Out.Trim(), StringComparison.Ordinal);
        Assert.Contains("Beginning anew", again.Error, StringComparison.Ordinal);
        var now = await ExportAsync();
        Assert.Equal((newer[seeds[0].InstanceId], seeds[2].RefreshToken), (now[seeds[0].InstanceId], now[seeds[2].InstanceId]));

        async Task<Dictionary<Guid, string?>> ExportAsync()
        {
            var path = Path.Combine(_folder.Path, $"{Guid.NewGuid():N}.ndjson");
            Assert.Equal(0, (await CliRun.RunAsync(bed.Settings, "export", path)).ExitCode);
            return (await File.ReadAllLinesAsync(path)).Select(line => JsonDocument.Parse(line).RootElement)
                .ToDictionary(line => line.GetProperty("instance_id").GetGuid(), line => line.GetProperty("refresh_token").GetString());
        }
    }

    [Fact]
    public async Task A_token_in_the_column_of_the_instance_id_is_not_shown()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var (file, report) = (Write(bed.Wix.Seed(3).Select(seed => $"OAUTH2.s3cret-{seed.RefreshToken},{seed.InstanceId}")), Path.Combine(_folder.Path, "report.csv"));

        var run = await RunAsync(bed, file, "--report", report);

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("line 2: bad_line", run.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", run.Everything + await File.ReadAllTextAsync(report), StringComparison.Ordinal);
    }

    [Fact]
    public void A_report_holds_nothing_that_a_spreadsheet_runs()
    {
        var path = Path.Combine(_folder.Path, "report.csv");
        using (var report = new ImportReport(path))
        {
            report.Add(2, "", "failed", "@SUM(1)", "=HYPERLINK(\"https://evil.example\")");
            report.Add(3, "11111111-2222-4333-8444-555555555555", "imported", "", "");
        }

        var lines = File.ReadAllLines(path);
        Assert.Equal("2,,failed,\"'@SUM(1)\",\"'=HYPERLINK(\"\"https://evil.example\"\")\"", lines[1]);
        Assert.Equal("3,11111111-2222-4333-8444-555555555555,imported,,", lines[2]);
    }

    [Fact]
    public async Task Text_of_a_file_or_a_service_gives_the_terminal_no_orders()
    {
        const string Hostile = "a\u001b[2J\u001b]0;pwn3d\u0007\u009b31m\rb\u202ec";
        await using var service = WebApplication.CreateSlimBuilder().Build();
        service.Urls.Add($"http://127.0.0.1:{FreePort.Next()}");
        service.MapGet("/api/instances/{id}", StubServer.InvalidId);
        service.MapFallback(() => Results.Problem(title: Hostile, statusCode: 400));
        await service.StartAsync();
        var file = Write([$"{Guid.NewGuid()},r-1,x"], $"instanceId,refreshToken,\"{Hostile}\"");

        var lines = await CliRun.RunAsync(s_key, "import", file, "--url", service.Urls.Single());
        var json = await CliRun.RunAsync(s_key, "import", file, "--url", service.Urls.Single(), "--json");

        Assert.Contains("a\uFFFD[2J", lines.Out, StringComparison.Ordinal);
        Assert.Contains("Ignored columns: a\uFFFD[2J", lines.Error, StringComparison.Ordinal);
        Assert.All(lines.Everything + json.Everything, c => Assert.False(char.IsControl(c) && c != '\n', $"U+{(int)c:X4}"));
        Assert.DoesNotContain('\u202e', lines.Everything);
    }

    [Fact]
    public async Task A_service_that_is_not_available_is_waited_for()
    {
        var askedAt = new List<long>();
        await using var service = WebApplication.CreateSlimBuilder().Build();
        service.Urls.Add("http://127.0.0.1:0");
        service.MapGet("/api/instances/{id}", StubServer.InvalidId);
        service.MapPut("/api/instances/{id}", (HttpContext context) =>
        {
            askedAt.Add(TimeProvider.System.GetTimestamp());
            context.Response.Headers.RetryAfter = "1";
            return askedAt.Count == 1 ? Results.Problem(statusCode: 503) : Results.Json(new { outcome = "imported" }, statusCode: 201);
        });
        await service.StartAsync();

        var run = await CliRun.RunAsync(s_key, "import", Write([$"{Guid.NewGuid()},r-1"]), "--url", service.Urls.Single());

        Assert.Equal((0, "1 sites: 1 imported, 0 failed"), (run.ExitCode, run.Out.Trim()));
        Assert.Equal(2, askedAt.Count);
        Assert.True(TimeProvider.System.GetElapsedTime(askedAt[0], askedAt[1]) > TimeSpan.FromSeconds(0.9));
    }

    [Theory]
    [InlineData(60, 1)]
    [InlineData(4, 21)]
    public async Task Behind_Entra_ID_a_token_is_sent_beside_the_key_and_kept_until_shortly_before_its_end(int minutes, int asked)
    {
        await using var service = ServeBehindEntra();
        await service.StartAsync();
        var file = Write(Enumerable.Range(0, 20).Select(_ => $"{Guid.NewGuid()},s3cret"));
        string[] args = ["import", file, "--url", service.Urls.Single(), "--entra-scope", "api://wixoauth/.default"];

        var credential = new StubCredential(TimeSpan.FromMinutes(minutes));
        var check = await CliRun.RunAsAsync(credential, s_key, [.. args, "--dry-run"]);
        Assert.Equal((0, "20 sites: 20 would be imported, 0 failed"), (check.ExitCode, check.Out.Trim()));
        Assert.Equal(asked, credential.Scopes.Count);

        var run = await CliRun.RunAsAsync(credential, s_key, args);
        Assert.Equal((0, "20 sites: 20 imported, 0 failed"), (run.ExitCode, run.Out.Trim()));
        Assert.Equal(2 * asked, credential.Scopes.Count);
        Assert.All(credential.Scopes, scope => Assert.Equal("api://wixoauth/.default", scope));
        Assert.DoesNotContain(StubCredential.Token, check.Everything + run.Everything, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--dry-run")]
    [InlineData("--revive")]
    public async Task A_refusal_names_the_key_and_Entra_ID(string option)
    {
        await using var service = ServeBehindEntra();
        await service.StartAsync();

        var run = await CliRun.RunAsync(s_key, "import", Write([$"{Guid.NewGuid()},s3cret"]), "--url", service.Urls.Single(), option);

        Assert.Equal(2, run.ExitCode);
        Assert.Contains("WIXOAUTH_KEY", run.Error, StringComparison.Ordinal);
        Assert.Contains("--entra-scope api://<client id>/.default", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_identity_that_gets_no_token_is_one_line()
    {
        await using var service = ServeBehindEntra();
        await service.StartAsync();

        var run = await CliRun.RunAsAsync(
            new StubCredential(life: null), s_key, "import", Write([$"{Guid.NewGuid()},s3cret"]), "--url", service.Urls.Single(), "--entra-scope", "api://wixoauth/.default");

        Assert.Equal((1, ""), (run.ExitCode, run.Out));
        Assert.Contains("Entra ID gives no token for api://wixoauth/.default: nobody is signed in", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Wrong_use_is_exit_code_2_and_changes_nothing()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var file = Write([$"{Guid.NewGuid()},s3cret"]);
        Assert.Equal(2, (await CliRun.RunAsync(new Dictionary<string, string?>(), "import", file, "--url", bed.Host.Url.ToString())).ExitCode);
        var wrongKey = await CliRun.RunAsync(new Dictionary<string, string?> { ["WIXOAUTH_KEY"] = "wrong-key" }, "import", file, "--url", bed.Host.Url.ToString());
        Assert.Equal(2, wrongKey.ExitCode);
        Assert.DoesNotContain("wrong-key", wrongKey.Everything, StringComparison.Ordinal);
        Assert.Equal(2, (await RunAsync(bed, file, "--concurrency", "0")).ExitCode);
        Assert.Equal(2, (await RunAsync(bed, file, "--no-such-option")).ExitCode);
        Assert.Equal(2, (await CliRun.RunAsync(s_key, "import", "no-such-file", "--url", bed.Host.Url.ToString())).ExitCode);
        Assert.Equal(2, (await CliRun.RunAsync(s_key, "import", file, "--url", "http://example.com")).ExitCode);
        Assert.Equal(2, (await CliRun.RunAsync(s_key, "no-such-command")).ExitCode);
    }

    [Theory]
    [InlineData("import")]
    [InlineData("backup")]
    [InlineData("restore")]
    [InlineData("export")]
    [InlineData("doctor")]
    public async Task Help_shows_examples(string command)
    {
        var help = await CliRun.RunAsync(s_key, command, "--help");
        Assert.Equal(0, help.ExitCode);
        Assert.Contains("Examples:", help.Out, StringComparison.Ordinal);
        Assert.Contains($"wixoauth {command}", help.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_import_that_is_killed_ten_times_imports_each_site_once_beside_live_traffic()
    {
        // As in RehearsalTests: 10,000 sites are a documented command.
        var sites = int.Parse(Environment.GetEnvironmentVariable("WIXOAUTH_REHEARSAL_SITES") ?? "400", CultureInfo.InvariantCulture);
        await using var bed = await TestBed.StartAsync(azurite);
        var served = await bed.InstallAsync();
        bed.Wix.Control.Switches = bed.Wix.Control.Switches with { LatencyMs = new Dictionary<string, int> { [PretendWixEndpoints.Access] = 20, [PretendWixEndpoints.TokenInfo] = 20 } };
        var seeds = bed.Wix.Seed(sites);
        var file = Write(seeds.Select(seed => $"{seed.InstanceId},{seed.RefreshToken}"));
        var report = Path.Combine(_folder.Path, "report.csv");
        using var stop = new CancellationTokenSource();
        var load = Task.Run(async () =>
        {
            var answers = new List<HttpStatusCode>();
            while (!stop.IsCancellationRequested)
            {
                answers.Add((await bed.GetTokenAsync(served)).StatusCode);
            }

            return answers;
        });

        var seed = Random.Shared.Next();
        output.WriteLine($"The imports are killed where new Random({seed}) says.");
        var random = new Random(seed);
        for (var kill = 0; kill < 10; kill++)
        {
            // Wix holds what comes after, so that an import cannot end while a busy machine keeps this loop waiting.
            var until = Used(bed) + random.Next(2, sites / 16);
            var goOn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            bed.Wix.Control.Gate = (endpoint, cancellationToken) =>
                endpoint == PretendWixEndpoints.Access && Used(bed) > until + 4 ? goOn.Task.WaitAsync(cancellationToken) : Task.CompletedTask;
            using var killed = Start(bed, file, "--concurrency", "4");
            while (!killed.HasExited && Used(bed) < until)
            {
                // Another process: its progress can only be polled.
                await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System);
            }

            Assert.False(killed.HasExited);
            killed.Kill(entireProcessTree: true);
            await killed.WaitForExitAsync();
            bed.Wix.Control.Gate = null;
            goOn.SetResult();
        }

        var journal = (await File.ReadAllLinesAsync(file + ".journal")).Length;
        using var last = Start(bed, file, "--report", report);
        var printed = await last.StandardOutput.ReadToEndAsync();
        await last.WaitForExitAsync();
        await stop.CancelAsync();

        Assert.True(journal > 20, $"Only {journal} lines were imported before the last run.");
        Assert.Equal(0, last.ExitCode);
        Assert.Contains($"{sites:N0} sites: ", printed, StringComparison.Ordinal);
        Assert.Contains(", 0 failed", printed, StringComparison.Ordinal);
        Assert.Equal(
            seeds.Select(seed => $"{seed.InstanceId}").Order(StringComparer.Ordinal),
            (await File.ReadAllLinesAsync(report)).Skip(1).Select(line => line.Split(',')[1]).Order(StringComparer.Ordinal));
        var instances = (await bed.RowsAsync()).Count(row => row.RowKey.StartsWith("i|", StringComparison.Ordinal));
        Assert.Equal(sites + 1, instances);
        Assert.All(await load, status => Assert.Equal(HttpStatusCode.OK, status));
        foreach (var imported in seeds.Where((_, i) => i % 20 == 0))
        {
            Assert.Equal("ok", (await bed.GetInstanceAsync(imported.InstanceId)).GetProperty("refresh_token").GetString());
        }
    }

    // As Easy Auth does it: before the key is looked at, and without a body.
    private static WebApplication ServeBehindEntra()
    {
        var service = WebApplication.CreateSlimBuilder().Build();
        service.Urls.Add($"http://127.0.0.1:{FreePort.Next()}");
        service.Use((context, next) =>
        {
            if (context.Request.Headers.Authorization == $"Bearer {StubCredential.Token}" && context.Request.Headers["x-functions-key"] == TestBed.FunctionKey)
            {
                return next(context);
            }

            context.Response.StatusCode = StatusCodes.Status401Unauthorized;
            return Task.CompletedTask;
        });
        service.MapPut("/api/instances/{id}", () => new { outcome = "imported" });
        service.MapGet("/api/instances/{id}", (Guid id) =>
            id == Guid.Empty ? StubServer.InvalidId() : Results.Json(new { code = "unknown_instance" }, statusCode: StatusCodes.Status404NotFound));
        return service;
    }

    private static long Used(TestBed bed) => bed.Wix.Control.Counts.Grants["refresh_token"];

    private static Process Start(TestBed bed, string file, params string[] more) => Process.Start(new ProcessStartInfo(
        "dotnet", [Path.Combine(AppContext.BaseDirectory, "WixOAuth.Cli.dll"), "import", file, "--url", bed.Host.Url.ToString(), .. more])
    {
        RedirectStandardOutput = true,
        Environment = { ["WIXOAUTH_KEY"] = TestBed.FunctionKey },
    })!;

    private static void AssertSilent(IReadOnlyList<PretendSeed> seeds, params CliRun[] runs) =>
        Assert.All(runs, run => Assert.All(seeds, seed => Assert.DoesNotContain(seed.RefreshToken, run.Everything, StringComparison.Ordinal)));

    private string Write(IEnumerable<string> lines, string header = "instanceId,refreshToken")
    {
        var path = Path.Combine(_folder.Path, $"{Guid.NewGuid():N}.csv");
        File.WriteAllLines(path, lines.Prepend(header));
        return path;
    }

    private static Task<CliRun> RunAsync(TestBed bed, string file, params string[] more) =>
        CliRun.RunAsync(s_key, ["import", file, "--url", bed.Host.Url.ToString(), .. more]);

    private sealed class StubCredential(TimeSpan? life) : TokenCredential
    {
        public const string Token = "an-entra-token";

        public ConcurrentQueue<string> Scopes { get; } = new();

        public override AccessToken GetToken(TokenRequestContext requestContext, CancellationToken cancellationToken) => throw new NotSupportedException();

        public override ValueTask<AccessToken> GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken)
        {
            Scopes.Enqueue(requestContext.Scopes.Single());
            return life is { } left
                ? ValueTask.FromResult(new AccessToken(Token, TimeProvider.System.GetUtcNow() + left))
                : throw new AuthenticationFailedException("nobody is signed in");
        }
    }
}
