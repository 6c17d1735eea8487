using System.Collections.Concurrent;
using System.Diagnostics;
using Azure.Data.Tables;
using WixOAuth.Events;
using WixOAuth.PretendWix;
using WixOAuth.Processes;
using WixOAuth.Storage;
using WixOAuth.Tokens;

namespace WixOAuth.Crash;

/// <summary>What is to be run.</summary>
internal sealed record CrashOptions
{
    /// <summary>How many processes are killed at random points.</summary>
    public int RandomKills { get; init; } = 1_000;

    /// <summary>How often each step is tried with each kind of site.</summary>
    public int StepRounds { get; init; } = 5;

    /// <summary>
    /// Tries each step with one kind of site only, another one for each step; and in the order of the protocol, since
    /// the last ones leave no lease that would have to be waited for.
    /// </summary>
    public bool IsShort { get; init; }

    /// <summary>How often the storage goes away and comes back.</summary>
    public int Outages { get; init; } = 5;

    /// <summary>How many processes there are.</summary>
    public int Processes { get; init; } = 5;

    /// <summary>How many sites the load is for.</summary>
    public int Sites { get; init; } = 120;

    /// <summary>How many tokens are asked for.</summary>
    public int WishesPerSecond { get; init; } = 40;

    /// <summary>How long access tokens live, in seconds: from, and below.</summary>
    public (int From, int Below) Lifetime { get; init; } = (5, 20);

    /// <summary>The part of Wix's answers that are 503.</summary>
    public double BusyPart { get; init; } = 0.03;

    /// <summary>The part of the processes that is started with another protection key than the rest, for a while.</summary>
    public double WrongKeyPart { get; init; } = 0.1;

    /// <summary>For how long, in seconds: from, and below.</summary>
    public (int From, int Below) WrongKeyTime { get; init; } = (5, 15);

    /// <summary>How often Wix answers with pages of HTML for some seconds.</summary>
    public int Storms { get; init; } = 30;

    /// <summary>How many sites are imported, removed and so on, for their events.</summary>
    public int Lives { get; init; } = 60;

    /// <summary>How many of these changes there are.</summary>
    public double ChangesPerSecond { get; init; } = 5;

    /// <summary>The part of the events that the receiver fails to take.</summary>
    public double ReceiverTroublePart { get; init; } = 0.2;

    public Tolerance Tolerance { get; init; } = new(TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(1));
}

/// <summary>How it went with a step.</summary>
/// <param name="Name">Which.</param>
/// <param name="Rounds">How many times it was to be.</param>
/// <param name="Kills">How many processes were killed there.</param>
/// <param name="Violations">How many rules were broken of the sites that it was tried with.</param>
internal sealed record StepResult(string Name, int Rounds, int Kills, int Violations);

/// <summary>How a run went.</summary>
internal sealed record CrashReport(IReadOnlyList<StepResult> Steps, Findings Findings, History History, TimeSpan Took)
{
    public bool IsGood => Findings.Violations.Count == 0 && Steps.All(step => step.Kills == step.Rounds);
}

/// <summary>One run: processes under load, which are killed, and the proof from what was seen.</summary>
internal sealed class CrashRun : IAsyncDisposable
{
    private const string AtRandom = "at random points";

    private static readonly TimeSpan s_delivers = TimeSpan.FromMinutes(6);
    private static readonly TimeSpan s_reachesWithin = TimeSpan.FromSeconds(60);

    private readonly CrashOptions _options;
    private readonly CancellationToken _cancellationToken;
    private readonly Action<string> _say;
    private readonly Journal _journal = new();
    private readonly Traps _traps = new();
    private readonly string _table = Surroundings.NewTableName();
    private readonly List<Guid> _loaded = [];
    private readonly List<Guid> _lives = [];
    private readonly Dictionary<(Step Step, Rotation Rotation), Queue<Guid>> _prepared = [];
    private readonly Dictionary<Guid, Step> _stepOf = [];
    private readonly ConcurrentDictionary<Guid, string> _lastTokens = new();
    private readonly ConcurrentDictionary<Task, byte> _wishes = new();

    private Surroundings _around = null!;
    private FakeWix _wix = null!;
    private EventReceiver _receiver = null!;
    private StorageWatch _watch = null!;
    private Fleet _fleet = null!;
    private Callers _callers = null!;

    private CrashRun(CrashOptions options, Action<string> say, CancellationToken cancellationToken) =>
        (_options, _say, _cancellationToken) = (options, say, cancellationToken);

