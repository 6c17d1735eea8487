using System.Net;
using System.Net.Http.Json;
using System.Threading.Channels;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Functions;
using WixOAuth.Local;

namespace WixOAuth.Programs.Tests.Local;

public sealed class TimerServiceTests
{
    private readonly TimerLog _log = new();
    private readonly ArmedTime _time = new(new DateTimeOffset(2026, 1, 1, 12, 0, 3, TimeSpan.Zero));

    [Fact]
    public async Task A_timer_fires_when_its_schedule_says_and_again_after_that()
    {
        await using var host = await StartAsync();
        await _time.WaitUntilArmedAsync();
        _time.Advance(TimeSpan.FromSeconds(6.9));
        Assert.Equal(0, _log.Started);

        _time.Advance(TimeSpan.FromSeconds(0.2));
        await _log.WaitForStartAsync();
        _log.LetEnd();
        await _time.WaitUntilArmedAsync();
        Assert.Equal(1, _log.Started);

        _time.Advance(TimeSpan.FromSeconds(10));
        await _log.WaitForStartAsync();
        Assert.Equal(2, _log.Started);
    }

    [Fact]
    public async Task A_timer_that_throws_runs_again()
    {
        _log.Throws = true;
        await using var host = await StartAsync();
        for (var run = 1; run <= 2; run++)
        {
            await _time.WaitUntilArmedAsync();
            _time.Advance(TimeSpan.FromSeconds(10));
            await _log.WaitForStartAsync();
            _log.LetEnd();
        }

        Assert.Equal(2, _log.Started);
    }

    [Fact]
    public async Task A_run_longer_than_its_interval_does_not_overlap_the_next()
    {
        await using var host = await StartAsync();
        await _time.WaitUntilArmedAsync();
        _time.Advance(TimeSpan.FromSeconds(10));
        await _log.WaitForStartAsync();

        _time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(HttpStatusCode.Accepted, await FireAsync(host, "Tick"));
        Assert.Equal(HttpStatusCode.Accepted, await FireAsync(host, "Tick"));
        Assert.Equal(1, _log.Started);

        _log.LetEnd();
        await _log.WaitForStartAsync();
        _log.LetEnd();
        await _log.WaitForStartAsync();
        Assert.Equal(3, _log.Started);
        Assert.Equal(1, _log.MostAtATime);
    }

    [Fact]
    public async Task Disabled_timers_do_not_fire_by_themselves_but_when_asked()
    {
        await using var host = await StartAsync(("Functions__DisableTimers", "true"));
        Assert.Equal(0, _time.Armed);
        _time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(0, _log.Started);

        Assert.Equal(HttpStatusCode.Accepted, await FireAsync(host, "tick"));
        await _log.WaitForStartAsync();
        Assert.Equal(1, _log.Started);
    }

    [Fact]
    public async Task Firing_asks_for_the_key_and_a_timers_name()
    {
        await using var host = await StartAsync(("Functions__DisableTimers", "true"));
        Assert.Equal(HttpStatusCode.Unauthorized, await FireAsync(host, "Tick", "wrong"));
        Assert.Equal(HttpStatusCode.NotFound, await FireAsync(host, "Tock"));
        Assert.Equal(0, _log.Started);
    }

    [Fact]
    public async Task Stopping_cancels_a_run_and_waits_for_it()
    {
        var host = await StartAsync();
        await _time.WaitUntilArmedAsync();
        _time.Advance(TimeSpan.FromSeconds(10));
        await _log.WaitForStartAsync();

        await host.DisposeAsync();
        Assert.True(_log.Cancelled);
    }

    [Fact]
    public async Task A_bad_schedule_and_a_bad_switch_are_a_line_each()
    {
        var exception = await Assert.ThrowsAsync<OptionsValidationException>(
            () => StartAsync(("TickSchedule", "now and then"), ("Functions__DisableTimers", "maybe")));
        Assert.Collection(
            exception.Failures,
            line => Assert.StartsWith("TickSchedule should be", line, StringComparison.Ordinal),
            line => Assert.StartsWith("Functions__DisableTimers should be", line, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("0 * * * * *", "2026-01-01T12:01:00Z")]
    [InlineData("0 17 3 * * *", "2026-01-02T03:17:00Z")]
    [InlineData(" */20 0-9 12 * 1,7 Thu ", "2026-01-01T12:00:20Z")]
    [InlineData("0 0 0 29 2 *", "2028-02-29T00:00:00Z")]
    public void Schedule_of_six_fields_is_read_as_the_Functions_host_reads_it(string text, string expected)
    {
        Assert.True(Schedules.TryParse(text, out var schedule));
        Assert.Equal(DateTimeOffset.Parse(expected, System.Globalization.CultureInfo.InvariantCulture), schedule.GetNextOccurrence(_time.GetUtcNow().UtcDateTime));
    }

    [Theory]
    [InlineData("")]
    [InlineData("* * *")]
    [InlineData(null)]
    [InlineData("*/5 * * * *")]
    [InlineData("00:00:30")]
    [InlineData("0 99 * * * *")]
    [InlineData("0 0 0 L * *")]
    [InlineData("0 0 0 30 2 *")]
    public void A_text_that_is_not_a_schedule_of_six_fields_is_refused(string? text)
    {
        Assert.False(Schedules.TryParse(text, out _));
    }

    private static async Task<HttpStatusCode> FireAsync(LocalHost host, string name, string key = LocalHostFixture.Key)
    {
        using var client = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(host.Url, $"/admin/functions/{name}")) { Content = JsonContent.Create(new { }) };
        request.Headers.Add("x-functions-key", key);
        return (await client.SendAsync(request)).StatusCode;
    }

    private Task<LocalHost> StartAsync(params (string Name, string Value)[] changes)
    {
        var settings = LocalHostFixture.Settings();
        settings["Functions__DisableTimers"] = "false";
        foreach (var (name, value) in changes)
        {
            settings[name] = value;
        }

        return LocalHostFixture.StartAsync(
            typeof(SampleTimers), settings, services => services.AddSingleton(_log).AddSingleton<TimeProvider>(_time));
    }

    /// <summary>Shows when code waits for the clock, so that a test does not advance it too early.</summary>
    private sealed class ArmedTime(DateTimeOffset now) : FakeTimeProvider(now)
    {
        private readonly Channel<bool> _armed = Channel.CreateUnbounded<bool>();
        private int _count;

        public int Armed => _count;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, dueTime, period);
            Interlocked.Increment(ref _count);
            _armed.Writer.TryWrite(true);
            return timer;
        }

        public async Task WaitUntilArmedAsync() => await _armed.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromMinutes(3));
    }
}
