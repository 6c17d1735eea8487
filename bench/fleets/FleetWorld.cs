using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Instances;
using WixOAuth.Scale;
using WixOAuth.Tokens;

namespace WixOAuth.Fleets;

/// <summary>How a run went.</summary>
/// <param name="WronglyMarked">How many healthy sites were marked at some time.</param>
/// <param name="Dead">How many sites died.</param>
/// <param name="Calls">How many requests for tokens Wix had.</param>
/// <param name="Critical">How many critical lines were logged.</param>
/// <param name="Digest">Equal for runs in which the same happened.</param>
internal sealed record FleetResult(int WronglyMarked, int Dead, int Calls, int Critical, string Digest);

/// <summary>
/// A fleet of sites that a schedule of faults happens to: swept once a minute and called at random by the service's own
/// classes, on simulated time. <see cref="FleetInvariants"/> says what must hold.
/// </summary>
internal sealed class FleetWorld : IDisposable
{
    private static readonly DateTimeOffset s_start = new(2026, 5, 4, 3, 2, 1, TimeSpan.Zero);
    private static readonly TimeSpan s_minute = TimeSpan.FromMinutes(1);
    private const int CallersPerMinute = 3;

    // Large fleets are looked at less often: looking would take most of the time.
    private const int FewSites = 40;
    private const int MinutesBetweenLooks = 10;

    private readonly FleetSchedule _schedule;
    private readonly SimulatedTime _time = new(s_start);
    private readonly LogCounts _logs = new();
    private readonly FleetStorage _storage;
    private readonly FleetWix _wix;
    private readonly FleetInvariants _invariants;
    private readonly Random _random;
    private readonly List<InstanceId> _sites = [];

    // All that were ever started: what one has begun goes on to its end, as at a graceful stop.
    private readonly List<FleetProcess> _started = [];
    private readonly List<FleetFault> _active = [];
    private readonly Dictionary<FleetFault, FleetProcess> _beside = [];
    private FleetProcess _main;
    private DateTimeOffset _quietSince = s_start;
    private DateTimeOffset _doubtUntil = s_start;
    private Exception? _failure;

    public FleetWorld(FleetSchedule schedule)
    {
        _schedule = schedule;
        _random = new Random(schedule.Seed);
        _storage = new FleetStorage(_time);
        _wix = new FleetWix(_time, new Random(schedule.Seed), schedule.Rotates);
        _invariants = new FleetInvariants(schedule, _time, _storage, _wix, _logs);
        SharedRandom.Seed(schedule.Seed);
        _main = Start(hasWrongKey: false, TimeSpan.Zero);
    }

    public void Dispose() => _started.ForEach(process => process.Dispose());

    /// <summary>Runs until a day after the last fault, and until every dead site has to be marked.</summary>
    /// <exception cref="InvariantViolatedException">What happened that must not.</exception>
    public async Task<FleetResult> RunAsync()
    {
        await InstallAsync();
        foreach (var fault in _schedule.Faults)
        {
            _time.At(s_start + fault.At, _ => Begin(fault), null);
            if (fault.Duration > TimeSpan.Zero)
            {
                _time.At(s_start + fault.At + fault.Duration, _ => End(fault), null);
            }
        }

        var last = s_start + _schedule.Faults.Max(fault => fault.At + fault.Duration) + FleetInvariants.OwnTokenWithin + s_minute;
        for (var minute = 0; _time.GetUtcNow() <= last || _time.GetUtcNow() <= _invariants.LastDeadline + s_minute; minute++)
        {
            await RunMinuteAsync(minute);
        }

        return new FleetResult(_invariants.WronglyMarked, _invariants.Dead, _wix.Calls, _logs.Critical.Count, Digest());
    }

    private TimeSpan QuietFor => _active.Count == 0 ? _time.GetUtcNow() - _quietSince : TimeSpan.Zero;

    private IEnumerable<FleetProcess> Processes => [_main, .. _beside.Values];

    private async Task InstallAsync()
    {
        var bytes = new byte[16];
        for (var number = 0; number < _schedule.Sites; number++)
        {
            _random.NextBytes(bytes);
            _sites.Add(new InstanceId(new Guid(bytes)));
            var installing = _main.InstallAsync(_sites[^1], _wix.Install(_sites[^1]));
            await _time.RunUntilAsync(_time.GetUtcNow() + TimeSpan.FromMilliseconds(20));
            await installing;
            _invariants.Installed(_sites[^1]);
        }
    }

