using System.Diagnostics;
using System.Text.RegularExpressions;
using Azure.Core.Pipeline;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Local;
using WixOAuth.Maintenance;
using WixOAuth.Processes;
using WixOAuth.Scale;
using WixOAuth.Secrets;
using WixOAuth.Storage;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Load;

/// <summary>The parts of a run, in the order of the design's table.</summary>
internal static partial class Parts
{
    private const string FromMemory = "GetToken from memory, in process";
    private const string OverHttp = "GetToken over HTTP from memory, against an empty minimal API";
    private const string Callers300 = "300 callers in 3 processes on one stale site";
    private const string Transactions = "storage transactions: memory hit / App URL / redirect / refresh";
    private const string SweepCost = "sweep: storage transactions for 500 due among 1,000 and among";
    private const string SweepSpeed = "sweep throughput, Wix at 50 ms, against concurrency ÷ latency";
    private const string Marked = "sites wrongly marked `reinstall_required` in an hour of a wrong secret, and in an outage of Wix";
    private const string Start = "start to first answer, against an empty minimal API";

    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan s_turn = TimeSpan.FromMilliseconds(250);

    public static IReadOnlyDictionary<string, Func<LoadRun, Task<IReadOnlyList<Measure>>>> All { get; } =
        new Dictionary<string, Func<LoadRun, Task<IReadOnlyList<Measure>>>>
        {
            ["memory"] = InProcessAsync,
            ["http"] = OverHttpAsync,
            ["callers"] = CallersAsync,
            ["open"] = OpenEndpoints.MeasureAsync,
            ["transactions"] = TransactionsAsync,
            ["sweep"] = SweepCostAsync,
            ["list"] = Lists.MeasureAsync,
            ["throughput"] = SweepThroughputAsync,
            ["fanout"] = FanOut.MeasureAsync,
            ["start"] = StartAsync,
            ["worker"] = WorkerMeasures.MeasureAsync,
            ["marked"] = MarkedAsync,
            ["import"] = Moving.ImportAsync,
            ["restore"] = Moving.RestoreAsync,
            ["events"] = EventMeasures.MeasureAsync,
        };

    private static async Task<IReadOnlyList<Measure>> InProcessAsync(LoadRun run)
    {
        var table = Surroundings.NewTableName();
        var id = new InstanceId((await run.AddStaleAsync(table, 1))[0]);
        await using var services = BuildServices(run, table, _ => { });
        var tokenService = services.GetRequiredService<TokenService>();
        await tokenService.GetTokenAsync(id, TokenRequirements.Default, run.CancellationToken);

        const int Calls = 200_000;
        var (nanoseconds, bytes) = (new List<double>(), 0L);
        for (var round = 0; round < 15; round++)
        {
            var before = GC.GetAllocatedBytesForCurrentThread();
            var startedAt = Stopwatch.GetTimestamp();
            for (var call = 0; call < Calls; call++)
            {
                var asking = tokenService.GetTokenAsync(id, TokenRequirements.Default, CancellationToken.None);
                if (!asking.IsCompleted)
                {
                    throw new InvalidOperationException("That was not answered from memory.");
                }

                await asking;
            }

            nanoseconds.Add(Stopwatch.GetElapsedTime(startedAt).TotalNanoseconds / Calls);
            bytes = (GC.GetAllocatedBytesForCurrentThread() - before) / Calls;
        }

        var median = Figures.Median(nanoseconds.Skip(5));
        return [new(FromMemory, "≤ 100 ns, 0 B", $"{Figures.Of(median, "F0")} ns, {bytes} B", median <= 100 && bytes == 0, "a plain loop; precisely: bench/WixOAuth.Benchmarks")];
    }