    public static async Task<CrashReport> RunAsync(CrashOptions options, Action<string> say, CancellationToken cancellationToken)
    {
        await using var run = new CrashRun(options, say, cancellationToken);
        return await run.RunAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _callers?.Dispose();
        if (_fleet is not null)
        {
            await _fleet.DisposeAsync();
        }

        if (_receiver is not null)
        {
            await _receiver.DisposeAsync();
        }

        if (_wix is not null)
        {
            await _wix.DisposeAsync();
        }

        if (_around is not null)
        {
            await _around.DisposeAsync();
        }
    }

    private async Task<CrashReport> RunAsync()
    {
        var startedAt = Stopwatch.GetTimestamp();
        _around = await Surroundings.StartAsync(_cancellationToken);
        _wix = await FakeWix.StartAsync(_journal, _traps, _cancellationToken);
        (_wix.Lifetime, _wix.BusyPart) = (_options.Lifetime, _options.BusyPart);
        _lives.AddRange(Enumerable.Range(0, _options.Lives).Select(_ => Guid.NewGuid()));
        _lives.ForEach(site => _wix.Install(new Site(site, Rotation.Same)));
        _wix.Described = _lives.ToHashSet();
        _receiver = await EventReceiver.StartAsync(_journal, _cancellationToken);
        _receiver.TroublePart = _options.ReceiverTroublePart;
        _watch = new StorageWatch(_journal, _traps, _around.Protector);
        await SeedAsync();
        var first = await ReadRowsAsync();
        _fleet = new Fleet(_around, _wix, _watch, _journal, _table, _options.Processes, _cancellationToken, _receiver);
        _callers = new Callers(_fleet, _journal);
        await _fleet.StartAsync();
        _fleet.WrongKeyPart = _options.WrongKeyPart;
        using var lives = new Lives(_fleet, _wix, _lives, _options.ChangesPerSecond);

        using (var stop = CancellationTokenSource.CreateLinkedTokenSource(_cancellationToken))
        {
            var load = Task.WhenAll(WishAsync(stop.Token), SweepAsync(stop.Token), lives.RunAsync(stop.Token), EndWrongKeysAsync(stop.Token));
            await KillAsync(load);
            await stop.CancelAsync();
            await load;
        }

        _say("The last ones are waited for.");
        await _fleet.EndWrongKeysAsync();
        using (var patience = new CancellationTokenSource((TokenRefresher.LeaseTime * 3) + _options.Tolerance.Slack, TimeProvider.System))
        {
            using var registration = patience.Token.Register(_giveUp.Cancel);
            await Task.WhenAll(_wishes.Keys);
            await Parallel.ForEachAsync(
                _loaded.Concat(_stepOf.Keys), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (site, _) => await ProveAsync(site, patience.Token));
        }

        await DeliverAsync();
        await _fleet.EndAsync(() => _watch.Count);
        var history = _journal.Close(first, await ReadRowsAsync(), _wix.GoodTokens()) with { Lives = _lives };
        var findings = Checker.Check(history, _options.Tolerance);
        findings = findings with { Violations = [.. findings.Violations, .. EventChecker.Check(history)] };
        return new CrashReport(ResultsOf(history, findings), findings, history, Stopwatch.GetElapsedTime(startedAt));
    }

    private readonly CancellationTokenSource _giveUp = new();

    private async Task SeedAsync()
    {
        var seeder = new Seeder(_around.Table(_table), _around.Protector);
        await seeder.CreateTableAsync(_cancellationToken);
        var rotations = Enum.GetValues<Rotation>();
        var due = Enumerable.Range(0, _options.Sites).Select(number => Install(new Site(Guid.NewGuid(), rotations[number % rotations.Length]))).ToList();
        _loaded.AddRange(due.Select(seed => seed.InstanceId));
        await seeder.AddStaleAsync(due, _cancellationToken);

        // They are not touched before their step.
        var prepared = new List<PretendSeed>();
        foreach (var (step, rotation) in Rounds())
        {
            var seeds = Enumerable.Range(0, _options.StepRounds).Select(_ => Install(new Site(Guid.NewGuid(), rotation, step.Way == Way.Revoked))).ToList();
            _prepared[(step, rotation)] = new(seeds.Select(seed => seed.InstanceId));
            seeds.ForEach(seed => _stepOf[seed.InstanceId] = step);
            prepared.AddRange(seeds);
        }

        await seeder.AddStaleAsync(prepared, _cancellationToken, TimeSpan.FromHours(12));
        PretendSeed Install(Site site)
        {
            _journal.Add(site);
            return new PretendSeed(site.Id, _wix.Install(site));
        }
    }

    private IEnumerable<(Step Step, Rotation Rotation)> Rounds() => Step.All.SelectMany((step, number) => _options.IsShort
        ? [(step, step.Rotations[number % step.Rotations.Count])]
        : step.Rotations.Select(rotation => (step, rotation)));

