using System.Diagnostics;
using Azure.Storage.Queues;
using WixOAuth.Instances;
using WixOAuth.Local;
using WixOAuth.Maintenance;
using WixOAuth.Processes;

namespace WixOAuth.Load;

/// <summary>The sweep by queue in 1, 2 and 3 processes on one Azurite, and what becomes of lost work.</summary>
internal static class FanOut
{
    private const int Latency = 500;
    private const int Concurrency = 8;

    // Until then every process has shards to sweep. Afterwards the last batch of 4 shards may be one process's.
    private const double Share = 0.7;

    private static readonly TimeSpan s_tick = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    public static async Task<IReadOnlyList<Measure>> MeasureAsync(LoadRun run)
    {
        var sites = run.Quick ? 480 : 2_000;
        var folder = Directory.CreateTempSubdirectory("wixoauth-bench-");
        try
        {
            await using var azurite = await Azurite.StartAsync(folder.FullName, run.CancellationToken, savesMeanwhile: false, withQueues: true);
            run.SetLatency(Latency);
            List<Outcome> outcomes = [];
            foreach (var processes in new[] { 1, 2, 3 })
            {
                outcomes.Add(await SweepAsync(run, azurite, processes, sites, isDisturbed: false));
                LoadRun.Say($"{processes}: {outcomes[^1].PerSecond:F1} sites/s, all after {outcomes[^1].All.TotalSeconds:F0} s");
            }

            var disturbed = await SweepAsync(run, azurite, 3, sites, isDisturbed: true);
            var ratios = outcomes.Select(outcome => outcome.PerSecond / outcomes[0].PerSecond).ToList();
            return
            [
                new("sweep by queue: throughput of 2 and of 3 processes against 1", "≥ 1.9 and ≥ 2.7", $"{Figures.Of(ratios[1])} and {Figures.Of(ratios[2])}",
                    ratios[1] >= 1.9 && ratios[2] >= 2.7,
                    $"{sites} due sites, Wix at {Latency} ms, concurrency {Concurrency} in each: {string.Join(", ", outcomes.Select(outcome => Figures.Of(outcome.PerSecond, "F1")))} sites/s until {Share:P0} were refreshed; all of them after {string.Join(", ", outcomes.Select(outcome => Figures.Of(outcome.All.TotalSeconds, "F0")))} s, because 16 shards in batches of 4 do not divide by 3"),
                new("sweep by queue: sites refreshed more than once", "0", $"{outcomes.Sum(outcome => outcome.Twice)}", outcomes.All(outcome => outcome.Twice == 0),
                    "calls of the refresh grant at the pretend Wix, by site, in all three runs"),
                new("sweep by queue: a process killed, two messages lost, every other message twice: the last site is refreshed after", "two ticks: 120 s and a sweep of 40 s",
                    $"{Figures.Of(disturbed.All.TotalSeconds, "F0")} s", disturbed.All <= (s_tick * 2) + TimeSpan.FromSeconds(40),
                    $"3 processes, {sites} due sites, a tick each 60 s; killed after 5 s, with up to {Concurrency} calls under way: {disturbed.Twice} sites were asked for a second time"),
                new("sweep by queue: after that kill, each shard that was not done is swept again after", "≤ 60 s", $"{Figures.Of(disturbed.SweptAgain.TotalSeconds, "F0")} s at most",
                    disturbed.SweptAgain <= s_tick, "the first refresh of each such shard after the kill, the last of them; those of the lost messages are among them"),
            ];
        }
        finally
        {
            run.SetLatency(0);
            folder.Delete(recursive: true);
        }
    }