    private static async Task<IReadOnlyList<Measure>> OverHttpAsync(LoadRun run)
    {
        const int Connections = 16;
        var turns = run.Quick ? 15 : 80;
        var table = Surroundings.NewTableName();
        var id = (await run.AddStaleAsync(table, 1))[0];
        await using var service = await run.StartServiceAsync(table);
        await using var empty = EmptyProcess.Launch();
        await FirstAnswerAsync(empty.Url, Caller.Get(empty.Url, "/"), run.CancellationToken);
        var (getToken, getNothing) = (Caller.GetToken(service.Url, id), Caller.Get(empty.Url, "/"));

        // Both are compiled for good before anything counts.
        await ClosedLoop.RunAsync(service.Url, getToken, Connections, s_warmUp, run.CancellationToken);
        await ClosedLoop.RunAsync(empty.Url, getNothing, Connections, s_warmUp, run.CancellationToken);

        // In short turns, so that what else goes on here slows both alike.
        List<LoadResult> tokens = [], nothings = [];
        var costBefore = (Empty: empty.ProcessorTime, Service: service.ProcessorTime);
        for (var turn = 1; turn <= turns; turn++)
        {
            nothings.Add(await ClosedLoop.RunAsync(empty.Url, getNothing, Connections, s_turn, run.CancellationToken));
            tokens.Add(await ClosedLoop.RunAsync(service.Url, getToken, Connections, s_turn, run.CancellationToken));
        }

        var rate = Figures.Median(tokens.Zip(nothings, (token, nothing) => token.PerSecond / nothing.PerSecond));
        var tail = LoadResult.P99(tokens) / LoadResult.P99(nothings);
        var cost = (service.ProcessorTime - costBefore.Service) / tokens.Sum(load => load.Times.Count)
            / ((empty.ProcessorTime - costBefore.Empty) / nothings.Sum(load => load.Times.Count));
        return
        [
            new(OverHttp, "≥ 0.95 of its requests/s, p99 ≤ 1.2 ×", $"{Figures.Of(rate)} of its requests/s, p99 {Figures.Of(tail)} ×", rate >= 0.95 && tail <= 1.2,
                $"median of {turns} turns of {s_turn.TotalMilliseconds:F0} ms each, {Connections} connections; {Figures.Of(Figures.Median(nothings.Select(load => load.PerSecond)), "F0")}/s and {Figures.Of(Figures.Median(tokens.Select(load => load.PerSecond)), "F0")}/s; processor time a request {Figures.Of(cost)} ×; the load shares the {Environment.ProcessorCount} cores"),
        ];
    }

    private static async Task<IReadOnlyList<Measure>> CallersAsync(LoadRun run)
    {
        const int Callers = 300;
        const int Latency = 200;
        var rounds = run.Quick ? 3 : 9;
        var table = Surroundings.NewTableName();
        var sites = await run.AddStaleAsync(table, rounds + 4);
        var services = new List<ServiceProcess>();
        var callers = new List<(Uri Service, Caller Caller)>();
        try
        {
            for (var i = 0; i < 3; i++)
            {
                services.Add(await run.StartServiceAsync(table));
            }

            for (var i = 0; i < Callers; i++)
            {
                var url = services[i % services.Count].Url;
                callers.Add((url, await Caller.ConnectAsync(url, run.CancellationToken)));
            }

            // Once each way, and a few thousand hits: what is measured is the protocol, not the first compilation.
            run.SetLatency(Latency);
            foreach (var site in sites.Take(3))
            {
                await AskAllAsync(callers, site, run.CancellationToken);
            }

            for (var i = 0; i < 10; i++)
            {
                await AskAllAsync(callers, sites[0], run.CancellationToken);
            }

            var crowd = (await AskAllAsync(callers, sites[0], run.CancellationToken)).Max(answer => answer.Took);
            var (wixCall, storageCall) = (await TimeWixCallAsync(run), await TimeStorageCallAsync(run, table, sites[0]));
            var bound = (1.5 * wixCall) + (2 * storageCall);
            List<double> worsts = [];
            var (refreshes, different) = (0, 0);
            foreach (var site in sites.Skip(4))
            {
                var answers = await AskAllAsync(callers, site, run.CancellationToken);
                worsts.Add(answers.Max(answer => answer.Took).TotalMilliseconds);
                refreshes = Math.Max(refreshes, run.Around.Wix.Control.CountsOf(site).Calls["access"]);
                different = Math.Max(different, answers.Select(answer => answer.Token).Distinct().Count());
                LoadRun.Say($"{answers.Count} callers: {run.Around.Wix.Control.CountsOf(site).Calls["access"]} refresh, slowest {Figures.Of(worsts[^1], "F0")} ms");
            }

            var slowest = Figures.Median(worsts);
            return
            [
                new(Callers300, "exactly 1 refresh at Wix; every caller answered within 1.5 × one Wix call + 2 storage calls",
                    $"{refreshes} refresh, {different} token; slowest caller {Figures.Of(slowest, "F0")} ms of {Figures.Of(bound.TotalMilliseconds, "F0")} ms",
                    refreshes == 1 && different == 1 && slowest <= bound.TotalMilliseconds,
                    $"median of {rounds} rounds (worst {Figures.Of(worsts.Max(), "F0")} ms); Wix call {Figures.Ms(wixCall)}, storage call {Figures.Ms(storageCall)}; 300 answers from memory at once take {Figures.Ms(crowd)} here"),
            ];
        }
        finally
        {
            run.SetLatency(0);
            callers.ForEach(caller => caller.Caller.Dispose());
            foreach (var service in services)
            {
                await service.DisposeAsync();
            }
        }
    }

