using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Azure.Data.Tables;
using WixOAuth.Local;

namespace WixOAuth.Programs.Tests.Local;

/// <summary>The built program itself, as a process.</summary>
public sealed class LocalProgramTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_port_in_use_is_one_line_and_exit_code_1()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        var url = $"http://localhost:{((IPEndPoint)other.LocalEndpoint).Port}";
        var (code, output, errors) = await RunAsync(("urls", url));
        Assert.Equal(1, code);
        Assert.Contains($"{url} is in use", Assert.Single(errors), StringComparison.Ordinal);
        Assert.Empty(output);
    }

    [Fact]
    public async Task Bad_settings_are_a_line_each_and_exit_code_1()
    {
        var (code, output, errors) = await RunAsync(("Wix__ApiUrl", "http://example.com"), ("Tables__Name", "1"), ("Tokens__ProtectionKey", "s3cret"));
        Assert.Equal(1, code);
        Assert.Equal(3, errors.Count);
        Assert.Single(errors, line => line.StartsWith("Wix__ApiUrl ", StringComparison.Ordinal));
        Assert.Single(errors, line => line.StartsWith("Tables__Name ", StringComparison.Ordinal));
        Assert.Single(errors, line => line.StartsWith("Tokens__ProtectionKey ", StringComparison.Ordinal));
        Assert.DoesNotContain(errors, line => line.Contains("s3cret", StringComparison.Ordinal));
        Assert.Empty(output);
    }

    [Fact]
    public async Task A_second_program_on_one_data_folder_is_one_line_and_exit_code_1()
    {
        using var taken = new DataFolder(_folder.Path).TakeAlone("Azurite", "");
        var (code, _, errors) = await RunAsync(("Tables__ConnectionString", ""));
        Assert.Equal(1, code);
        var line = Assert.Single(errors);
        Assert.Contains("Another WixOAuth.Local", line, StringComparison.Ordinal);
        Assert.Contains(_folder.Path, line, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("TERM")]
    [InlineData("INT")]
    [InlineData("HUP")]
    public async Task It_prints_its_addresses_and_ends_on_a_signal(string signal)
    {
        Skip.If(OperatingSystem.IsWindows(), "Windows has no such signals.");
        Skip.If(signal == "INT" && IgnoresInterrupts(), "A shell started these tests in the background, where SIGINT is ignored, also by what they start.");
        using var process = Start();
        var lines = new List<string>();
        while (lines.Count < 6)
        {
            lines.Add(await process.StandardOutput.ReadLineAsync().WaitAsync(s_patience) ?? throw new InvalidOperationException(await process.StandardError.ReadToEndAsync()));
        }

        Assert.Equal("Install:  http://127.0.0.1:7071/api/install", lines[0]);
        Assert.Matches(@"^Status:   http://127\.0\.0\.1:\d+/api/status$", lines[1]);
        Assert.Equal("Key:      a-function-key", lines[2]);
        Assert.Matches("""^GetToken: curl -H "x-functions-key: a-function-key" http://127\.0\.0\.1:\d+/api/instances/\$INSTANCE_ID/token$""", lines[3]);
        Assert.Matches("^Wix:      http.*, app ", lines[4]);
        Assert.Matches("^Note:     Wix__RedirectUrl is on port 7071, but the service listens on port ", lines[5]);

        using var client = new HttpClient();
        var answer = await client.GetAsync(new Uri(new Uri(lines[1]["Status:".Length..].Trim()), "/api/no-such-function"));
        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);

        using var kill = Process.Start("kill", ["-s", signal, process.Id.ToString(CultureInfo.InvariantCulture)]);
        await process.WaitForExitAsync().WaitAsync(s_patience);
        Assert.Equal(0, process.ExitCode);
        Assert.Equal("", await process.StandardOutput.ReadToEndAsync());
        Assert.Equal("", await process.StandardError.ReadToEndAsync());
    }

    [SkippableFact]
    public async Task What_was_just_written_survives_the_closing_of_the_terminal()
    {
        Skip.IfNot(OperatingSystem.IsLinux(), "There is no setsid.");

        // A process group of its own, like a terminal's foreground job: the kernel signals all of it.
        using var process = Start(under: "setsid", ("Tables__ConnectionString", ""));
        try
        {
            while (await process.StandardOutput.ReadLineAsync().WaitAsync(s_patience) is { } line && !line.StartsWith("Wix: ", StringComparison.Ordinal))
            {
            }

            using var left = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(_folder.Path, "settings.json")));
            await new TableServiceClient(left.RootElement.GetProperty("Values").GetProperty("Tables__ConnectionString").GetString()).CreateTableAsync("JustWritten");

            using var kill = Process.Start("kill", ["-s", "HUP", "--", $"-{process.Id}"]);
            await process.WaitForExitAsync().WaitAsync(s_patience);
            Assert.Equal(0, process.ExitCode);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }

        await using var azurite = await Azurite.StartAsync(Path.Combine(_folder.Path, "azurite"), CancellationToken.None);
        Assert.NotEmpty(await new TableServiceClient(azurite.ConnectionString.Reveal()).QueryAsync("TableName eq 'JustWritten'").ToListAsync());
    }

    [SkippableFact]
    public async Task Requests_to_a_fresh_program_cause_no_warning()
    {
        Skip.If(OperatingSystem.IsWindows(), "Windows has no such signals.");
        using var process = Start(("Tables__ConnectionString", ""), ("Logging__LogLevel__WixOAuth", "Information"));
        try
        {
            var lines = new List<string>();
            while (lines.Count == 0 || !lines[^1].StartsWith("Wix: ", StringComparison.Ordinal))
            {
                lines.Add(await process.StandardOutput.ReadLineAsync().WaitAsync(s_patience) ?? throw new InvalidOperationException(await process.StandardError.ReadToEndAsync()));
            }

            var api = new Uri(lines.Single(line => line.StartsWith("Status:", StringComparison.Ordinal))["Status:".Length..].Trim());
            using var client = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false }) { DefaultRequestHeaders = { { "x-functions-key", "a-function-key" } } };
            foreach (var path in new[] { "health", "status", "status/view", "instances", "instances?status=removed", "redirect?code=c&state=s&instanceId=i", $"instances/{Guid.NewGuid()}/token" })
            {
                using var answer = await client.GetAsync(new Uri(api, path));
                Assert.InRange((int)answer.StatusCode, 200, 404);
            }

            using var kill = Process.Start("kill", ["-s", "TERM", process.Id.ToString(CultureInfo.InvariantCulture)]);
            await process.WaitForExitAsync().WaitAsync(s_patience);
            Assert.DoesNotMatch("(?m)^(warn|fail|crit):", await process.StandardOutput.ReadToEndAsync());
        }
        finally
        {
            process.Kill();
        }
    }

    // Bit 1 of what /proc calls SigIgn is signal 2.
    internal static bool IgnoresInterrupts() => File.Exists("/proc/self/status")
        && File.ReadLines("/proc/self/status").First(line => line.StartsWith("SigIgn:", StringComparison.Ordinal)) is var line
        && (Convert.ToUInt64(line["SigIgn:".Length..].Trim(), 16) & 2) != 0;

    private async Task<(int Code, IReadOnlyList<string> Output, IReadOnlyList<string> Errors)> RunAsync(params (string Name, string Value)[] changes)
    {
        using var process = Start(changes);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync();
            var errors = process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync().WaitAsync(s_patience);
            return (process.ExitCode, Lines(await output), Lines(await errors));
        }
        finally
        {
            process.Kill();
        }
    }

    private Process Start(params (string Name, string Value)[] changes) => Start(under: null, changes);

    private Process Start(string? under, params (string Name, string Value)[] changes)
    {
        string[] command = [.. under is null ? [] : new[] { under }, "dotnet", typeof(LocalHost).Assembly.Location];
        var start = new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment =
            {
                ["Local__DataFolder"] = _folder.Path,
                ["Local__SettingsFile"] = Path.Combine(_folder.Path, "none.json"),

                // The table of these settings is not there, and how soon that is logged is the machine's.
                ["Logging__LogLevel__WixOAuth"] = "None",
            },
        };
        foreach (var (name, value) in LocalHostFixture.Settings())
        {
            start.Environment[name] = value;
        }

        foreach (var (name, value) in changes)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    private static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
