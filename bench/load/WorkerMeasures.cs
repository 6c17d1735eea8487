using System.Diagnostics;
using WixOAuth.Functions.Tests.Worker;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary>The published Function App in its real worker process, against an empty function in the same worker, host and load.</summary>
internal static class WorkerMeasures
{
    private const int Connections = 16;
    private const double RateGoal = 1.0;
    private const double StartGoal = 1.1;
    private const string Rate = "GetToken through the real worker, against an empty function in the same worker";
    private const string Start = "start of the real worker to its first answer, against an empty function in the same worker";

    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_turn = TimeSpan.FromMilliseconds(250);

    public static async Task<IReadOnlyList<Measure>> MeasureAsync(LoadRun run)
    {
        using var ours = await Published.MakeAsync("FunctionApp", "WixOAuth.Functions.dll", run.CancellationToken);
        using var empty = await Published.MakeAsync("EmptyFunctionApp", "WixOAuth.EmptyFunction.dll", run.CancellationToken);
        if (ours is null || empty is null)
        {
            return [new(Rate, $"≥ {RateGoal} of its requests/s", "", null, "they could not be published"), new(Start, $"≤ {StartGoal} ×", "", null, "they could not be published")];
        }

        var table = Surroundings.NewTableName();
        var id = (await run.AddStaleAsync(table, 1))[0];
        var settings = run.Around.Settings(table).ToDictionary(setting => setting.Key, setting => (string?)setting.Value);
        settings["RefreshSchedule"] = settings["HousekeepingSchedule"] = "0 0 0 1 1 *";
        var emptySettings = new Dictionary<string, string?> { ["Logging__LogLevel__Default"] = "Warning" };
        var nothing = new App(empty.Assembly, emptySettings, "/api/empty");
        return
        [
            await MeasureRateAsync(run, new App(ours.Assembly, settings, $"/api/instances/{id}/token"), nothing),
            await MeasureStartAsync(run, new App(ours.Assembly, settings, "/api/install?token=abc"), nothing),
        ];
    }

    private static async Task<Measure> MeasureRateAsync(LoadRun run, App ours, App empty)
    {
        var turns = run.Quick ? 20 : 60;
        await using var service = await StartAsync(ours);
        await using var nothing = await StartAsync(empty);
        var (getToken, getNothing) = (Caller.Get(service.Url, ours.Path), Caller.Get(nothing.Url, empty.Path));
        await ClosedLoop.RunAsync(service.Url, getToken, Connections, s_warmUp, run.CancellationToken);
        await ClosedLoop.RunAsync(nothing.Url, getNothing, Connections, s_warmUp, run.CancellationToken);

        List<LoadResult> tokens = [], nothings = [];
        for (var turn = 1; turn <= turns; turn++)
        {
            nothings.Add(await ClosedLoop.RunAsync(nothing.Url, getNothing, Connections, s_turn, run.CancellationToken));
            tokens.Add(await ClosedLoop.RunAsync(service.Url, getToken, Connections, s_turn, run.CancellationToken));
        }

        var rate = Figures.Median(tokens.Zip(nothings, (token, none) => token.PerSecond / none.PerSecond));
        return new(Rate, $"≥ {RateGoal} of its requests/s", $"{Figures.Of(rate)} of its requests/s", rate >= RateGoal,
            $"median of {turns} turns of {s_turn.TotalMilliseconds:F0} ms each, {Connections} connections; {Figures.Of(Figures.Median(nothings.Select(load => load.PerSecond)), "F0")}/s and {Figures.Of(Figures.Median(tokens.Select(load => load.PerSecond)), "F0")}/s; the load, the host and both workers share the {Environment.ProcessorCount} cores");
    }

    private static async Task<Measure> MeasureStartAsync(LoadRun run, App ours, App empty)
    {
        var rounds = run.Quick ? 5 : 15;
        List<double> starts = [], empties = [];

        // The first round fills the disk's cache.
        for (var round = 0; round <= rounds; round++)
        {
            empties.Add(await TimeStartAsync(empty, run.CancellationToken));
            starts.Add(await TimeStartAsync(ours, run.CancellationToken));
        }

        var ratio = Figures.Median(starts.Zip(empties, (start, none) => start / none).Skip(1));
        return new(Start, $"≤ {StartGoal} ×", $"{Figures.Of(ratio)} ×", ratio <= StartGoal,
            $"median of {rounds}; {Figures.Of(Figures.Median(empties.Skip(1)), "F0")} ms and {Figures.Of(Figures.Median(starts.Skip(1)), "F0")} ms, from the process's start to the first answer through the host");
    }

    private static async Task<double> TimeStartAsync(App app, CancellationToken cancellationToken)
    {
        await using var host = await FunctionsHost.ListenAsync(Surroundings.FunctionKey);
        var startedAt = Stopwatch.GetTimestamp();
        await host.StartWorkerAsync(app.Assembly, app.Settings);
        using var caller = await Caller.ConnectAsync(host.Url, cancellationToken);
        await caller.AskWellAsync(Caller.Get(host.Url, app.Path), cancellationToken);
        return Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds;
    }

    private static async Task<FunctionsHost> StartAsync(App app)
    {
        var host = await FunctionsHost.ListenAsync(Surroundings.FunctionKey);
        try
        {
            await host.StartWorkerAsync(app.Assembly, app.Settings);
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }

    private readonly record struct App(string Assembly, Dictionary<string, string?> Settings, string Path);
}