    private static async Task<IReadOnlyList<Measure>> TransactionsAsync(LoadRun run)
    {
        await using var proxy = await CountingProxy.StartAsync(run.Around.Azurite.ConnectionString, run.CancellationToken);
        var table = Surroundings.NewTableName();
        var sites = await run.AddStaleAsync(table, 3);
        await using var service = await run.StartServiceAsync(table, proxy.ConnectionString);
        using var caller = await Caller.ConnectAsync(service.Url, run.CancellationToken);

        async Task<long> CountAsync(Func<Task> work)
        {
            await proxy.WhenQuietAsync(run.CancellationToken);
            var before = proxy.Count;
            await work();
            return proxy.Count - before;
        }

        var first = await CountAsync(() => caller.AskWellAsync(Caller.GetToken(service.Url, sites[0]), run.CancellationToken));

        // The last use is written once an hour, beside the refresh and not for it: it is recognized by a site's second one.
        var (refresh, withLastUse) = (0L, 0L);
        foreach (var site in sites.Skip(1))
        {
            withLastUse = Math.Max(withLastUse, await CountAsync(async () =>
            {
                await caller.AskWellAsync(Caller.GetToken(service.Url, site), run.CancellationToken);
                await proxy.WhenQuietAsync(run.CancellationToken);
            }));
            refresh = Math.Max(refresh, await CountAsync(async () =>
            {
                await caller.AskWellAsync(Caller.Post(service.Url, $"/api/instances/{site}/refresh"), run.CancellationToken);
                await proxy.WhenQuietAsync(run.CancellationToken);
            }));
        }

        var hit = await CountAsync(async () =>
        {
            for (var i = 0; i < 100; i++)
            {
                await caller.AskWellAsync(Caller.GetToken(service.Url, sites[1]), run.CancellationToken);
            }
        });
        var appUrl = await CountAsync(() => caller.AskWellAsync(Caller.Get(service.Url, "/api/install?token=abc"), run.CancellationToken));

        // The event's answer is held back until the browser has its own, so that the two are told apart.
        var answered = new TaskCompletionSource();
        run.Around.Wix.Control.Gate = (endpoint, stopping) => endpoint == "bi-event" ? answered.Task.WaitAsync(stopping) : Task.CompletedTask;
        long redirect, later;
        try
        {
            var newSite = run.Around.Wix.CreateSite("Counted");
            redirect = await CountAsync(async () =>
            {
                var end = await Owner.InstallAsync(run.Around.Wix, service.Url, newSite.InstanceId, run.CancellationToken);
                if (end != InstallEnd.Closed)
                {
                    throw new InvalidOperationException($"The install ended with {end}.");
                }
            });
            later = await CountAsync(async () =>
            {
                answered.SetResult();
                await proxy.WhenQuietAsync(run.CancellationToken);
            });
        }
        finally
        {
            run.Around.Wix.Control.Gate = null;
        }

        return
        [
            new(Transactions, "0 / 0 / ≤ 4 / ≤ 3", $"{hit} / {appUrl} / {redirect} / {refresh}", hit == 0 && appUrl == 0 && redirect <= 4 && refresh <= 3,
                $"100 hits together; redirect until the browser's 302, afterwards {later} for the set-up event; a refresh that is the site's first in an hour {withLastUse}, with its last use; the first call of a process {first}"),
        ];
    }