    private static async Task<Outcome> SweepAsync(LoadRun run, Azurite azurite, int processes, int sites, bool isDisturbed)
    {
        var table = Surroundings.NewTableName();
        var ids = await run.AddStaleAsync(table, sites, azurite);
        var shards = ids.ToLookup(id => InstanceShard.Of(new InstanceId(id)));
        var queue = new QueueClient(azurite.ConnectionString.Reveal(), ShardMessages.Name);
        await queue.CreateIfNotExistsAsync(cancellationToken: run.CancellationToken);
        await queue.ClearMessagesAsync(run.CancellationToken);
        var services = new List<ServiceProcess>();
        try
        {
            for (var number = 0; number < processes; number++)
            {
                services.Add(await run.StartServiceAsync(
                    table,
                    azurite.ConnectionString.Reveal(),
                    ("Tokens__SweepBy", "Queue"),
                    ("Sweep", azurite.ConnectionString.Reveal()),
                    ("Tokens__RefreshConcurrency", Figures.Of(Concurrency, "F0"))));
            }

            var startedAt = Stopwatch.GetTimestamp();
            await TickAsync(run, services[0], queue, isDisturbed);
            TimeSpan? share = null;
            var (killedAt, sweptAgain, doneAtKill) = (TimeSpan.Zero, TimeSpan.Zero, new Dictionary<InstanceShard, int>());
            for (var ticks = 1; ;)
            {
                var (took, done) = (Stopwatch.GetElapsedTime(startedAt), ids.Count(id => Refreshes(run, id) > 0));
                foreach (var shard in doneAtKill.Where(shard => Done(shard.Key) > shard.Value).Select(shard => shard.Key).ToList())
                {
                    doneAtKill.Remove(shard);
                    sweptAgain = took - killedAt;
                }

                share ??= done >= sites * Share ? took : null;
                if (done == sites)
                {
                    return new(sites * Share / share!.Value.TotalSeconds, took, ids.Count(id => Refreshes(run, id) > 1), sweptAgain);
                }

                if (isDisturbed && services.Count == processes && took > TimeSpan.FromSeconds(5))
                {
                    await services[^1].DisposeAsync();
                    services.RemoveAt(services.Count - 1);
                    killedAt = Stopwatch.GetElapsedTime(startedAt);
                    doneAtKill = shards.Select(shard => shard.Key).Where(shard => Done(shard) < shards[shard].Count()).ToDictionary(shard => shard, Done);
                }

                if (took > s_tick * ticks)
                {
                    ticks++;
                    await TickAsync(run, services[0], queue, isDisturbed: false);
                }

                if (took > s_patience)
                {
                    throw new TimeoutException($"{done} of {sites} sites after {took}.");
                }

                await Task.Delay(s_look, TimeProvider.System, run.CancellationToken);
            }
        }
        finally
        {
            foreach (var service in services)
            {
                await service.DisposeAsync();
            }
        }

        int Done(InstanceShard shard) => shards[shard].Count(id => Refreshes(run, id) > 0);
    }

    private static int Refreshes(LoadRun run, Guid site) => run.Around.Wix.Control.CountsOf(site).Grants.GetValueOrDefault("refresh_token");

    private static async Task TickAsync(LoadRun run, ServiceProcess service, QueueClient queue, bool isDisturbed)
    {
        if (isDisturbed)
        {
            // As if two messages of the tick were lost and every other one came twice.
            foreach (var shard in Enumerable.Range(2, 14).SelectMany(shard => Enumerable.Repeat(shard, 1 + (shard % 2))))
            {
                await queue.SendMessageAsync($"{shard}", null, s_tick, run.CancellationToken);
            }

            return;
        }

        using var caller = await Caller.ConnectAsync(service.Url, run.CancellationToken);
        await caller.AskWellAsync(Caller.Post(service.Url, "/admin/functions/RefreshTokens"), run.CancellationToken);
    }

    /// <param name="PerSecond">Sites a second, until the share was refreshed.</param>
    /// <param name="All">When the last one was.</param>
    /// <param name="Twice">How many were refreshed more than once.</param>
    /// <param name="SweptAgain">How long after a kill the last of the shards that were not done was swept again.</param>
    private sealed record Outcome(double PerSecond, TimeSpan All, int Twice, TimeSpan SweptAgain);
}
