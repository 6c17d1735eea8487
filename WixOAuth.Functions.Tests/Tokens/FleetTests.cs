using System.Net;
using System.Text;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>Fleets over simulated hours and days, by the product's own classes: outages of every kind, dead sites, restarts.</summary>
public sealed class FleetTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly TimeSpan s_minute = TimeSpan.FromMinutes(1);

    private readonly MemoryInstanceStore _store = new();
    private readonly List<(InstanceId Id, string RefreshToken)> _sites = [];
    private readonly HashSet<string> _dead = [];
    private Core _core = null!;
    private Random _random = new(0);

    // Whether a sweep waits for the clock, as it does where it retries.
    private bool _waits;

    // The time before the latest sweep: a sweep that waits lets time pass, also after the last site's refresh.
    private DateTimeOffset _sweptAt;

    // What Wix answers to a request of a healthy site; null grants it.
    private Func<string, HttpResponseMessage?> _outage = _ => null;

    public void Dispose() => _core?.Dispose();

    /// <summary>Schedules of partial outages: which share of the requests, how answered, on which endpoints, for how long.</summary>
    public static TheoryData<int, int, string, bool, int, bool> Outages => new()
    {
        { 1, 10, "json", true, 60, false },
        { 4, 30, "json", true, 120, false },
        { 25, 30, "json", false, 120, true },
        { 25, 90, "json", true, 90, false },
        { 25, 100, "json", true, 60, false },
        { 25, 100, "json", false, 60, true },
        { 25, 100, "html", true, 60, true },
        { 25, 50, "json", true, 150, false },
        { 300, 30, "json", true, 20, false },
        { 25, 100, "429", true, 10, false },
        { 25, 50, "500", true, 60, true },
    };

    [Theory]
    [MemberData(nameof(Outages))]
    public async Task No_outage_loses_a_refresh_token_or_marks_a_healthy_site_and_all_are_served_soon_after(
        int sites, int percent, string answer, bool everyEndpoint, int minutes, bool fallback)
    {
        _waits = answer != "json";
        _random = new Random((sites * 1_000) + percent + minutes);
        Start(fallback);
        await InstallAsync(sites);
        await SweepAsync(TimeSpan.FromMinutes(10));

        _outage = path => (everyEndpoint || path == "/oauth/access") && _random.Next(100) < percent ? Refusal(answer) : null;
        for (var part = 0; part < 4; part++)
        {
            await SweepAsync(TimeSpan.FromMinutes(minutes / 4.0), async () => Assert.All(await ReadAsync(), site => Assert.Equal(InstanceStatus.Active, site.Status)));
            if (part == 1)
            {
                Start(fallback);
            }
        }

        await AssertKeptAsync();
        _outage = _ => null;
        await SweepAsync(TimeSpan.FromMinutes(10));
        Assert.All(await ReadAsync(), site => Assert.True(site.AccessTokenExpiresOn > _sweptAt, "It is not served."));

        await SweepAsync(TimeSpan.FromHours(24), step: TimeSpan.FromMinutes(10));
        Assert.All(await ReadAsync(), site => Assert.Equal((RefreshTokenState.Ok, Grant.RefreshToken), (site.RefreshTokenState, site.CurrentGrant)));
        await AssertKeptAsync();
    }

    [Fact]
    public async Task Rejecting_three_tenths_of_the_sites_for_20_minutes_marks_none()
    {
        Start(fallback: true);
        await InstallAsync(300);
        await SweepAsync(TimeSpan.FromMinutes(10));

        Kill(90);
        await SweepAsync(TimeSpan.FromMinutes(20));
        Assert.All(await ReadAsync(), site => Assert.Equal(InstanceStatus.Active, site.Status));

        _dead.Clear();
        await SweepAsync(TimeSpan.FromMinutes(10));
        Assert.All(await ReadAsync(), site => Assert.True(site.AccessTokenExpiresOn > _sweptAt, "It is not served."));
        await AssertKeptAsync();
    }

    [Theory]
    [InlineData(200, 10)]
    [InlineData(5, 4)]
    public async Task Dead_sites_among_idle_ones_are_all_marked_within_27_hours_without_a_critical_line(int sites, int dead)
    {
        Start(fallback: true, idleAfter: "01:00:00");
        await InstallAsync(sites);
        await SweepAsync(TimeSpan.FromHours(26), step: TimeSpan.FromMinutes(2));

        Kill(dead);
        await SweepAsync(TimeSpan.FromHours(27), step: s_minute);

        foreach (var (id, refreshToken) in _sites)
        {
            Assert.Equal(_dead.Contains(refreshToken) ? InstanceStatus.ReinstallRequired : InstanceStatus.Active, (await _core.ReadAsync(id)).Status);
        }

        Assert.DoesNotContain(_core.Logs.All, line => line.Level == LogLevel.Critical);
        await AssertKeptAsync();
    }

    [Fact]
    public async Task Marked_sites_have_no_say_about_the_app_secret()
    {
        const int Marked = 300;
        Start(fallback: true, idleAfter: "01:00:00");
        await InstallAsync(Marked + 100);
        Kill(Marked);
        var now = _core.Clock.GetUtcNow();
        foreach (var (id, _) in _sites.Take(Marked))
        {
            await MarkAsync(id, now);
        }

        await SweepAsync(TimeSpan.FromHours(24));

        Assert.Equal(
            [.. Enumerable.Repeat(InstanceStatus.ReinstallRequired, Marked), .. Enumerable.Repeat(InstanceStatus.Active, 100)],
            (await ReadAsync()).Select(site => site.Status));
        Assert.DoesNotContain(_core.Logs.All, line => line.Level == LogLevel.Critical);
        Assert.True(_core.Wix.CallsTo("/oauth2/token") >= Marked * 2, "The marked ones were not tried.");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task In_a_table_of_three_or_fewer_time_alone_marks_a_dead_site(int sites)
    {
        Start(fallback: true);
        await InstallAsync(sites);
        Kill(1);

        await SweepAsync(TimeSpan.FromHours(47));
        Assert.Equal(InstanceStatus.Active, (await _core.ReadAsync(_sites[0].Id)).Status);
        await SweepAsync(TimeSpan.FromHours(3));
        Assert.Equal(InstanceStatus.ReinstallRequired, (await _core.ReadAsync(_sites[0].Id)).Status);
    }

    [Fact]
    public async Task The_last_active_sites_beside_a_marked_one_are_marked_by_time_and_not_suspect_for_ever()
    {
        Start(fallback: true);
        await InstallAsync(4);
        Kill(4);
        await MarkAsync(_sites[0].Id, _core.Clock.GetUtcNow());

        await SweepAsync(TimeSpan.FromHours(47));
        Assert.Equal(3, (await ReadAsync()).Count(site => site.Status == InstanceStatus.Active));
        await SweepAsync(TimeSpan.FromHours(5));

        Assert.All(await ReadAsync(), site => Assert.Equal(InstanceStatus.ReinstallRequired, site.Status));
        Assert.False(_core.Ledger.IsSuspect);
        Assert.DoesNotContain(_core.Logs.All, line => line.Level == LogLevel.Critical);
        await AssertKeptAsync();
    }

    [Fact]
    public async Task An_hour_of_rejections_for_all_costs_few_calls_and_one_critical_line()
    {
        Start(fallback: true);
        await InstallAsync(1_000);
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        _outage = _ => Refusal("json");
        await SweepAsync(TimeSpan.FromHours(1));

        Assert.InRange(_core.Wix.Calls.Count, 1, 300);
        Assert.Single(_core.Logs.All, line => line.Level == LogLevel.Critical);

        _outage = _ => null;
        await SweepAsync(TimeSpan.FromMinutes(5));
        Assert.All(await ReadAsync(), site => Assert.True(site.AccessTokenExpiresOn > _core.Clock.GetUtcNow()));
    }

    private void Start(bool fallback, string idleAfter = "00:00:00")
    {
        var clock = _core?.Clock;
        _core?.Dispose();
        _core = new Core(_store, clock, settings: [("Wix__ClientCredentialsFallback", fallback ? "true" : "false"), ("Tokens__IdleAfter", idleAfter)]);

        // Only a request for tokens has a body; the other one asks for the site, once a day.
        _core.Wix.Answer = (path, body, _) => Task.FromResult(
            body is { } request ? Answer(path, request) : StubWix.Json(HttpStatusCode.OK, """{"site":{"siteId":"a-site"}}"""));
    }

    private HttpResponseMessage Answer(string path, System.Text.Json.JsonElement body)
    {
        var refreshToken = path == "/oauth/access"
            ? body.GetProperty("refresh_token").GetString()!
            : _sites.Single(site => site.Id.ToString() == body.GetProperty("instance_id").GetString()).RefreshToken;
        lock (_random)
        {
            return _dead.Contains(refreshToken) ? Refusal("json")
                : _outage(path) ?? StubWix.Tokens("access", expiresIn: path == "/oauth2/token" ? 14_400 : 300);
        }
    }

    private static HttpResponseMessage Refusal(string answer) => answer switch
    {
        "json" => StubWix.Status(403),
        "html" => new HttpResponseMessage(HttpStatusCode.Forbidden) { Content = new StringContent("<html></html>", Encoding.UTF8, "text/html") },
        _ => StubWix.Status(int.Parse(answer, System.Globalization.CultureInfo.InvariantCulture)),
    };

    private async Task InstallAsync(int sites)
    {
        for (var number = 0; number < sites; number++)
        {
            _sites.Add((Core.NewId(), $"refresh-{number}"));
            await _core.InstallAsync(_sites[^1].Id, refresh: _sites[^1].RefreshToken);
        }
    }

    private async Task MarkAsync(InstanceId id, DateTimeOffset now)
    {
        var stored = (await _store.FindAsync(id, None))!;
        var marked = stored.Instance.Failed(TokenError.Rejected, null, now, now).Marked(now);
        await _store.TryWriteAsync(stored, marked with { DueAt = _core.Schedule.DueAt(marked, now) }, None);
    }

    private void Kill(int count) => _sites.Take(count).ToList().ForEach(site => _dead.Add(site.RefreshToken));

    private async Task<List<Instance>> ReadAsync()
    {
        List<Instance> instances = [];
        foreach (var (id, _) in _sites)
        {
            instances.Add(await _core.ReadAsync(id));
        }

        return instances;
    }

    private async Task AssertKeptAsync()
    {
        foreach (var (id, refreshToken) in _sites)
        {
            Assert.Equal(refreshToken, await _core.RefreshTokenOfAsync(id));
        }
    }

    private async Task SweepAsync(TimeSpan during, Func<Task>? check = null, TimeSpan? step = null)
    {
        for (var passed = TimeSpan.Zero; passed < during; passed += step ?? s_minute)
        {
            _core.Clock.Advance(step ?? s_minute);
            _sweptAt = _core.Clock.GetUtcNow();
            var sweep = _core.Sweep.RunAsync(None);
            await (_waits ? _core.Clock.RunAsync(sweep) : sweep.WaitAsync(SingleThreadSynchronizationContext.Patience));
            await _core.Background.WhenIdleAsync(None);
            if (check is not null)
            {
                await check();
            }
        }
    }
}