    private static async Task<IReadOnlyList<Measure>> SweepCostAsync(LoadRun run)
    {
        const int Due = 500;
        const int RangeQueries = 16;
        const int MostSweeps = 6;
        List<(long Transactions, long Retries, int Rounds, double Milliseconds)> sweeps = [];
        foreach (var sites in new[] { 1_000, run.Sites })
        {
            var folder = Directory.CreateTempSubdirectory("wixoauth-bench-");
            try
            {
                var startedAt = Stopwatch.GetTimestamp();
                var table = await FillAsync(run, folder.FullName, Due, sites);
                await using var azurite = await Azurite.StartAsync(folder.FullName, run.CancellationToken, savesMeanwhile: false);
                LoadRun.Say($"{sites:N0} sites made in {Stopwatch.GetElapsedTime(startedAt).TotalSeconds:F0} s");
                await using var proxy = await CountingProxy.StartAsync(azurite.ConnectionString, run.CancellationToken);
                await using var service = await run.StartServiceAsync(table, proxy.ConnectionString, ("Logging__LogLevel__WixOAuth", "Information"), ("Tokens__RefreshConcurrency", "4"));
                await proxy.WhenQuietAsync(run.CancellationToken);
                var before = (proxy.Count, proxy.Retries);
                var (refreshed, milliseconds, rounds) = (0, 0.0, 0);
                while (refreshed < Due && rounds < MostSweeps)
                {
                    var (some, took) = await SweepAsync(service, run.CancellationToken);
                    (refreshed, milliseconds, rounds) = (refreshed + some, milliseconds + took, rounds + 1);
                    await proxy.WhenQuietAsync(run.CancellationToken);
                }

                if (refreshed != Due)
                {
                    return [new($"{SweepCost} {Figures.Of(run.Sites, "N0")} sites", "equal", "", null, $"Azurite was too slow: {refreshed} of {Due} sites were refreshed by {rounds} sweeps; try fewer with --sites")];
                }

                // A sweep ends before the next tick; where Azurite is too slow for one, the next begins with the same queries.
                sweeps.Add((proxy.Count - before.Count - (RangeQueries * (rounds - 1)), proxy.Retries - before.Retries, rounds, milliseconds));
                LoadRun.Say($"{Due} due among {sites:N0}: {sweeps[^1].Transactions} transactions in {milliseconds:F0} ms and {rounds} sweep(s), {sweeps[^1].Retries} sent once more");
            }
            finally
            {
                folder.Delete(recursive: true);
            }
        }

        var (small, large) = (sweeps[0], sweeps[1]);
        return
        [
            new($"{SweepCost} {Figures.Of(run.Sites, "N0")} sites", "equal", $"{small.Transactions} and {large.Transactions}", small.Transactions == large.Transactions,
                $"{RangeQueries} range queries and {Figures.Of((large.Transactions - (double)RangeQueries) / Due, "F1")} for each site; Azurite needed {small.Rounds} and {large.Rounds} sweep(s) of a minute for them, whose further range queries are left out; {small.Retries} and {large.Retries} more were sent again to an Azurite too slow; its own time grows with the table ({Figures.Of(small.Milliseconds, "F0")} and {Figures.Of(large.Milliseconds, "F0")} ms), Azure's does not"),
        ];
    }

    /// <summary>Has a folder for Azurite filled: the few that count by Azurite itself, the many around them straight in its file.</summary>
    internal static async Task<string> FillAsync(LoadRun run, string folder, int due, int sites)
    {
        const int Samples = 100;
        var table = Surroundings.NewTableName();
        IReadOnlyList<InstanceId> samples;
        await using (var azurite = await Azurite.StartAsync(folder, run.CancellationToken, savesMeanwhile: false))
        {
            await run.AddStaleAsync(table, due, azurite);
            samples = await run.SeederOf(table, azurite).AddSleepingAsync(Samples, run.CancellationToken);
        }

        using var filling = Process.Start(new ProcessStartInfo(
            "node",
            [
                Path.Combine(AppContext.BaseDirectory, "fill.mjs"), Azurite.FindScript(), folder, table, Figures.Of(sites - due - Samples, "F0"),
                .. samples.Select(sample => sample.ToString()),
            ]))!;
        try
        {
            await filling.WaitForExitAsync(run.CancellationToken);
        }
        finally
        {
            filling.Kill();
        }

        return filling.ExitCode == 0 ? table : throw new InvalidOperationException("Azurite's file could not be filled.");
    }