    private async Task RunMinuteAsync(int minute)
    {
        var (begin, quietBefore) = (_time.GetUtcNow(), QuietFor);
        foreach (var process in Processes)
        {
            _ = WatchAsync(process.SweepAsync());
        }

        for (var caller = 0; caller < CallersPerMinute; caller++)
        {
            var id = _sites[_random.Next(_sites.Count)];
            _time.At(begin + TimeSpan.FromSeconds(_random.NextDouble() * 59), _ => _ = WatchAsync(AskAsync(id)), null);
        }

        await _time.RunUntilAsync(begin + s_minute);
        if (_active.Count > 0 || _time.GetUtcNow() < _doubtUntil)
        {
            _invariants.Troubled(s_minute);
        }

        if (_sites.Count <= FewSites || minute % MinutesBetweenLooks == 0)
        {
            await _invariants.LookAsync();
        }

        await LookWhenQuietAsync(quietBefore, QuietFor);
        if (_failure is not null)
        {
            throw new InvariantViolatedException($"{_time.GetUtcNow():O}: {_failure.Message}");
        }
    }

    private async Task LookWhenQuietAsync(TimeSpan before, TimeSpan now)
    {
        if (Passed(FleetInvariants.ServedWithin))
        {
            var asking = _invariants.Healthy.Select(AskAsync).ToList();
            await _time.RunUntilAsync(_time.GetUtcNow() + s_minute);
            if (asking.Exists(each => !each.IsCompleted))
            {
                throw new InvariantViolatedException($"{_time.GetUtcNow():O}: a caller waits for longer than a minute");
            }

            await Task.WhenAll(asking);
        }

        if (Passed(FleetInvariants.UnmarkedWithin))
        {
            await _invariants.LookWhetherNoneIsMarkedAsync();
        }

        if (Passed(FleetInvariants.OwnTokenWithin))
        {
            await _invariants.LookAtGrantsAsync();
        }

        bool Passed(TimeSpan time) => before < time && now >= time;
    }

    private async Task AskAsync(InstanceId id)
    {
        var (process, quietBefore) = (Processes.ElementAt(_random.Next(_beside.Count + 1)), QuietFor);
        var result = await process.GetTokenAsync(id);

        // Something may have begun to go wrong meanwhile.
        _invariants.Answered(id, result, QuietFor < quietBefore ? TimeSpan.Zero : quietBefore);
    }

    private async Task WatchAsync(Task work)
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

    private void Begin(FleetFault fault)
    {
        switch (fault)
        {
            case FleetFault.Outage outage:
                _wix.Outages.Add(outage);
                break;
            case FleetFault.WrongKey { Beside: true }:
                _beside[fault] = Start(hasWrongKey: true, TimeSpan.Zero);
                break;
            case FleetFault.WrongClock { Beside: true } clock:
                _beside[fault] = Start(hasWrongKey: false, clock.By);
                break;
            case FleetFault.Deaths deaths:
                Kill(deaths.Percent);
                return;
            case FleetFault.Restart:
                RestartMain();
                return;
        }

        _active.Add(fault);
        ApplyToMain(fault);
    }

    private void End(FleetFault fault)
    {
        _active.Remove(fault);
        _beside.Remove(fault);
        if (fault is FleetFault.Outage outage)
        {
            _wix.Outages.Remove(outage);
        }
        else if (fault is FleetFault.WrongClock clock)
        {
            // What a clock that was ahead has put off is put off by as much.
            _invariants.Troubled(clock.By.Duration());
        }

        ApplyToMain(fault);
        _quietSince = _time.GetUtcNow();

        // For so long other rejections are doubted after one that was false.
        _doubtUntil = _quietSince + RejectionPolicy.DoubtedFor;
    }

    private void ApplyToMain(FleetFault fault)
    {
        switch (fault)
        {
            case FleetFault.WrongKey { Beside: false }:
                RestartMain();
                break;
            case FleetFault.WrongClock { Beside: false }:
                _main.Offset = MainOffset;
                break;
        }
    }

    private void RestartMain() => _main = Start(_active.Any(fault => fault is FleetFault.WrongKey { Beside: false }), MainOffset);

    private TimeSpan MainOffset => _active.OfType<FleetFault.WrongClock>().Where(clock => !clock.Beside).Aggregate(TimeSpan.Zero, (sum, clock) => sum + clock.By);

    private FleetProcess Start(bool hasWrongKey, TimeSpan offset)
    {
        _started.Add(new FleetProcess(_time, _storage, _wix, _schedule, _logs, hasWrongKey, offset));
        return _started[^1];
    }

    // Of a fleet that is large enough to ask others one site stays: if all die at once, nobody can tell that from a wrong secret.
    private void Kill(int percent)
    {
        var spared = _sites.Count <= RejectionPolicy.TooFewSites ? 0 : 1;
        foreach (var id in _invariants.Healthy.Skip(spared).Where(_ => _random.Next(100) < percent))
        {
            _wix.Kill(id);
            _invariants.Died(id);
        }
    }

    private string Digest()
    {
        var all = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"{_wix.Calls}"));
        foreach (var (line, count) in _logs.ById)
        {
            all.Append(CultureInfo.InvariantCulture, $" {line}:{count}");
        }

        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(all.ToString())).AsSpan(0, 8));
    }
}
