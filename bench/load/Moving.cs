using System.Diagnostics;
using System.Text.Json;
using WixOAuth.Local;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary>Moving in, and coming back from a deleted table, with the command that people use.</summary>
internal static class Moving
{
    private const int Concurrency = 16;
    private const int Latency = 150;
    private const long MostMemory = 200;

    /// <summary>Imports sites while Wix is slow and callers ask for tokens.</summary>
    public static async Task<IReadOnlyList<Measure>> ImportAsync(LoadRun run)
    {
        var sites = run.Quick ? 1_000 : 10_000;
        var table = Surroundings.NewTableName();
        var served = (await run.AddStaleAsync(table, 1))[0];
        await using var service = await run.StartServiceAsync(table);
        var file = Path.GetTempFileName();
        try
        {
            var seeds = run.NewSeeds(sites);
            await File.WriteAllLinesAsync(file, seeds.Select(seed => JsonSerializer.Serialize(new { instanceId = seed.InstanceId, refreshToken = seed.RefreshToken })), run.CancellationToken);
            run.Around.Wix.Control.Switches = run.Around.Wix.Control.Switches with
            {
                LatencyMs = new Dictionary<string, int> { ["access"] = Latency, ["token-info"] = Latency, ["instance"] = Latency },
            };
            using var stop = new CancellationTokenSource();
            var before = (Service: service.ProcessorTime, Wix: Environment.CpuUsage.TotalTime);
            var load = AskAsync(service, served, stop.Token);
            var import = await CommandRun.RunAsync(new() { ["WIXOAUTH_KEY"] = Surroundings.FunctionKey }, run.CancellationToken, "import", file, "--url", service.Url.ToString(), "--json");
            await stop.CancelAsync();
            var (asked, failed) = await load;
            run.SetLatency(0);
            var (serviceTime, wixTime) = ((service.ProcessorTime - before.Service) / sites, (Environment.CpuUsage.TotalTime - before.Wix) / sites);

            var rate = sites / import.Took.TotalSeconds;
            var possible = Concurrency / (2 * Latency / 1000.0);
            return
            [
                new($"import of {Figures.Of(sites, "N0")} sites, Wix at {Latency} ms, concurrency {Concurrency}: sites/s against concurrency ÷ the time of the two calls that a site takes, one after the other", "≥ 0.8, ≤ 200 MB",
                    $"{Figures.Of(rate / possible)} ({Figures.Of(rate, "F0")} of {Figures.Of(possible, "F0")}/s), {import.PeakMegabytes} MB", rate / possible >= 0.8 && import.PeakMegabytes <= MostMemory,
                    $"{Figures.Of(import.Took.TotalSeconds, "F0")} s from start to exit; against one call of {Latency} ms it would be {Figures.Of(rate / (Concurrency / (Latency / 1000.0)))}; processor time a site, with the GetTokens beside it: service {Figures.Ms(serviceTime)}, Wix and the load {Figures.Ms(wixTime)}; Azurite and the command share the cores too"),
                new("GetToken beside the import: requests that failed", "0", $"{failed} of {Figures.Of(asked, "N0")}", failed == 0, ""),
            ];
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Copies a large table, deletes it, and restores it.</summary>
    public static async Task<IReadOnlyList<Measure>> RestoreAsync(LoadRun run)
    {
        var folder = Directory.CreateTempSubdirectory("wixoauth-bench-");
        try
        {
            var table = await Parts.FillAsync(run, folder.FullName, due: 500, run.Sites);
            await using var azurite = await Azurite.StartAsync(folder.FullName, run.CancellationToken, savesMeanwhile: false);
            var settings = run.Around.Settings(table, azurite.ConnectionString.Reveal());
            settings["Backup__ConnectionString"] = azurite.ConnectionString.Reveal();
            var backup = await CommandRun.RunAsync(settings, run.CancellationToken, "backup", "--json");
            var copied = backup.Result.GetProperty("instances").GetInt32();
            var restored = Surroundings.NewTableName();

            // Most of the rows have made-up tokens: they only fill the table.
            var restore = await CommandRun.RunAsync(settings, run.CancellationToken, "restore", "latest", "--table", restored, "--without-keys", "--yes", "--json");
            var written = restore.Result.GetProperty("written").GetInt32();
            return
            [
                Figure("backup", copied, backup),
                Figure("restore into a new table", written, restore),
            ];
        }
        finally
        {
            folder.Delete(recursive: true);
        }

        Measure Figure(string what, int sites, CommandRun command) => new(
            $"{what} of {Figures.Of(run.Sites, "N0")} sites", "≤ 5 minutes, ≤ 200 MB",
            $"{Figures.Of(sites, "N0")} sites in {Figures.Of(command.Took.TotalSeconds, "F0")} s, {command.PeakMegabytes} MB",
            command.Took <= TimeSpan.FromMinutes(5) && command.PeakMegabytes <= MostMemory && sites == run.Sites,
            "most of it Azurite's time");
    }

    private static async Task<(long Asked, long Failed)> AskAsync(ServiceProcess service, Guid id, CancellationToken cancellationToken)
    {
        using var http = new HttpClient { BaseAddress = service.Url };
        http.DefaultRequestHeaders.Add("x-functions-key", Surroundings.FunctionKey);
        var (asked, failed) = (0L, 0L);
        while (!cancellationToken.IsCancellationRequested)
        {
            using var response = await http.GetAsync(new Uri($"/api/instances/{id}/token", UriKind.Relative), CancellationToken.None);
            asked++;
            failed += response.IsSuccessStatusCode ? 0 : 1;
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, CancellationToken.None);
        }

        return (asked, failed);
    }
}

/// <summary>One run of the command <c>wixoauth</c> as a process.</summary>
internal sealed record CommandRun(TimeSpan Took, long PeakMegabytes, JsonElement Result)
{
    public static async Task<CommandRun> RunAsync(Dictionary<string, string> environment, CancellationToken cancellationToken, params string[] args)
    {
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "WixOAuth.Cli.dll"), .. args]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        var startedAt = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(cancellationToken), process.StandardError.ReadToEndAsync(cancellationToken));
        var peak = 0L;
        while (!process.HasExited)
        {
            process.Refresh();
            peak = Math.Max(peak, process.HasExited ? 0 : process.WorkingSet64);
            await Task.WhenAny(process.WaitForExitAsync(cancellationToken), Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, cancellationToken));
        }

        var took = Stopwatch.GetElapsedTime(startedAt);
        return process.ExitCode == 0
            ? new CommandRun(took, peak / 1_000_000, JsonDocument.Parse((await output).Trim().Split('\n')[^1]).RootElement)
            : throw new InvalidOperationException($"wixoauth {args[0]} ended with {process.ExitCode}: {await errors}");
    }
}