    private static async Task<IReadOnlyList<Measure>> SweepThroughputAsync(LoadRun run)
    {
        const int Latency = 50;
        const int WarmUp = 400;
        run.SetLatency(Latency);
        var measures = new List<Measure>();
        try
        {
            // Compiles what the sweep is made of, so that the first figure is no worse than the others.
            await SweepInMemoryAsync(run, 8, 80);
            foreach (var concurrency in new[] { 2, 4, 8, 16, 64 })
            {

                // Some seconds of it: its beginning, when the due index is read, and its end count for no more than in a
                // sweep that has something to do.
                var count = run.Quick ? concurrency * 8 : Math.Min(concurrency * 80, 1_600);
                var inMemory = await SweepInMemoryAsync(run, concurrency, count);
                var storage = await TimeStorageOfRefreshAsync(run, concurrency, count);
                var table = Surroundings.NewTableName();
                await run.AddStaleAsync(table, WarmUp);
                await using var service = await run.StartServiceAsync(
                    table, null, ("Logging__LogLevel__WixOAuth", "Information"), ("Tokens__RefreshConcurrency", Figures.Of(concurrency, "F0")));

                // Compiled for good before anything counts.
                await SweepAsync(service, run.CancellationToken);
                await run.AddStaleAsync(table, count);

                int[] processes = [run.Around.Azurite.ProcessId, service.Id, Environment.ProcessId];
                var before = (Azurite: Machine.TimeOf(run.Around.Azurite.ProcessId), Service: service.ProcessorTime, Own: Environment.CpuUsage.TotalTime, Machine: Machine.BusyTime(), Wait: Machine.WaitForProcessor(processes));
                var (refreshed, milliseconds) = await SweepAsync(service, run.CancellationToken);
                var azurite = (Machine.TimeOf(run.Around.Azurite.ProcessId) - before.Azurite).TotalMilliseconds;
                var own = (service.ProcessorTime - before.Service).TotalMilliseconds;
                var load = (Environment.CpuUsage.TotalTime - before.Own).TotalMilliseconds;
                var wait = (Machine.WaitForProcessor(processes) - before.Wait)?.TotalMilliseconds ?? 0;
                var others = Math.Max(0, ((Machine.BusyTime() - before.Machine)?.TotalMilliseconds ?? 0) - azurite - own - load);

                // What becomes of a slot's time, for each refresh.
                var ideal = concurrency / (Latency / 1000.0);
                var rate = refreshed / (milliseconds / 1000);
                var slot = concurrency * milliseconds / refreshed;
                var (work, queue) = ((azurite + own + load) / refreshed, wait / refreshed);
                var isAzuriteFull = azurite / milliseconds >= 0.85;
                var areAllFull = (azurite + own + load + others) / milliseconds >= 0.85 * Environment.ProcessorCount;
                var areOursFull = (azurite + own + load) / milliseconds >= 0.85 * Environment.ProcessorCount;

                // Work at a refresh is done in turn, by the service, Azurite and Wix: where that and the waiting for a
                // processor make up what is missing, more of the sweep's doing could not save it.
                var isWorkTheRest = work + queue >= 0.9 * (slot - Latency);
                var limit = isAzuriteFull ? "Azurite's one thread is the limit"
                    : areOursFull ? "the processors are the limit"
                    : areAllFull ? "other programs take the processors, so this proves nothing"
                    : isWorkTheRest ? "the processors are the limit: what is not Wix's time is work, and waiting for one of them"
                    : "neither Azurite nor the processors are the limit";
                bool? isMet = rate / ideal >= 0.8 || isAzuriteFull || areOursFull ? true : areAllFull ? null : isWorkTheRest;
                LoadRun.Say($"concurrency {concurrency}: {rate:F0}/s of {ideal:F0}/s; busy cores: Azurite {azurite / milliseconds:F2}, service {own / milliseconds:F2}, pretend Wix {load / milliseconds:F2}, other programs {others / milliseconds:F2}; with the store in memory {inMemory:F2}");
                measures.Add(new(
                    $"{SweepSpeed} ({concurrency})", "≥ 0.8 until Azurite or the CPU is the limit", Figures.Of(rate / ideal), isMet,
                    $"{rate:F0} sites/s; a refresh takes {Figures.Of(slot, "F1")} ms of its slot: {Latency} for Wix, {Figures.Of(work, "F1")} of processor time (Azurite {Figures.Of(azurite / refreshed, "F1")}, service {Figures.Of(own / refreshed, "F1")}, pretend Wix {Figures.Of(load / refreshed, "F1")}), {Figures.Of(queue, "F1")} waiting for a processor; it waits {Figures.Of(storage, "F1")} ms for Azurite's answers, in a sweep in this process; cores busy: Azurite {Figures.Of(azurite / milliseconds)}, all three {Figures.Of((azurite + own + load) / milliseconds)}, other programs {Figures.Of(others / milliseconds)}: {limit}; with the store in memory {Figures.Of(inMemory)}"));
            }
        }
        finally
        {
            run.SetLatency(0);
        }

        return measures;
    }

