using System.Net;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Maintenance;
using WixOAuth.Tokens;
using WixOAuth.Wix;
using Xunit.Abstractions;

namespace WixOAuth.Functions.Tests.Wix;

/// <summary>What an outage of Wix costs it in calls, and how soon a fleet is back to normal.</summary>
public sealed class OutageTests(ITestOutputHelper output) : IDisposable
{
    private const int Sites = 1_000;
    private readonly Fleet _fleet = new();

    public void Dispose() => _fleet.Dispose();

    [Theory]
    [InlineData("429", 0)]
    [InlineData("429", 5)]
    [InlineData("503", 5)]
    [InlineData("page", 5)]
    [InlineData("no connection", 5)]
    public async Task Ten_minutes_of_an_outage_cost_a_hundred_calls_at_most_for_a_thousand_due_sites(string outage, int callers)
    {
        await _fleet.InstallAsync(Sites);
        _fleet.Core.Wix.Answer = (_, _, _) => outage switch
        {
            "429" => Task.FromResult(StubWix.Status(429)),
            "503" => Task.FromResult(StubWix.Status(503)),
            "page" => Task.FromResult(StubWix.Json(HttpStatusCode.Forbidden, "<html>Blocked</html>")),
            _ => throw new HttpRequestException(HttpRequestError.ConnectionError, "refused"),
        };

        await _fleet.RunAsync(TimeSpan.FromMinutes(10), callers);
        var calls = _fleet.Core.Wix.Calls.Count;
        output.WriteLine($"{outage}, {callers} callers a second: {calls} calls to Wix");
        Assert.InRange(calls, 20, 100);
        Assert.True(_fleet.Core.Circuit.IsOpen);
        Assert.All(
            _fleet.Answers.OfType<TokenResult.WixUnavailable>(),
            answer => Assert.InRange(answer.RetryAfter, TimeSpan.Zero, TimeSpan.FromMinutes(2) * 1.25));
        Assert.True(
            _fleet.Answers.Count(answer => answer is TokenResult.WixUnavailable { RetryAfter: var wait } && wait <= WixCircuit.ProbeInterval)
            >= _fleet.Answers.Count * 0.8);

        await AssertBackToNormalAsync(callers);
    }

    [Fact]
    public async Task A_429_at_the_start_of_a_sweep_finds_eight_calls_in_flight_at_most()
    {
        await _fleet.InstallAsync(150);
        var gate = new TaskCompletionSource();
        _fleet.Core.Wix.Answer = async (_, _, _) =>
        {
            await gate.Task;
            return StubWix.Status(429);
        };

        var sweep = _fleet.Core.Begin(() => _fleet.Core.Sweep.RunAsync(CancellationToken.None));
        await SingleThreadSynchronizationContext.SettleAsync(() => false);
        Assert.Equal(SweepPace.First, _fleet.Core.Wix.Calls.Count);

        gate.SetResult();
        await _fleet.Core.Clock.RunAsync(sweep, TimeSpan.FromSeconds(1));

        Assert.InRange(_fleet.Core.Wix.Calls.Count, SweepPace.First, SweepPace.First + 5);
    }

    [Fact]
    public async Task A_sweep_doubles_the_calls_at_a_time_while_all_is_well_up_to_the_setting()
    {
        await _fleet.InstallAsync(Sites);
        var (inFlight, most) = (0, new List<int>());
        _fleet.Core.Wix.Answer = async (_, _, cancellationToken) =>
        {
            most.Add(++inFlight);
            await Task.Delay(TimeSpan.FromMilliseconds(200), _fleet.Core.Clock, cancellationToken);
            inFlight--;
            return StubWix.Tokens("next");
        };

        var summary = await _fleet.Core.RunAsync(() => _fleet.Core.Sweep.RunAsync(CancellationToken.None), TimeSpan.FromMilliseconds(100));

        Assert.Equal(Sites, summary.Refreshed);
        Assert.Equal(_fleet.Core.Settings.Tokens.RefreshConcurrency, most.Max());
        Assert.Equal(SweepPace.First, most.Take(SweepPace.First + 1).Max());
    }

    [Fact]
    public async Task Retry_After_of_one_answer_keeps_a_site_from_the_sweep_for_a_minute_at_most()
    {
        await _fleet.InstallAsync(1);
        _fleet.Core.Wix.Answer = (_, _, _) => Task.FromResult(_fleet.Core.Wix.Calls.Count == 1 ? StubWix.Status(429, "3600") : StubWix.Tokens("next"));

        await _fleet.RunAsync(TimeSpan.FromMinutes(2), callers: 0);

        Assert.Equal(2, _fleet.Core.Wix.Calls.Count);
        Assert.Equal(0, await _fleet.CountWithoutTokenAsync());
    }

    private async Task AssertBackToNormalAsync(int callers)
    {
        _fleet.Core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("next"));
        await _fleet.RunAsync(TimeSpan.FromMinutes(5), callers);

        Assert.Equal(0, await _fleet.CountWithoutTokenAsync());
        Assert.False(_fleet.Core.Circuit.IsOpen);
    }
}
