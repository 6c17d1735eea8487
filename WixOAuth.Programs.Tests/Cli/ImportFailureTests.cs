using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Moq;
using Spectre.Console;
using WixOAuth.Cli;
using WixOAuth.Cli.Import;
using WixOAuth.Cli.Output;

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
        context.Response.StatusCode = HttpMethods.IsPut(context.Request.Method) ? (int)import() : 404;
        return context.Response.WriteAsJsonAsync(new { outcome = "imported" });
    }

    private static Task<ServiceClient> OpenAsync(WebApplication server) => ServiceClient.OpenAsync(
        CliRun.Environment(s_key, TextWriter.Null, TextWriter.Null), server.Urls.Single(), connections: 1, entraScope: null, CancellationToken.None);

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