    private static async Task<IReadOnlyList<Measure>> StartAsync(LoadRun run)
    {
        const double Goal = 1.3;
        var rounds = run.Quick ? 5 : 15;
        var table = Surroundings.NewTableName();
        await run.SeederOf(table).CreateTableAsync(run.CancellationToken);
        using var published = await Published.MakeAsync("LocalProject", "WixOAuth.Local.dll", run.CancellationToken);
        List<double> empties = [], built = [], ahead = [];
        for (var round = 0; round <= rounds; round++)
        {
            var startedAt = Stopwatch.GetTimestamp();
            await using (var empty = EmptyProcess.Launch())
            {
                await FirstAnswerAsync(empty.Url, Caller.Get(empty.Url, "/"), run.CancellationToken);
                empties.Add(Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds);
            }

            built.Add(await TimeStartAsync(run, table, assembly: null));
            if (published is not null)
            {
                ahead.Add(await TimeStartAsync(run, table, published.Assembly));
            }
        }

        return
        [
            published is null
                ? new($"{Start}: published, as it is deployed", $"≤ {Goal} ×", "", null, "it could not be published")
                : Against(ahead, $"{Start}: published (compiled ahead), as it is deployed"),
            Against(built, $"{Start}: built, as by dotnet run"),
        ];

        // The first round fills the disk's cache.
        Measure Against(List<double> starts, string what)
        {
            var ratio = Figures.Median(starts.Zip(empties, (start, empty) => start / empty).Skip(1));
            return new(what, $"≤ {Goal} ×", $"{Figures.Of(ratio)} ×", ratio <= Goal,
                $"median of {rounds}; {Figures.Of(Figures.Median(empties.Skip(1)), "F0")} ms and {Figures.Of(Figures.Median(starts.Skip(1)), "F0")} ms to the App URL's first 302");
        }
    }

    private static async Task<double> TimeStartAsync(LoadRun run, string table, string? assembly)
    {
        var url = new Uri($"http://127.0.0.1:{FreePort.Next()}");
        var settings = run.Around.Settings(table);
        settings["urls"] = url.GetLeftPart(UriPartial.Authority);
        var startedAt = Stopwatch.GetTimestamp();
        var starting = ServiceProcess.StartAsync(settings, run.CancellationToken, assembly);
        await FirstAnswerAsync(url, Caller.Get(url, "/api/install?token=abc"), run.CancellationToken);
        var took = Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds;
        await (await starting).DisposeAsync();
        return took;
    }

