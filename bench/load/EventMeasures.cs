using System.Collections.Concurrent;
using System.Diagnostics;
using Azure.Data.Tables;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Instances;
using WixOAuth.Processes;
using WixOAuth.Storage;

namespace WixOAuth.Load;

/// <summary>How fast events that wait are delivered, and what a receiver that never answers costs everybody else.</summary>
internal static class EventMeasures
{
    private const int ReceiverMilliseconds = 20;
    private const int Concurrency = 16;
    private const long MostMegabytes = 300;
    private static readonly TimeSpan s_sweepEvery = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_turn = TimeSpan.FromMilliseconds(250);

    public static async Task<IReadOnlyList<Measure>> MeasureAsync(LoadRun run) => [.. await DeliverAsync(run), .. await OutageAsync(run)];

    /// <summary>Adds two events for each instance that wait, as if a receiver had been away.</summary>
    private static async Task AddEventsAsync(LoadRun run, string table, IReadOnlyList<InstanceId> ids)
    {
        var client = TableConnection.Open(run.Around.Table(table), null);
        var at = TimeProvider.System.GetUtcNow() - TimeSpan.FromHours(20);
        var rows = ids.SelectMany(id => new[]
        {
            OutboxRows.ToRow(new OutboxEvent(id, at.UtcTicks, InstanceEventType.Connected, "consent", at)),
            OutboxRows.ToRow(new OutboxEvent(id, at.UtcTicks + 1, InstanceEventType.SetupCompleted, "wix_accepted", at)),
        });
        foreach (var some in rows.GroupBy(row => row.PartitionKey).SelectMany(shard => shard.Chunk(100)))
        {
            await client.SubmitTransactionAsync(some.Select(row => new TableTransactionAction(TableTransactionActionType.Add, row)), run.CancellationToken);
        }
    }

    private static async Task<IReadOnlyList<Measure>> DeliverAsync(LoadRun run)
    {
        var events = run.Quick ? 1_000 : 10_000;
        var table = Surroundings.NewTableName();
        var seeder = run.SeederOf(table);
        await seeder.CreateTableAsync(run.CancellationToken);
        await AddEventsAsync(run, table, await seeder.AddSleepingAsync(events / 2, run.CancellationToken));
        await using var receiver = await Receiver.StartAsync(ReceiverMilliseconds);
        await using var service = await run.StartServiceAsync(table, null, receiver.Settings);
        var (memory, startedAt) = (service.PeakMemory, Stopwatch.GetTimestamp());
        var before = (Azurite: Machine.TimeOf(run.Around.Azurite.ProcessId), Service: service.ProcessorTime);
        var working = TimeSpan.Zero;
        while (receiver.Distinct < events)
        {
            working += await PassAsync(service, receiver, events, run.CancellationToken);
        }

        var all = Stopwatch.GetElapsedTime(startedAt);
        var rate = events / working.TotalSeconds;
        var possible = Concurrency / (ReceiverMilliseconds / 1000.0);
        var azurite = (Machine.TimeOf(run.Around.Azurite.ProcessId) - before.Azurite) / working;
        var own = (service.ProcessorTime - before.Service) / working;
        var slot = Concurrency * 1000 / rate;
        return
        [
            new($"{Figures.Of(events, "N0")} events wait, receiver at {ReceiverMilliseconds} ms: delivery of all, in order for each site", $"within 10 minutes, ≤ {MostMegabytes} MB",
                $"{Figures.Of(rate, "F0")}/s while a pass runs, all after {Figures.Of(all.TotalSeconds, "F0")} s; {service.PeakMemory / 1_000_000} MB at most, {memory / 1_000_000} MB before; {receiver.Repeated} delivered twice",
                all < TimeSpan.FromMinutes(10) && service.PeakMemory / 1_000_000 <= MostMegabytes && receiver.OutOfOrder == 0,
                $"{Concurrency} at a time would be {Figures.Of(possible, "F0")}/s; an event holds its place for {Figures.Of(slot, "F0")} ms: {ReceiverMilliseconds} for the receiver, the rest three storage requests, one after the other (lease, the site's row, removal) and waiting for a processor; busy cores: Azurite {Figures.Of(azurite)}, service {Figures.Of(own)}, of {Environment.ProcessorCount}; a pass takes up events for {EventDelivery.LongestPass.TotalSeconds:F0} s of each minute"),
        ];
    }

