using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Storage;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>
/// A fleet of sites, swept once a minute by the product's own classes on simulated time, and what must hold whatever its
/// schedule holds: the promises of the custody of tokens.
/// </summary>
internal sealed class FleetWorld : IDisposable
{
    private static readonly TimeSpan s_minute = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_tenMinutes = TimeSpan.FromMinutes(10);

    /// <summary>Within this time of its death a site is marked; within the longer one where there are too few to ask.</summary>
    private static readonly TimeSpan s_markedWithin = TimeSpan.FromHours(27);
    private static readonly TimeSpan s_markedByTimeWithin = TimeSpan.FromHours(50);

    private static readonly TokenProtector s_protector = new(Core.KeyRingOf(new ProtectionKey(ProtectionKey.IdOf(Core.Key), Core.Key)));

    // A large fleet is looked at less often: that would take most of the time.
    private const int FewSites = 30;
    private const int BetweenLooks = 10;

    private readonly FleetSchedule _schedule;
    private readonly MemoryInstanceStore _store = new();
    private readonly FleetWix _wix;
    private readonly List<InstanceId> _sites = [];
    private readonly Dictionary<InstanceId, DateTimeOffset> _diedAt = [];
    private readonly HashSet<InstanceId> _wronglyMarked = [];
    private readonly Random _random = new(1);
    private DateTimeOffset _now = TestClock.Start;
    private TimeSpan _troubled;
    private int _sweeps;
    private Core _core = null!;

    public FleetWorld(FleetSchedule schedule)
    {
        (_schedule, _wix) = (schedule, new FleetWix(schedule.Rotates, () => _now));
        Start();
    }

    /// <summary>Healthy sites that were marked.</summary>
    public int WronglyMarked => _wronglyMarked.Count;

    public void Dispose() => _core.Dispose();

    public async Task RunAsync()
    {
        await InstallAsync();
        await SweepAsync(s_tenMinutes);
        foreach (var fault in _schedule.Faults)
        {
            await SufferAsync(fault);
        }

        await SweepAsync(s_tenMinutes);
        await AssertServedAsync();
        await SweepAsync(TimeSpan.FromMinutes(50));
        AssertNoneIsMarked(await ReadHealthyAsync());

        // One of a wrong clock may be due an hour later for each hour that the clock was ahead.
        var day = TimeSpan.FromHours(24) + TimeSpan.FromTicks(_schedule.Faults.OfType<FleetFault.WrongClock>().Sum(clock => Math.Max(0, clock.By.Ticks)));
        await SweepAsync(day, s_tenMinutes);
        foreach (var site in await ReadHealthyAsync())
        {
            Assert.True(
                (site.RefreshTokenState, site.CurrentGrant) == (RefreshTokenState.Ok, Grant.RefreshToken),
                $"{site.Id} has no token by its own refresh token a day later: {site.CurrentGrant}, {site.RefreshTokenState}, {site.Failures}.");
        }

        if (_diedAt.Count > 0)
        {
            await SweepAsync(MarkedWithin + _troubled - day, s_tenMinutes);
        }

        if (_schedule.HasOnlyDeaths)
        {
            Assert.DoesNotContain(_core.Logs.All, line => line.Level == LogLevel.Critical);
        }
    }

    private TimeSpan MarkedWithin => _sites.Count <= RejectionPolicy.TooFewSites ? s_markedByTimeWithin : s_markedWithin;

    private void Start(bool withWrongKey = false, TimeSpan offset = default)
    {
        var logs = _core?.Logs;
        _core?.Dispose();
        var key = withWrongKey ? RandomNumberGenerator.GetBytes(Core.Key.Length) : Core.Key;
        _core = new Core(
            _store,
            new FakeTimeProvider(_now + offset),
            settings:
            [
                ("Wix__ClientCredentialsFallback", _schedule.Fallback ? "true" : "false"),
                ("Tokens__IdleAfter", _schedule.KeepsWarm ? "00:00:00" : "01:00:00"),
                ("Tokens__ProtectionKey", Convert.ToBase64String(key)),
            ]);
        _core.Wix.Answer = _wix.AnswerAsync;
        if (_schedule.HasOnlyDeaths && logs is not null)
        {
            Assert.DoesNotContain(logs.All, line => line.Level == LogLevel.Critical);
        }
    }

    private async Task InstallAsync()
    {
        for (var number = 0; number < _schedule.Sites; number++)
        {
            _sites.Add(Core.NewId());
            await _core.InstallAsync(_sites[^1], refresh: _wix.Install(_sites[^1]));
        }
    }