    /// <summary>Hours of a clock that is moved by hand: the sweep, the token service and the store in memory, and a Wix in the process.</summary>
    private static async Task<IReadOnlyList<Measure>> MarkedAsync(LoadRun run)
    {
        const int Sites = 50;
        const int Gone = 5;
        const int Many = 1_000;
        var wrongSecret = await TroubledHour.RunAsync(run, Sites, gone: 0, () => StubWix.Status(401));
        var outage = await TroubledHour.RunAsync(run, Sites, gone: 0, () => StubWix.Status(503));
        var noConnection = await TroubledHour.RunAsync(run, Sites, gone: 0, () => throw new HttpRequestException(HttpRequestError.ConnectionError));
        var draws = new Random(1);
        var atRandom = await TroubledHour.RunAsync(run, Many, gone: 0, () =>
        {
            lock (draws)
            {
                return draws.Next(3) == 0 ? StubWix.Status(401) : StubWix.Tokens("well");
            }
        });
        var control = await TroubledHour.RunAsync(run, Sites, Gone, null);
        return
        [
            new(Marked, "0", $"{wrongSecret.Wrongly} and {outage.Wrongly} (503), {noConnection.Wrongly} (no connection); {atRandom.Wrongly} of {Many} where Wix rejects every third call at random",
                atRandom.Wrongly + wrongSecret.Wrongly + outage.Wrongly + noConnection.Wrongly + control.Wrongly == 0 && control.Rightly == Gone,
                $"{Sites} sites, a sweep a minute for 130 minutes of simulated time, in one process; the fallback off, no site idle. That marks are made at all: {control.Rightly} of {Gone} sites that are gone are marked, {control.Wrongly} others"),
        ];
    }

