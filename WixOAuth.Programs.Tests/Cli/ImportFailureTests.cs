using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Moq;
using Spectre.Console;
using WixOAuth.Cli;
using WixOAuth.Cli.Import;
using WixOAuth.Cli.Output;
using HttpResults = Microsoft.AspNetCore.Http.Results;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary><c>wixoauth import</c> where the service does not answer, or not as it should.</summary>
public sealed class ImportFailureTests : IDisposable
{
    private static readonly Dictionary<string, string?> s_key = new() { ["WIXOAUTH_KEY"] = "a-key" };
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("--dry-run")]
    [InlineData("--revive")]
    public async Task An_address_where_nothing_listens_is_reported_at_once(string option)
    {
        var run = await CliRun.RunAsync(s_key, "import", Write(sites: 3), "--url", $"http://127.0.0.1:{FreePort.Next()}", option);

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("could not be reached (ConnectionError): is it the right --url?", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(404, "application/problem+json", "{\"code\":\"unknown_instance\"}")]
    [InlineData(200, "text/html", "<p>Welcome</p>")]
    [InlineData(302, "text/html", "")]
    [InlineData(400, "text/html", "")]
    [InlineData(400, "application/problem+json", "{\"title\":\"Bad Request\"}")]
    [InlineData(400, "application/json", "{\"code\":\"invalid_request\"}")]
    public async Task Another_server_gets_no_token(int status, string type, string body)
    {
        var sent = 0;
        await using var server = await StartAsync(context =>
        {
            sent += HttpMethods.IsPut(context.Request.Method) ? 1 : 0;
            (context.Response.StatusCode, context.Response.ContentType, context.Response.Headers.Location) = (status, type, "/elsewhere");
            return context.Response.WriteAsync(body);
        });

        var run = await CliRun.RunAsync(s_key, "import", Write(sites: 3), "--url", server.Urls.Single());

        Assert.Equal((1, 0), (run.ExitCode, sent));
        Assert.Contains("is it the right --url?", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(2, 3)]
    [InlineData(int.MaxValue, 12)]
    public async Task A_service_that_is_not_available_yet_is_waited_for_before_a_token_is_sent(int unavailable, int asked)
    {
        var (clock, asks) = (new SetBackClock(), 0);
        await using var server = await StartAsync(context => (++asks <= unavailable ? HttpResults.StatusCode(503) : StubServer.InvalidId()).ExecuteAsync(context));
        using var service = await OpenAsync(server, clock);

        var failure = await Record.ExceptionAsync(() => service.ReachAsync(CancellationToken.None));

        Assert.Equal((asked, unavailable > 12), (asks, failure is CommandFailedException));
        Assert.True(clock.Waited > TimeSpan.FromSeconds(1), $"{clock.Waited}");
    }

    [Fact]
    public async Task A_proxy_gets_no_token_that_is_for_this_machine()
    {
        var asked = 0;
        await using var proxy = await StartAsync(context =>
        {
            asked++;
            return AnswerAsync(context, () => HttpStatusCode.OK);
        });
        await using var server = await StartAsync(context => AnswerAsync(context, () => HttpStatusCode.OK));
        using var process = Process.Start(new ProcessStartInfo(
            "dotnet", [Path.Combine(AppContext.BaseDirectory, "WixOAuth.Cli.dll"), "import", Write(sites: 1), "--url", server.Urls.Single()])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
            Environment = { ["WIXOAUTH_KEY"] = "a-key", ["http_proxy"] = proxy.Urls.Single(), ["no_proxy"] = null, ["NO_PROXY"] = null },
        })!;

        Assert.Equal("1 sites: 1 imported, 0 failed", (await process.StandardOutput.ReadToEndAsync()).Trim());
        Assert.Equal(0, asked);
    }

    [Theory]
    [InlineData("--dry-run", "1 would be imported")]
    [InlineData("--revive", "1 imported")]
    public async Task A_site_that_is_on_two_lines_is_taken_from_neither(string option, string expected)
    {
        var (twice, once, sent) = (Guid.NewGuid(), Guid.NewGuid(), new ConcurrentQueue<string>());
        await using var server = await StartAsync(context =>
        {
            if (HttpMethods.IsPut(context.Request.Method))
            {
                sent.Enqueue(context.Request.Path);
            }

            return context.Request.Path.Value!.Contains($"{Guid.Empty}", StringComparison.Ordinal) || HttpMethods.IsPut(context.Request.Method)
                ? AnswerAsync(context, () => HttpStatusCode.OK)
                : HttpResults.Json(new { code = "unknown_instance" }, statusCode: 404).ExecuteAsync(context);
        });
        var file = Path.Combine(_folder.Path, "sites.csv");
        await File.WriteAllLinesAsync(file, ["instanceId,refreshToken,customer", $"{twice},r-1,a", $"{once},r-2,a", $"{twice.ToString().ToUpperInvariant()},r-3,b"]);

        var run = await CliRun.RunAsync(s_key, "import", file, "--url", server.Urls.Single(), option);

        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"line 2: {twice} bad_line: the same instance is on lines 2 and 4", run.Out, StringComparison.Ordinal);
        Assert.Contains($"line 4: {twice} bad_line: the same instance is on lines 2 and 4", run.Out, StringComparison.Ordinal);
        Assert.EndsWith($"3 sites: {expected}, 2 failed", run.Out.Trim(), StringComparison.Ordinal);
        Assert.DoesNotContain(sent, path => path.Contains($"{twice}", StringComparison.OrdinalIgnoreCase));
    }

    [Theory]
    [InlineData("active", "ok", "", "would be kept")]
    [InlineData("active", "ok", "r-1,", "would be kept")]
    [InlineData("active", "ok", "r-1,2026-01-02", "would be kept, or refreshed where consented_at is later than the stored consent")]
    [InlineData("active", "ok", ",2026-01-02", "would be kept")]
    [InlineData("active", "rejected", "r-1,", "would be refreshed")]
    [InlineData("active", "none", ",", "would be kept")]
    [InlineData("reinstall_required", "ok", "r-1,", "would be refreshed")]
    [InlineData("reinstall_required", "ok", ",", "would be kept")]
    public async Task A_dry_run_promises_what_the_service_would_do(string status, string refreshToken, string fields, string expected)
    {
        await using var server = await StartAsync(context =>
            (context.Request.Path.Value!.EndsWith($"{Guid.Empty}", StringComparison.Ordinal) ? StubServer.InvalidId() : HttpResults.Json(new { status, refresh_token = refreshToken })).ExecuteAsync(context));
        var (file, values) = (Path.Combine(_folder.Path, "sites.csv"), fields.Split(','));
        var hasToken = values[0].Length > 0;
        await File.WriteAllLinesAsync(file, [$"instanceId,consentedAt{(hasToken ? ",refreshToken" : "")}", $"{Guid.NewGuid()},{values.ElementAtOrDefault(1)}{(hasToken ? $",{values[0]}" : "")}"]);

        var run = await CliRun.RunAsync(s_key, "import", file, "--url", server.Urls.Single(), "--dry-run");

        Assert.Equal($"1 sites: 1 {expected}, 0 failed", run.Out.Trim());
    }

    [Fact]
    public async Task A_service_that_does_not_answer_in_time_is_reported()
    {
        await using var server = await StartAsync(context => Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted));
        using var service = await OpenAsync(server);
        service.Timeout = TimeSpan.FromMilliseconds(1);

        var failed = await Assert.ThrowsAsync<CommandFailedException>(() => service.FindAsync($"{Guid.NewGuid()}", CancellationToken.None));

        Assert.Contains("did not answer in time", failed.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("s3cret\nsecond")]
    [InlineData("s3cret second")]
    [InlineData("s3cret\u00fc")]
    public async Task A_key_that_is_no_key_is_never_quoted(string key)
    {
        var run = await CliRun.RunAsync(new Dictionary<string, string?> { ["WIXOAUTH_KEY"] = key }, "import", Write(sites: 1));

        Assert.Equal(2, run.ExitCode);
        Assert.Contains("WIXOAUTH_KEY should be one key", run.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", run.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_question_for_the_key_can_be_interrupted()
    {
        using var stop = new CancellationTokenSource();
        var keyboard = new Mock<IAnsiConsoleInput>();
        keyboard
            .Setup(input => input.ReadKeyAsync(true, It.IsAny<CancellationToken>()))
            .Returns(async (bool _, CancellationToken cancellationToken) =>
            {
                await stop.CancelAsync();
                await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken);
                return null;
            });
        var silent = CliRun.Environment(new Dictionary<string, string?>(), TextWriter.Null, TextWriter.Null);
        silent.Terminal.Profile.Capabilities.Interactive = true;
        var environment = new CliEnvironment
        {
            Out = silent.Out,
            Terminal = Mock.Of<IAnsiConsole>(console =>
                console.Profile == silent.Terminal.Profile
                && console.Pipeline == silent.Terminal.Pipeline
                && console.Cursor == silent.Terminal.Cursor
                && console.ExclusivityMode == silent.Terminal.ExclusivityMode
                && console.Input == keyboard.Object),
            Variables = silent.Variables,
            Time = silent.Time,
            IsInteractive = true,
        };
        string[] command = ["import", Write(sites: 1), "--url", "http://localhost:7071"];

        // On another thread: what waits for a key without a token blocks the one it is on.
        var asked = Task.Run(() => CommandLine.RunAsync(command, environment, stop.Token));

        Assert.Equal(ExitCode.Failed, await asked.WaitAsync(TimeSpan.FromMinutes(3)));
    }

    [Fact]
    public async Task A_key_that_is_refused_in_the_middle_does_not_claim_that_nothing_was_done()
    {
        var imports = 0;
        await using var server = await StartAsync(context => AnswerAsync(context, () => imports++ == 0 ? HttpStatusCode.OK : HttpStatusCode.Unauthorized));

        var run = await CliRun.RunAsync(s_key, "import", Write(sites: 2), "--url", server.Urls.Single(), "--concurrency", "1");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("WIXOAUTH_KEY", run.Error, StringComparison.Ordinal);
        Assert.Contains("1 sites are imported", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_clock_that_is_set_back_does_not_prolong_a_pause()
    {
        var (clock, imports, path) = (new SetBackClock(), 0, Write(sites: 1));
        await using var server = await StartAsync(context => AnswerAsync(context, () => imports++ == 0 ? HttpStatusCode.ServiceUnavailable : HttpStatusCode.OK));
        using var service = await OpenAsync(server);
        using var file = ImportFile.Open(path, TimeProvider.System.GetUtcNow());
        using var journal = ImportJournal.Open(path, "hash", service.Url);

        var summary = await new ImportRun(service, concurrency: 1, revive: false, clock).RunAsync(file, journal, report: null, new ProgressMeter(0), CancellationToken.None);

        Assert.Equal(1, summary.Succeeded);
        Assert.InRange(clock.Waited, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(1));
    }

    private static async Task<WebApplication> StartAsync(RequestDelegate answer)
    {
        var server = StubServer.Create(answer);
        await server.StartAsync();
        return server;
    }

    private static Task AnswerAsync(HttpContext context, Func<HttpStatusCode> import)
    {
        if (!HttpMethods.IsPut(context.Request.Method))
        {
            return StubServer.InvalidId().ExecuteAsync(context);
        }

        context.Response.StatusCode = (int)import();
        return context.Response.WriteAsJsonAsync(new { outcome = "imported" });
    }

    private static Task<ServiceClient> OpenAsync(WebApplication server, TimeProvider? time = null) => ServiceClient.OpenAsync(
        CliRun.Environment(s_key, TextWriter.Null, TextWriter.Null, time), server.Urls.Single(), connections: 1, entraScope: null, CancellationToken.None);

    private string Write(int sites)
    {
        var path = Path.Combine(_folder.Path, "sites.csv");
        File.WriteAllLines(path, Enumerable.Range(0, sites).Select(_ => $"{Guid.NewGuid()},r-1").Prepend("instanceId,refreshToken"));
        return path;
    }

    /// <summary>Waits take no time. The clock is set back by an hour after it was read for the end of the first pause.</summary>
    private sealed class SetBackClock : TimeProvider
    {
        private int _looks;

        public TimeSpan Waited { get; private set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Waited.Ticks;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddYears(50) + Waited - TimeSpan.FromHours(++_looks > 2 ? 1 : 0);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            Waited += dueTime;
            callback(state);
            return Mock.Of<ITimer>();
        }
    }
}