    private async Task SufferAsync(FleetFault fault)
    {
        switch (fault)
        {
            case FleetFault.Outage outage:
                _wix.Outage = outage;
                await SweepInTroubleAsync(outage.Duration);
                _wix.Outage = null;
                break;
            case FleetFault.WrongKey wrong:
                Start(withWrongKey: true);
                await SweepInTroubleAsync(wrong.Duration);
                Start();
                break;
            case FleetFault.WrongClock wrong:
                Start(offset: wrong.By);
                await SweepInTroubleAsync(wrong.Duration);

                // What a clock that was ahead has written counts from its time on.
                _troubled += wrong.By.Duration();
                Start();
                break;
            case FleetFault.Deaths deaths:
                foreach (var site in _sites.Where(site => !_diedAt.ContainsKey(site) && _random.Next(100) < deaths.Percent))
                {
                    _diedAt[site] = _now;
                    _wix.Kill(site);
                }

                break;
            case FleetFault.Restart:
                Start();
                break;
            case FleetFault.Nothing nothing:
                await SweepAsync(nothing.Duration);
                break;
        }
    }

    private async Task SweepInTroubleAsync(TimeSpan during)
    {
        _troubled += during;
        await SweepAsync(during);
    }

    private async Task SweepAsync(TimeSpan during, TimeSpan? step = null)
    {
        var each = step ?? s_minute;
        for (var passed = TimeSpan.Zero; passed < during; passed += each)
        {
            var before = _core.Clock.GetUtcNow();
            _core.Clock.Advance(each);
            _now += each;
            await RunAsync(_core.Sweep.RunAsync(CancellationToken.None));
            for (var caller = 0; caller < 3; caller++)
            {
                await RunAsync(_core.GetAsync(_sites[_random.Next(_sites.Count)]));
            }

            await RunAsync(RestAsync());

            // What was waited for above is time that has passed too.
            _now += _core.Clock.GetUtcNow() - before - each;
            if (_sites.Count <= FewSites || _sweeps++ % BetweenLooks == 0)
            {
                await AssertAsync();
            }
        }

        await AssertAsync();
    }

    private async Task<bool> RestAsync()
    {
        await _core.Background.WhenIdleAsync(CancellationToken.None);
        return true;
    }

    // Retries and limits wait for the clock; as long as nothing fails nothing does.
    private Task<T> RunAsync<T>(Task<T> work) => _core.Clock.RunAsync(work, TimeSpan.FromMilliseconds(500));

    private async Task AssertAsync()
    {
        foreach (var id in _sites)
        {
            var instance = await _core.ReadAsync(id);
            if (_diedAt.TryGetValue(id, out var diedAt))
            {
                Assert.True(
                    instance.Status == InstanceStatus.ReinstallRequired || _now <= diedAt + MarkedWithin + _troubled,
                    $"{id} is dead for {_now - diedAt} and not marked: {instance.CountedRejections}, {instance.Failures}.");
                continue;
            }

            Assert.True(await RefreshTokenOfAsync(instance) == _wix.RefreshTokenOf(id), $"The refresh token of {id} that Wix would take is not in its row.");
            if (instance.Status != InstanceStatus.Active)
            {
                Assert.True(instance.Status == InstanceStatus.ReinstallRequired && _schedule.RejectsAtRandom, $"{id} is healthy and {instance.Status}.");
                _wronglyMarked.Add(id);
            }
        }
    }

    // With the right key, whatever key the process has.
    private async Task<string?> RefreshTokenOfAsync(Instance instance) => instance.RefreshToken is { } text
        ? (await s_protector.UnprotectRefreshTokenAsync(instance.Id, instance.RefreshTokenGeneration ?? instance.Generation, text, CancellationToken.None))?.Reveal()
        : null;

    private async Task AssertServedAsync()
    {
        foreach (var id in _sites.Where(id => !_diedAt.ContainsKey(id)))
        {
            var result = await RunAsync(_core.GetAsync(id));
            Assert.True(
                result is TokenResult.Token { AccessToken: var token } && _wix.IsAlive(token.Reveal()),
                $"{id} is not served ten minutes after the end: {(result is TokenResult.Token ? "a dead token" : result)}, {(await _core.ReadAsync(id)).Failures}.");
        }
    }

    private async Task<List<Instance>> ReadHealthyAsync()
    {
        List<Instance> instances = [];
        foreach (var id in _sites.Where(id => !_diedAt.ContainsKey(id)))
        {
            instances.Add(await _core.ReadAsync(id));
        }

        return instances;
    }

    private static void AssertNoneIsMarked(List<Instance> healthy) =>
        Assert.All(healthy, site => Assert.True(site.Status == InstanceStatus.Active, $"{site.Id} is still {site.Status} an hour after the end."));
}