    internal static async Task<(int Refreshed, double Milliseconds)> SweepAsync(ServiceProcess service, CancellationToken cancellationToken)
    {
        var from = service.LineCount;
        using var caller = await Caller.ConnectAsync(service.Url, cancellationToken);
        await caller.AskWellAsync(Caller.Post(service.Url, "/admin/functions/RefreshTokens"), cancellationToken);
        var swept = await service.FindAsync(Swept(), from, TimeSpan.FromMinutes(3), cancellationToken);
        return (int.Parse(swept.Groups["refreshed"].Value, System.Globalization.CultureInfo.InvariantCulture),
            double.Parse(swept.Groups["ms"].Value, System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>The same sweep without Azurite, which shows what the sweep itself could do.</summary>
    private static async Task<double> SweepInMemoryAsync(LoadRun run, int concurrency, int count)
    {
        await using var services = BuildServices(
            run,
            "unused",
            settings => settings["Tokens:RefreshConcurrency"] = Figures.Of(concurrency, "F0"),
            added => MemoryInstanceStore.Use(added));
        var (store, protector, now) = (services.GetRequiredService<IInstanceStore>(), run.Around.Protector, TimeProvider.System.GetUtcNow());
        foreach (var site in Enumerable.Range(0, count).Select(number => run.Around.Wix.CreateInstall($"In memory {number}").InstanceId))
        {
            var id = new InstanceId(site);
            var granted = new TokenAnswer.Granted(new AccessToken("stale"), null, now - TimeSpan.FromMinutes(10), now - TimeSpan.FromMinutes(5));
            var tokens = await InstanceTokens.SealAsync(protector, id, 1, granted, new RefreshToken(run.Around.Wix.GetRefreshToken(site)));
            var consent = new Consent(null, null, null, null, SendSetupCompleted: false);
            await store.TryWriteAsync(
                null, Instance.Consented(null, id, consent, tokens, "seed", now) with { DueAt = now - TimeSpan.FromMinutes(6) }, run.CancellationToken);
        }

        var startedAt = Stopwatch.GetTimestamp();
        var summary = await services.GetRequiredService<RefreshSweep>().RunAsync(run.CancellationToken);
        var ideal = concurrency / 0.05;
        return summary.Refreshed / Stopwatch.GetElapsedTime(startedAt).TotalSeconds / ideal;
    }

    /// <summary>The milliseconds that a refresh of a sweep waits for Azurite, by a sweep in this process.</summary>
    private static async Task<double> TimeStorageOfRefreshAsync(LoadRun run, int concurrency, int count)
    {
        var table = Surroundings.NewTableName();
        await run.AddStaleAsync(table, count);
        using var wire = new TimedWire();
        await using var services = BuildServices(
            run,
            table,
            settings => settings["Tokens:RefreshConcurrency"] = Figures.Of(concurrency, "F0"),
            added => added.Replace(ServiceDescriptor.Singleton<IInstanceStore>(
                new TableInstanceStore(new TableGateway(TableConnection.Open(run.Around.Table(table), null, new HttpClientTransport(wire)))))));
        var summary = await services.GetRequiredService<RefreshSweep>().RunAsync(run.CancellationToken);
        return wire.Total.TotalMilliseconds / summary.Refreshed;
    }

    internal static ServiceProvider BuildServices(
        LoadRun run, string table, Action<Dictionary<string, string?>> change, Action<IServiceCollection>? replace = null)
    {
        var settings = run.Around.Settings(table).ToDictionary(pair => pair.Key.Replace("__", ":", StringComparison.Ordinal), pair => (string?)pair.Value);
        change(settings);
        var services = new ServiceCollection();
        services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance).AddSingleton(typeof(ILogger<>), typeof(NullLogger<>));
        services.AddWixOAuth(new ConfigurationBuilder().AddInMemoryCollection(settings).Build());
        replace?.Invoke(services);
        return services.BuildServiceProvider();
    }

    private static async Task<IReadOnlyList<(TimeSpan Took, string Token)>> AskAllAsync(
        List<(Uri Service, Caller Caller)> callers, Guid site, CancellationToken cancellationToken)
    {
        var go = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var asking = callers.Select(async each =>
        {
            var request = Caller.GetToken(each.Service, site);
            await go.Task;
            var startedAt = Stopwatch.GetTimestamp();
            await each.Caller.AskWellAsync(request, cancellationToken);
            return (Stopwatch.GetElapsedTime(startedAt), AccessTokenOf(each.Caller.Body));
        }).ToList();
        go.SetResult();
        return await Task.WhenAll(asking);
    }

    private static string AccessTokenOf(ReadOnlySpan<byte> body)
    {
        var reader = new System.Text.Json.Utf8JsonReader(body);
        using var document = System.Text.Json.JsonDocument.ParseValue(ref reader);
        return document.RootElement.GetProperty("access_token").GetString()!;
    }

    private static async Task<TimeSpan> TimeWixCallAsync(LoadRun run)
    {
        await using var services = BuildServices(run, "unused", _ => { });
        var (client, secret) = (services.GetRequiredService<WixClient>(), await services.GetRequiredService<ISecretSource<AppSecretVersion>>().GetAsync(run.CancellationToken));
        var refreshToken = new RefreshToken(run.Around.Wix.Seed(1)[0].RefreshToken);
        return await MedianTimeAsync(5, () => client.RefreshAsync(refreshToken, secret.Value, run.CancellationToken));
    }

    private static Task<TimeSpan> TimeStorageCallAsync(LoadRun run, string table, Guid site)
    {
        var store = new TableInstanceStore(new TableGateway(TableConnection.Open(run.Around.Table(table), null)));
        return MedianTimeAsync(50, () => store.FindAsync(new InstanceId(site), run.CancellationToken));
    }

    private static async Task<TimeSpan> MedianTimeAsync(int times, Func<Task> work)
    {
        await work();
        var took = new List<double>();
        for (var i = 0; i < times; i++)
        {
            var startedAt = Stopwatch.GetTimestamp();
            await work();
            took.Add(Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds);
        }

        return TimeSpan.FromMilliseconds(Figures.Median(took));
    }

    /// <summary>Sends requests until one is answered.</summary>
    public static async Task FirstAnswerAsync(Uri url, byte[] request, CancellationToken cancellationToken)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60), TimeProvider.System);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
        while (true)
        {
            try
            {
                using var caller = await Caller.ConnectAsync(url, until.Token);
                await caller.AskWellAsync(request, until.Token);
                return;
            }
            catch (Exception exception) when (exception is System.Net.Sockets.SocketException or IOException)
            {
                // Not there yet; a connection that is cut is the program's own look whether the port is free.
                await Task.Delay(TimeSpan.FromMilliseconds(1), TimeProvider.System, until.Token);
            }
        }
    }

    [GeneratedRegex(@"Sweep: \d+ due, (?<refreshed>\d+) refreshed.* in (?<ms>\d+) ms")]
    private static partial Regex Swept();
}
