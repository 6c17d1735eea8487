using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Local;

namespace WixOAuth.Programs.Tests.Local;

/// <summary>
/// <c>npm start</c>, with a stand-in for Core Tools that runs the same functions in WixOAuth.Local, with the settings it
/// is given and no others: Core Tools themselves come from a download that not every machine can reach.
/// </summary>
public sealed class NpmStartTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    private readonly TemporaryFolder _folder = new();
    private readonly List<string> _lines = [];

    public void Dispose() => _folder.Dispose();

    [SkippableFact]
    public async Task Without_settings_an_install_is_walked_as_with_WixOAuth_Local_and_nothing_is_left_behind()
    {
        Skip.If(OperatingSystem.IsWindows(), "The stand-in is a shell script.");
        Skip.If(File.Exists(Path.Combine(Repository.Root, "local.settings.json")), "There is a local.settings.json here, whose settings would be used.");
        await WriteFuncAsync($"""
            [ "$1" = --version ] && echo 4.0.0 && exit
            [ "$1 $2" = "start --port" ] && exec dotnet "{typeof(LocalHost).Assembly.Location}" --urls "http://localhost:$3"
            exit 2
            """);

        // Other tests run what was built: nothing is built beside them.
        var local = Path.Combine(Repository.Root, "WixOAuth.Local");
        await WriteAsync("dotnet", $"""
            if [ "$1" = build ] && [ -e "{local}/bin/Debug/net10.0/WixOAuth.Local.dll" ]; then echo "dotnet $*"; exit; fi
            PATH=$(echo "$PATH" | cut -d: -f2-) exec dotnet "$@"
            """);
        var port = FreePort.Next();
        using var process = Start(port);
        try
        {
            await LineAsync($"dotnet build {local} ");
            var wix = new Uri((await LineAsync("Install:  "))["Install:  ".Length..]);
            await LineAsync("GetToken: ");

            using var browser = new TestBrowser();
            var home = await (await browser.GetAsync(wix)).Content.ReadAsStringAsync();
            var site = home.Split("/sites/")[1].Split('/')[0];
            var appUrl = TestBrowser.LocationOf(await browser.GetAsync(new Uri(wix, $"/sites/{site}/open")));
            Assert.Equal($"http://localhost:{port}/api/install", appUrl.GetLeftPart(UriPartial.Path));
            var consent = TestBrowser.LocationOf(await browser.GetAsync(appUrl));
            var redirect = TestBrowser.LocationOf(await browser.PostAsync(consent, ("decision", "agree")));
            Assert.Equal("/installer/close-window", TestBrowser.LocationOf(await browser.GetAsync(redirect)).AbsolutePath);

            using var http = new HttpClient { DefaultRequestHeaders = { { "x-functions-key", "a-function-key" } } };
            using var token = await http.GetAsync(new Uri($"http://localhost:{port}/api/instances/{site}/token"));
            Assert.Equal(HttpStatusCode.OK, token.StatusCode);

            using var kill = Process.Start("kill", ["-s", "INT", process.Id.ToString(CultureInfo.InvariantCulture)]);
            await process.WaitForExitAsync().WaitAsync(s_patience);
            Assert.Equal(0, process.ExitCode);
            Assert.False(Answers(port));
            Assert.False(Answers(wix.Port));
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    [SkippableTheory]
    [InlineData("exit 1")]
    [InlineData("echo 3.0.4899")]
    public async Task Without_Core_Tools_4_it_says_how_they_are_to_be_had(string func)
    {
        Skip.If(OperatingSystem.IsWindows(), "The stand-in is a shell script.");
        await WriteFuncAsync(func);
        using var process = Start(FreePort.Next());

        await LineAsync("Azure Functions Core Tools 4 are missing");
        await process.WaitForExitAsync().WaitAsync(s_patience);
        Assert.Equal(1, process.ExitCode);
    }

    /// <summary><c>npm install</c> in a copy of the repository: npm says "up to date" in each of these cases.</summary>
    [SkippableTheory]
    [InlineData("nothing", 1, "Azure Functions Core Tools 4 are missing: npm ")]
    [InlineData("package without program", 1, "Run: npm rebuild azure-functions-core-tools")]
    [InlineData("package's script before an installed func", 0, "")]
    public async Task Npm_install_says_what_is_missing(string there, int exitCode, string said)
    {
        Skip.If(OperatingSystem.IsWindows(), "The stand-in is a shell script.");
        var tools = Directory.CreateDirectory(Path.Combine(_folder.Path, "tools")).FullName;
        File.Copy(Path.Combine(Repository.Root, "tools", "core-tools.mjs"), Path.Combine(tools, "core-tools.mjs"));
        File.Copy(Path.Combine(Repository.Root, "package-lock.json"), Path.Combine(_folder.Path, "package-lock.json"));
        var modules = Directory.CreateDirectory(Path.Combine(_folder.Path, "node_modules")).FullName;
        var shims = Directory.CreateDirectory(Path.Combine(modules, ".bin")).FullName;
        if (there != "nothing")
        {
            Directory.CreateDirectory(Path.Combine(modules, "azure-functions-core-tools"));
            await WriteFuncAsync("exit 1", shims);
        }

        await WriteFuncAsync(exitCode == 0 ? "echo 4.0.0" : "exit 1");
        var start = new ProcessStartInfo("node", [Path.Combine(tools, "core-tools.mjs")]) { RedirectStandardError = true };
        start.Environment["PATH"] = string.Join(Path.PathSeparator, shims, _folder.Path, Environment.GetEnvironmentVariable("PATH"));
        using var process = Process.Start(start)!;
        var errors = await process.StandardError.ReadToEndAsync().WaitAsync(s_patience);
        await process.WaitForExitAsync().WaitAsync(s_patience);

        Assert.Contains(said, errors, StringComparison.Ordinal);
        Assert.Equal((exitCode, exitCode == 0), (process.ExitCode, errors.Length == 0));
        using var package = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(Repository.Root, "package.json")));
        Assert.Equal("node tools/core-tools.mjs", package.RootElement.GetProperty("scripts").GetProperty("postinstall").GetString());
    }

    [SkippableTheory]
    [InlineData("TERM")]
    [InlineData("KILL")]
    public async Task Worker_of_Core_Tools_ends_when_npm_start_is_killed(string signal)
    {
        Skip.If(OperatingSystem.IsWindows(), "The stand-in is a shell script.");
        var workerPort = FreePort.Next();

        // A worker that only SIGKILL ends, and a func that ends without it.
        await WriteFuncAsync($"""
            [ "$1" = --version ] && echo 4.0.0 && exit
            node -e "for (const s of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(s, () => {"{}"}); require('net').createServer().listen({workerPort}, '127.0.0.1', () => console.log('Worker listens'))" &
            wait
            """);
        using var process = Start(FreePort.Next(), ("Wix__AppId", "some-app"));
        try
        {
            await LineAsync("Worker listens");
            using var worker = new TcpClient("127.0.0.1", workerPort);

            using var kill = Process.Start("kill", ["-s", signal, process.Id.ToString(CultureInfo.InvariantCulture)]);

            // The connection ends with the worker.
            try
            {
                Assert.Equal(0, await worker.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(s_patience));
            }
            catch (IOException)
            {
            }

            await process.WaitForExitAsync().WaitAsync(s_patience);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    private static bool Answers(int port)
    {
        try
        {
            using var client = new TcpClient("localhost", port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    // The service reads the names of settings in any case.
    [SkippableTheory]
    [InlineData("Wix__AppId")]
    [InlineData("WIX__APPID")]
    [InlineData("wix__appid")]
    public async Task With_a_real_app_Core_Tools_ask_for_keys(string name)
    {
        Skip.If(OperatingSystem.IsWindows(), "The stand-in is a shell script.");
        await WriteFuncAsync("""
            [ "$1" = --version ] && echo 4.0.0 && exit
            echo "func $*"
            """);
        var port = FreePort.Next();
        using var process = Start(port, (name, "11111111-2222-4333-8444-555555555555"));
        try
        {
            Assert.Equal($"func start --port {port} --enableAuth", await LineAsync("func start"));
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
    }

    public static TheoryData<string[], bool, string> Folders => new()
    {
        { [], false, "functions/azurite" },
        { [], true, "wix-functions/azurite" },
        { ["functions/azurite/"], false, "pretend-functions/azurite" },
        { ["functions/azurite/"], true, "functions/azurite" },
        { ["functions/azurite/", "functions/pretend-wix.json"], true, "wix-functions/azurite" },

        // The first versions kept Azurite's data in the folder itself.
        { ["functions/__azurite_db_table__.json"], true, "functions" },
        { ["functions/__azurite_db_table__.json"], false, "functions/azurite" },
        { ["functions/__azurite_db_table__.json", "functions/azurite/", "functions/pretend-wix.json"], true, "functions" },
        { ["functions/__azurite_db_table__.json", "functions/azurite/"], true, "functions/azurite" },
        { ["functions/__azurite_db_table__.json", "wix-functions/azurite/"], true, "wix-functions/azurite" },
    };

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task The_data_of_a_real_app_is_found_where_earlier_versions_kept_it(string[] kept, bool hasRealApp, string expected)
    {
        foreach (var path in kept.Select(each => Path.Combine(_folder.Path, ".data", each)))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            if (!path.EndsWith('/'))
            {
                await File.WriteAllTextAsync(path, "{}");
            }
        }

        const string Script = """
            const [module, root, hasRealApp] = process.argv.slice(1);
            console.log((await import(module)).findFolders(root, undefined, hasRealApp === 'True').azurite);
            """;
        var start = new ProcessStartInfo("node", ["--input-type=module", "-e", Script, new Uri(Path.Combine(Repository.Root, "tools", "data-folders.mjs")).AbsoluteUri, _folder.Path, $"{hasRealApp}"])
        {
            RedirectStandardOutput = true,
        };
        using var process = Process.Start(start)!;

        Assert.Equal(Path.Combine([_folder.Path, ".data", .. expected.Split('/')]), (await process.StandardOutput.ReadToEndAsync()).Trim());
    }

    private Process Start(int port, params (string Name, string Value)[] settings)
    {
        var start = new ProcessStartInfo("node", [Path.Combine(Repository.Root, "tools", "start.mjs")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment =
            {
                ["PATH"] = $"{_folder.Path}{Path.PathSeparator}{Environment.GetEnvironmentVariable("PATH")}",
                ["FUNCTIONS_PORT"] = port.ToString(CultureInfo.InvariantCulture),
                ["Functions__Key"] = "a-function-key",
                ["Local__DataFolder"] = Path.Combine(_folder.Path, "data"),
                ["Wix__RedirectUrl"] = $"http://localhost:{port}/api/redirect",
            },
        };
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Add(line.Data);
        process.ErrorDataReceived += (_, line) => Add(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private Task WriteFuncAsync(string script, string? folder = null) => WriteAsync("func", script, folder);

    private async Task WriteAsync(string name, string script, string? folder = null)
    {
        var file = Path.Combine(folder ?? _folder.Path, name);
        await File.WriteAllTextAsync(file, $"#!/bin/sh\n{script}\n");
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    private void Add(string? line)
    {
        lock (_lines)
        {
            _lines.Add(line ?? "");
            Monitor.PulseAll(_lines);
        }
    }

    private Task<string> LineAsync(string beginning) => Task.Run(() =>
    {
        var since = Stopwatch.GetTimestamp();
        lock (_lines)
        {
            while (true)
            {
                if (_lines.Find(line => line.StartsWith(beginning, StringComparison.Ordinal)) is { } found)
                {
                    return found;
                }

                var left = s_patience - Stopwatch.GetElapsedTime(since);
                Assert.True(left > TimeSpan.Zero && Monitor.Wait(_lines, left), $"No line begins with '{beginning}':\n{string.Join('\n', _lines)}");
            }
        }
    });
}