    private async Task<IReadOnlyList<Row>> ReadRowsAsync()
    {
        var table = TableConnection.Open(_around.Table(_table), null);
        var rows = new List<Row>();
        foreach (var shard in InstanceRows.Shards)
        {
            await foreach (var row in table.QueryAsync<TableEntity>(InstanceRows.InstanceFilter(shard, after: null), cancellationToken: _cancellationToken))
            {
                var state = InstanceRow.Read(InstanceRows.ReadId(row.RowKey)!.Value, row);
                rows.Add(new Row(Guid.ParseExact(state.Id.ToString(), "D"), row.ETag.ToString(), state, await _watch.RefreshTokenOfAsync(state)));
            }
        }

        return rows;
    }

    // The load.

    private async Task WishAsync(CancellationToken stop)
    {
        int[] demands = [0, 1, 3, 30, 240];
        while (await PauseAsync(TimeSpan.FromSeconds(-Math.Log(1 - Random.Shared.NextDouble()) / _options.WishesPerSecond), stop))
        {
            var site = _loaded[Random.Shared.Next(_loaded.Count)];
            var rejected = Random.Shared.Next(10) == 0 ? _lastTokens.GetValueOrDefault(site) : null;
            Wish(site, TimeSpan.FromSeconds(demands[Random.Shared.Next(demands.Length)]), rejected);
        }
    }

    private void Wish(Guid site, TimeSpan minTtl, string? rejected)
    {
        var wish = WishAsync();
        _wishes[wish] = 0;
        _ = wish.ContinueWith(
            ended => ended.IsCompletedSuccessfully && _wishes.TryRemove(ended, out _), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        async Task WishAsync()
        {
            if (await _callers.WishAsync(site, minTtl, rejected, _giveUp.Token) is { } token)
            {
                _lastTokens[site] = token;
            }
        }
    }

    private async Task SweepAsync(CancellationToken stop)
    {
        while (await PauseAsync(TimeSpan.FromSeconds(1), stop))
        {
            await _callers.SweepAsync(await _fleet.PickAsync(), _cancellationToken);
        }
    }

    private static async Task<bool> PauseAsync(TimeSpan pause, CancellationToken stop)
    {
        await Task.Delay(pause, TimeProvider.System, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return !stop.IsCancellationRequested;
    }

    /// <summary>Those that were started with a wrong key are killed after a while, and so restarted with the right one.</summary>
    private async Task EndWrongKeysAsync(CancellationToken stop)
    {
        while (await PauseAsync(TimeSpan.FromSeconds(0.5), stop))
        {
            var time = TimeSpan.FromSeconds(Random.Shared.Next(_options.WrongKeyTime.From, _options.WrongKeyTime.Below));
            foreach (var node in _fleet.Living.Where(node => Journal.Now - node.WrongSince > time))
            {
                await _fleet.KillAsync(node, Fleet.AfterWrongKey, null);
            }
        }
    }

    /// <summary>The receiver is well again, and takes what waits.</summary>
    private async Task DeliverAsync()
    {
        _receiver.TroublePart = 0;
        var table = TableConnection.Open(_around.Table(_table), null);
        for (var startedAt = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(startedAt) < s_delivers;)
        {
            var waiting = 0;
            foreach (var shard in InstanceRows.Shards)
            {
                waiting += await table.QueryAsync<TableEntity>(OutboxRows.Filter(OutboxPart.Waiting, shard), select: ["RowKey"], cancellationToken: _cancellationToken).CountAsync(_cancellationToken);
            }

            if (waiting == 0)
            {
                return;
            }

            await _callers.SweepAsync(await _fleet.PickAsync(), _cancellationToken);
            await PauseAsync(TimeSpan.FromSeconds(1), _cancellationToken);
        }
    }

    // What happens to it.

    private async Task KillAsync(Task load)
    {
        var events = Enumerable.Repeat<Func<Task>>(KillAtRandomAsync, _options.RandomKills)
            .Concat(Enumerable.Repeat<Func<Task>>(BreakStorageAsync, _options.Outages))
            .Concat(Enumerable.Repeat<Func<Task>>(BeginStorm, _options.Storms))
            .Concat(Rounds().SelectMany(round => Enumerable.Repeat<Func<Task>>(() => KillAtAsync(round.Step, round.Rotation), _options.StepRounds)))
            .ToArray();
        if (!_options.IsShort)
        {
            Random.Shared.Shuffle(events);
        }

        var startedAt = Stopwatch.GetTimestamp();
        for (var i = 0; i < events.Length; i++)
        {
            _cancellationToken.ThrowIfCancellationRequested();
            if (load.IsFaulted)
            {
                await load;
            }

            await events[i]();
            if ((i + 1) % 100 == 0)
            {
                _say($"{i + 1} of {events.Length} kills and outages after {Stopwatch.GetElapsedTime(startedAt).TotalSeconds:F0} s");
            }
        }
    }

    /// <summary>The others go on, and enough of them.</summary>
    private Task<Node> PickVictimAsync() => _fleet.PickAsync(Math.Max(2, _options.Processes - 2), withRightKey: true);

    private async Task KillAtRandomAsync()
    {
        var node = await PickVictimAsync();
        await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(200)), TimeProvider.System, _cancellationToken);
        await _fleet.KillAsync(node, null, null);
    }