    /// <summary>One sweep, as the timer fires it each minute.</summary>
    /// <returns>How long events were delivered.</returns>
    private static async Task<TimeSpan> PassAsync(ServiceProcess service, Receiver receiver, int events, CancellationToken cancellationToken)
    {
        var startedAt = Stopwatch.GetTimestamp();
        using var caller = await Caller.ConnectAsync(service.Url, cancellationToken);
        await caller.AskWellAsync(Caller.Post(service.Url, "/admin/functions/RefreshTokens"), cancellationToken);
        var (seen, working) = (-1, TimeSpan.Zero);
        while (Stopwatch.GetElapsedTime(startedAt) < s_sweepEvery && receiver.Distinct < events)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(50), TimeProvider.System, cancellationToken);
            if (receiver.Distinct != seen)
            {
                (seen, working) = (receiver.Distinct, Stopwatch.GetElapsedTime(startedAt));
            }
        }

        return working;
    }

    private static async Task<IReadOnlyList<Measure>> OutageAsync(LoadRun run)
    {
        var (sites, turns, sweeps) = run.Quick ? (100, 8, 2) : (500, 60, 5);
        await using var good = await World.StartAsync(run, sites, new Receiver.Behaviour(Answers: true));
        await using var bad = await World.StartAsync(run, sites, new Receiver.Behaviour(Answers: false));
        foreach (var world in new[] { good, bad, good, bad })
        {
            await world.SweepAsync();
            await world.AskAsync();
        }

        List<LoadResult> goodTokens = [], badTokens = [];
        List<double> goodSweeps = [], badSweeps = [], goodWebhooks = [], badWebhooks = [];
        for (var turn = 0; turn < turns; turn++)
        {
            goodTokens.Add(await good.AskAsync());
            badTokens.Add(await bad.AskAsync());
            goodWebhooks.Add(await good.PostWebhookAsync());
            badWebhooks.Add(await bad.PostWebhookAsync());
            if (turn % (turns / sweeps) == 0)
            {
                goodSweeps.Add(await good.SweepAsync());
                badSweeps.Add(await bad.SweepAsync());
            }
        }

        var rate = Figures.Median(badTokens.Zip(goodTokens, (one, other) => one.PerSecond / other.PerSecond));
        var sweep = Figures.Median(badSweeps) / Figures.Median(goodSweeps);
        var webhook = Figures.Median(badWebhooks) / Figures.Median(goodWebhooks);
        LoadRun.Say($"sweeps {string.Join('/', goodSweeps.Select(ms => Figures.Of(ms, "F0")))} and {string.Join('/', badSweeps.Select(ms => Figures.Of(ms, "F0")))} ms; webhooks {Figures.Of(Figures.Median(goodWebhooks), "F1")} and {Figures.Of(Figures.Median(badWebhooks), "F1")} ms");

        var waiting = await bad.CountWaitingAsync();
        bad.Receiver.Recover();
        var startedAt = Stopwatch.GetTimestamp();
        while (await bad.CountWaitingAsync() > 0)
        {
            await PassAsync(bad.Service, bad.Receiver, bad.Expected, run.CancellationToken);
        }

        var recovery = Stopwatch.GetElapsedTime(startedAt);
        return
        [
            new($"a receiver that never answers, against a good one, {sites} sites: GetToken requests/s", "no effect: ≥ 0.9", $"{Figures.Of(rate)}", rate >= 0.9,
                $"median of {turns} turns of {s_turn.TotalMilliseconds:F0} ms each, in turns with the good one; {waiting} events waited in the end"),
            new("… the time of a sweep", "no effect: ≤ 1.15", $"{Figures.Of(sweep)} ({Figures.Of(Figures.Median(badSweeps), "F0")} and {Figures.Of(Figures.Median(goodSweeps), "F0")} ms)", sweep <= 1.15,
                $"median of {sweeps} sweeps, {World.DuePerSweep} sites due each, Wix at 50 ms"),
            new("… the answer to a webhook that causes an event", "no effect: ≤ 1.15", $"{Figures.Of(webhook)} ({Figures.Of(Figures.Median(badWebhooks), "F1")} and {Figures.Of(Figures.Median(goodWebhooks), "F1")} ms)", webhook <= 1.15,
                $"median of {turns}"),
            new("… then it answers: all that waited has arrived, in order for each site", "within 5 minutes",
                $"{Figures.Of(recovery.TotalSeconds, "F0")} s, {bad.Receiver.Distinct} of {bad.Expected} events, {bad.Receiver.OutOfOrder} out of order",
                recovery < TimeSpan.FromMinutes(5) && bad.Receiver.Distinct == bad.Expected && bad.Receiver.OutOfOrder == 0,
                "it is found out by one attempt a minute, with the sweep"),
        ];
    }

    /// <summary>A receiver of events that may be away.</summary>
    private sealed class Receiver : IAsyncDisposable
    {
        private readonly EventReceiver _receiver;
        private readonly ConcurrentDictionary<string, byte> _ids = new();
        private readonly ConcurrentDictionary<string, string> _lastOf = new();
        private volatile bool _answers;
        private int _repeated;
        private int _outOfOrder;

        private Receiver(EventReceiver receiver, int milliseconds, bool answers)
        {
            (_receiver, _answers) = (receiver, answers);
            receiver.Answer = async (each, context) =>
            {
                if (!_answers)
                {
                    await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
                }

                await Task.Delay(TimeSpan.FromMilliseconds(milliseconds), TimeProvider.System, context.RequestAborted);
                Take(each);
                await EventReceiver.Status(context, StatusCodes.Status204NoContent);
            };
        }

        public sealed record Behaviour(bool Answers);

        public int Distinct => _ids.Count;

        public int Repeated => Volatile.Read(ref _repeated);

        public int OutOfOrder => Volatile.Read(ref _outOfOrder);

        public (string Name, string Value)[] Settings => [("Events__Url", _receiver.Url.AbsoluteUri), ("Events__Secret", EventReceiver.Secret)];

        public static async Task<Receiver> StartAsync(int milliseconds, bool answers = true) => new(await EventReceiver.StartAsync(), milliseconds, answers);

        public void Recover() => _answers = true;

        public ValueTask DisposeAsync() => _receiver.DisposeAsync();

        // The ids of one instance sort as its events do.
        private void Take(EventReceiver.Received each)
        {
            if (!_ids.TryAdd(each.Id, 0))
            {
                Interlocked.Increment(ref _repeated);
                return;
            }

            var last = _lastOf.GetValueOrDefault(each.InstanceId);
            _lastOf[each.InstanceId] = each.Id;
            if (string.CompareOrdinal(last, each.Id) > 0)
            {
                Interlocked.Increment(ref _outOfOrder);
            }
        }
    }

    /// <summary>A program with sites and events that wait, and its receiver.</summary>
    private sealed class World : IAsyncDisposable
    {
        public const int DuePerSweep = 50;

        private readonly LoadRun _run;
        private readonly string _table;
        private readonly IReadOnlyList<Guid> _sites;
        private int _removed;

        private World(LoadRun run, string table, IReadOnlyList<Guid> sites, Receiver receiver, ServiceProcess service) =>
            (_run, _table, _sites, Receiver, Service) = (run, table, sites, receiver, service);

        public Receiver Receiver { get; }

        public ServiceProcess Service { get; }

        /// <summary>Two events of each site, and one for each webhook.</summary>
        public int Expected => (2 * _sites.Count) + _removed;

        public static async Task<World> StartAsync(LoadRun run, int sites, Receiver.Behaviour behaviour)
        {
            var table = Surroundings.NewTableName();
            var ids = await run.AddStaleAsync(table, sites);
            await AddEventsAsync(run, table, [.. ids.Select(id => new InstanceId(id))]);
            var receiver = await Receiver.StartAsync(0, behaviour.Answers);
            var service = await run.StartServiceAsync(
                table,
                null,
                [.. receiver.Settings, ("Wix__WebhookPublicKey", run.Around.Wix.WebhookPublicKeyPem), ("Wix__SetupCompletion", "Never"), ("Logging__LogLevel__WixOAuth.Maintenance", "Information")]);
            run.SetLatency(50);
            return new World(run, table, ids, receiver, service);
        }

        public Task<LoadResult> AskAsync() => ClosedLoop.RunAsync(Service.Url, Caller.GetToken(Service.Url, _sites[^1]), Concurrency, s_turn, _run.CancellationToken);

        /// <summary>A sweep that finds some sites due.</summary>
        /// <returns>Its milliseconds.</returns>
        public async Task<double> SweepAsync()
        {
            await _run.AddStaleAsync(_table, DuePerSweep);
            return (await Parts.SweepAsync(Service, _run.CancellationToken)).Milliseconds;
        }

        public async Task<double> PostWebhookAsync()
        {
            using var http = new HttpClient();
            using var content = new StringContent(_run.Around.Wix.SignWebhook("AppRemoved", _sites[_removed++]));
            var startedAt = Stopwatch.GetTimestamp();
            using var answer = await http.PostAsync(new Uri(Service.Url, "/api/webhooks"), content, _run.CancellationToken);
            answer.EnsureSuccessStatusCode();
            return Stopwatch.GetElapsedTime(startedAt).TotalMilliseconds;
        }

        public async Task<int> CountWaitingAsync() =>
            await new TableOutbox(new TableGateway(TableConnection.Open(_run.Around.Table(_table), null))).ReadAsync(OutboxPart.Waiting, _run.CancellationToken).CountAsync(_run.CancellationToken);

        public async ValueTask DisposeAsync()
        {
            await Service.DisposeAsync();
            await Receiver.DisposeAsync();
            _run.SetLatency(0);
        }
    }
}
