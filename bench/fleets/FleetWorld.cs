using WixOAuth.Instances;
using WixOAuth.Scale;
using WixOAuth.Tokens;

namespace WixOAuth.Fleets;

/// <summary>How a run went.</summary>
/// <param name="MarkedByChance">How many healthy sites were marked, where Wix rejected requests at random.</param>
/// <param name="Dead">How many sites died.</param>
/// <param name="Calls">How many requests for tokens Wix had.</param>
/// <param name="Critical">How many critical lines were logged.</param>
/// <param name="Digest">Equal for runs in which the same happened.</param>
internal sealed record FleetResult(int MarkedByChance, int Dead, int Calls, int Critical, string Digest);

/// <summary>
/// A fleet of sites that a schedule of faults happens to: swept once a minute and called at random by the service's own
/// classes, on simulated time. <see cref="FleetRule"/> says what must hold.
/// </summary>
internal sealed class FleetWorld : IDisposable
{
    private static readonly TimeSpan s_minute = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_betweenInstalls = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);
    private const int CallersPerMinute = 3;

    // Large fleets are looked at less often: looking would take most of the time.
    private const int FewSites = 40;
    private const int MinutesBetweenLooks = 10;

    private readonly FleetSchedule _schedule;
    private readonly SimulatedTime _time = new(FleetSchedule.Start);
    private readonly LogCounts _logs;
    private readonly FleetWix _wix;
    private readonly FleetInvariants _invariants;
    private readonly FleetProcesses _processes;
    private readonly Random _random;
    private readonly List<InstanceId> _called = [];
    private readonly List<InstanceId> _consenting = [];
    private readonly ActiveFaults _active;

    // What to look at after the end of all faults, and when; void when the next one begins.
    private readonly List<(DateTimeOffset At, Func<Task> Look)> _looks = [];
    private Exception? _failure;

    public FleetWorld(FleetSchedule schedule)
    {
        _schedule = schedule;
        _random = new Random(schedule.Seed);
        (_logs, _active) = (new LogCounts(_time), new ActiveFaults(_time));
        var storage = new FleetStorage(_time);
        _wix = new FleetWix(_time, new Random(schedule.Seed), schedule);
        _invariants = new FleetInvariants(schedule, _time, storage, _wix, _logs);
        storage.Written = instance => Watch(() => _invariants.Wrote(instance));
        _processes = new FleetProcesses((hasWrongKey, offset) => new FleetProcess(_time, storage, _wix, schedule, _logs, hasWrongKey, offset));
        SharedRandom.Seed(schedule.Seed);
    }

    public void Dispose()
    {
        _processes.Dispose();
        _wix.Dispose();
    }

    /// <summary>Runs until a day after the last fault, and until every dead site has to be marked.</summary>
    /// <exception cref="InvariantViolatedException">What happened that must not.</exception>
    public async Task<FleetResult> RunAsync()
    {
        await InstallAsync();
        LookLater();
        foreach (var fault in _schedule.Faults)
        {
            _time.At(FleetSchedule.Start + fault.At, _ => Begin(fault), null);
            if (fault.Duration > TimeSpan.Zero)
            {
                _time.At(FleetSchedule.Start + fault.End, _ => End(fault), null);
            }
        }

        var last = FleetSchedule.Start + _schedule.Faults.Max(fault => fault.End) + FleetInvariants.OwnTokenWithin + s_minute;
        for (var minute = 0; _time.GetUtcNow() <= last || _time.GetUtcNow() <= _invariants.LastDeadline + s_minute; minute++)
        {
            await RunMinuteAsync(minute);
        }

        return new FleetResult(_invariants.MarkedByChance, _invariants.Dead, _wix.Calls, _logs.Critical.Count, _logs.Digest(_wix.Calls));
    }

    // In a fleet that is large enough to ask others, every second site is never asked for.
    private async Task InstallAsync()
    {
        var bytes = new byte[16];
        for (var number = 0; number < _schedule.Sites; number++)
        {
            _random.NextBytes(bytes);
            var id = new InstanceId(new Guid(bytes));
            var isCalled = _schedule.Sites <= RejectionPolicy.TooFewSites || number % 2 == 0;
            _invariants.Add(new FleetSite(id, isCalled));
            if (isCalled)
            {
                _called.Add(id);
            }

            _time.At(_time.GetUtcNow() + (s_betweenInstalls * number), _ => Watch(_processes.Running[0].ConsentAsync(id)), null);
        }

        await _time.RunUntilAsync(FleetSchedule.Start + s_minute);
    }

    private async Task RunMinuteAsync(int minute)
    {
        var begin = _time.GetUtcNow();
        foreach (var process in _processes.Running)
        {
            Watch(process.SweepAsync());
        }

        for (var caller = 0; caller < CallersPerMinute; caller++)
        {
            var id = _called[_random.Next(_called.Count)];
            _time.At(begin + (s_minute * _random.NextDouble() * 0.98), _ => Watch(AskAsync(id)), null);
        }

        _consenting.ForEach(id => Consent(id, begin + (s_second * _random.NextDouble())));
        _consenting.Clear();
        await _time.RunUntilAsync(begin + s_minute);
        if (_active.IsTrouble)
        {
            _invariants.Troubled(s_minute);
        }

        if (_schedule.Sites <= FewSites || minute % MinutesBetweenLooks == 0)
        {
            await _invariants.LookAsync();
        }

        await LookWhereItIsTimeAsync();
        if (_failure is not null)
        {
            throw _failure as InvariantViolatedException ?? new InvariantViolatedException($"{_time.GetUtcNow():O}: {_failure}");
        }
    }

    private void LookLater()
    {
        _looks.Clear();
        if (!_active.Any)
        {
            _looks.Add((_active.ServedFrom, AskAllAsync));
            _looks.Add((_active.QuietSince + FleetInvariants.UnmarkedWithin, _invariants.LookWhetherNoneIsMarkedAsync));
            _looks.Add((_active.QuietSince + FleetInvariants.OwnTokenWithin, _invariants.LookAtGrantsAsync));
        }
    }

    private async Task LookWhereItIsTimeAsync()
    {
        while (_looks is [var (at, look), ..] && at <= _time.GetUtcNow())
        {
            _looks.RemoveAt(0);
            await look();
        }
    }

    private async Task AskAllAsync()
    {
        var asking = _invariants.Healthy.Where(site => site.IsCalled).Select(site => AskAsync(site.Id)).ToList();
        await _time.RunUntilAsync(_time.GetUtcNow() + s_minute);
        if (asking.Exists(each => !each.IsCompleted))
        {
            throw new InvariantViolatedException(FleetRule.IsServed, _time.GetUtcNow(), id: null, "a caller waits for longer than a minute");
        }

        await Task.WhenAll(asking);
    }

    private async Task AskAsync(InstanceId id)
    {
        var (process, mustBeServed, quietFor) = (AnyProcess(), _active.MustServe, _active.QuietFor);
        var result = await process.GetTokenAsync(id);

        // Something may have begun to go wrong meanwhile.
        _invariants.Answered(id, result, mustBeServed && _active.MustServe, quietFor);
    }

    private FleetProcess AnyProcess()
    {
        var running = _processes.Running;
        return running[_random.Next(running.Count)];
    }

    // While an operator has the site refreshed. Where Wix fails, the owner gets no code.
    private void Consent(InstanceId id, DateTimeOffset at)
    {
        _time.At(at, _ => Watch(AnyProcess().RefreshAsync(id)), null);
        _time.At(at + (s_second * _random.NextDouble() * 0.3), _ => Watch(_wix.IsFailing ? Task.CompletedTask : AnyProcess().ConsentAsync(id)), null);
    }

    private void Begin(FleetFault fault)
    {
        switch (fault)
        {
            case FleetFault.Deaths deaths:
                Kill(deaths.Percent);
                return;
            case FleetFault.Consents consents:
                _consenting.AddRange(_invariants.Healthy.Where(_ => _random.Next(100) < consents.Percent).Select(site => site.Id));
                return;
            case FleetFault.Restart:
                _processes.Restart();
                return;
            case FleetFault.Outage outage:
                _wix.Begin(outage, outage.Scope == OutageScope.Sites ? Some(outage.Percent) : []);
                break;
        }

        _active.Begin(fault);
        _processes.Begin(fault);
        _looks.Clear();
    }

    private void End(FleetFault fault)
    {
        _active.End(fault);
        _processes.End(fault);
        switch (fault)
        {
            case FleetFault.Outage outage:
                _wix.End(outage);
                Watch(() => _invariants.Alarms.Ended(outage, _invariants.Healthy.Count));
                break;
            case FleetFault.WrongClock clock:
                // What a clock that was ahead has put off is put off by as much.
                _invariants.Troubled(clock.By.Duration());
                break;
        }

        LookLater();
    }

    // Of a fleet that is large enough to ask others one site stays: if all die at once, nobody can tell that from a wrong secret.
    private void Kill(int percent)
    {
        var spared = _schedule.Sites <= RejectionPolicy.TooFewSites ? 0 : 1;
        foreach (var site in _invariants.Healthy.Skip(spared).Where(_ => _random.Next(100) < percent))
        {
            _wix.Kill(site.Id);
            _invariants.Died(site);
        }
    }

    // Of the healthy ones, both of those that are called and of the others: what heals the ones must heal the others.
    private List<InstanceId> Some(int percent) =>
    [
        .. _invariants.Healthy
            .GroupBy(site => site.IsCalled)
            .SelectMany(group => group.OrderBy(_ => _random.Next()).Take(Math.Max(1, group.Count() * percent / 100)))
            .Select(site => site.Id),
    ];

    private void Watch(Action work)
    {
        try
        {
            work();
        }
        catch (Exception exception)
        {
            _failure ??= exception;
        }
    }

    private void Watch(Task work)
    {
        _ = WatchAsync();

        async Task WatchAsync()
        {
            try
            {
                await work;
            }
            catch (Exception exception)
            {
                _failure ??= exception;
            }
        }
    }
}