    private async Task KillAtAsync(Step step, Rotation rotation)
    {
        var site = _prepared[(step, rotation)].Dequeue();
        for (var tries = 0; tries < 3; tries++)
        {
            var node = await PickVictimAsync();
            var trap = _traps.Set(node.Number, step.Point, step.Way == Way.Sweep ? null : site);
            if (step.Way == Way.Unavailable)
            {
                _wix.SetAvailable(site, false);
            }
            else if (step.Way == Way.Revoked)
            {
                _wix.Revoke(site);
            }

            using var patience = CancellationTokenSource.CreateLinkedTokenSource(_cancellationToken);
            patience.CancelAfter(s_reachesWithin);
            var asking = AskUntilTrappedAsync(node, site, step.Way, trap, patience.Token);
            await Task.WhenAny(trap.Sprung, asking);
            if (trap.Sprung.IsCompleted)
            {
                await _fleet.KillAsync(node, step.Name, site);
                trap.Open(goesOn: false);
                break;
            }

            _traps.Remove(trap);
        }

        _wix.SetAvailable(site, true);
        Wish(site, TokenRequirements.MaxMinTtl, null);
    }

    /// <summary>Asks again where a storm kept the process from the point. What is trapped ends with the process.</summary>
    private async Task AskUntilTrappedAsync(Node node, Guid site, Way way, Trap trap, CancellationToken cancellationToken)
    {
        try
        {
            do
            {
                await (way switch
                {
                    Way.FirstUse => _callers.AskAsync(node, site, TimeSpan.Zero, null, cancellationToken),
                    Way.Sweep => _callers.SweepAsync(node, cancellationToken),
                    _ => (Task)_callers.RefreshAsync(node, site, cancellationToken),
                });
            }
            while (!trap.Sprung.IsCompleted && await PauseAsync(TimeSpan.FromSeconds(0.5), cancellationToken));
        }
        catch (OperationCanceledException)
        {
            // It took too long; another process is tried.
        }
    }

    private Task BeginStorm()
    {
        var until = Journal.Now + TimeSpan.FromSeconds(2 + (4 * Random.Shared.NextDouble()));
        var storm = new Storm(Journal.Now, until, Random.Shared.Next(2) == 0 ? 401 : 403, 0.3 + (0.7 * Random.Shared.NextDouble()), Random.Shared.Next(2) == 0);
        _wix.Storm = storm;
        _journal.Add(storm);
        return Task.CompletedTask;
    }

    private async Task BreakStorageAsync()
    {
        var from = Journal.Now;
        await _watch.CutOffAsync();
        await _around.RestartAzuriteAsync(_cancellationToken);
        _fleet.MoveStorage();
        _watch.Reconnect();
        _journal.Add(new Outage(from, Journal.Now));
    }

    /// <summary>In the end each site has a new token from Wix, by whatever process.</summary>
    private async Task ProveAsync(Guid site, CancellationToken cancellationToken)
    {
        var startedAt = Journal.Now;
        while (!cancellationToken.IsCancellationRequested)
        {
            if (await _callers.RefreshAsync(await _fleet.PickAsync(), site, _cancellationToken))
            {
                return;
            }

            await PauseAsync(TimeSpan.FromSeconds(1), cancellationToken);
        }

        _journal.Add(new Wish(site, startedAt, null));
    }

    private List<StepResult> ResultsOf(History history, Findings findings)
    {
        var results = Rounds().GroupBy(round => round.Step).Select(rounds => new StepResult(
            rounds.Key.Name,
            rounds.Count() * _options.StepRounds,
            history.Kills.Count(kill => kill.Step == rounds.Key.Name),
            findings.Violations.Count(violation => violation.Site is { } site && _stepOf.GetValueOrDefault(site) == rounds.Key))).ToList();
        results.Add(new StepResult(Fleet.AfterWrongKey, history.WrongKeys.Count, history.Kills.Count(kill => kill.Step == Fleet.AfterWrongKey), 0));
        results.Add(new StepResult(
            AtRandom,
            _options.RandomKills,
            history.Kills.Count(kill => kill.Step is null),
            findings.Violations.Count(violation => violation.Site is not { } site || !_stepOf.ContainsKey(site))));
        return results;
    }
}
