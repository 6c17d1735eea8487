using Xunit.Abstractions;

namespace WixOAuth.Programs.Tests.Scale;

/// <summary>
/// Random schedules of outages, wrong protection keys, wrong clocks, dead sites, new consents and restarts over fleets of
/// 1 to 1,000 sites, by the service's own classes on simulated time: a short run of <c>bench/fleets</c>, whose FleetRule
/// says what must hold. A failure names the rule, and shows the schedule and how to run it again.
/// </summary>
/// <remarks>
/// Every schedule has one fault of each kind, but for each fourth seed, where sites only die. WIXOAUTH_TEST_ROUNDS
/// multiplies the number of runs.
/// </remarks>
public sealed class FleetProperties(ITestOutputHelper output)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(7) * Rounds.Factor;

    [Theory]
    [InlineData("1-3", 4)]
    [InlineData("4-40", 4)]
    [InlineData("41-200", 2)]
    [InlineData("800-1000", 1)]
    public async Task No_schedule_of_faults_loses_a_refresh_token_or_leaves_a_site_unserved(string sites, int runs)
    {
        var (exitCode, lines, errors) = await RunAsync("--sites", sites, "--runs", $"{runs * Rounds.Factor}");

        output.WriteLine(lines);
        Assert.True(exitCode == 0, lines + errors);
    }

    [Fact]
    public async Task A_seed_gives_the_same_run()
    {
        string[] run = ["--sites", "1-3", "--seed", "2"];

        var (_, output, _) = await RunAsync(run);

        Assert.Contains("Digest", output, StringComparison.Ordinal);
        Assert.Equal(output, (await RunAsync(run)).Output);
    }

    private static Task<(int ExitCode, string Output, string Errors)> RunAsync(params IEnumerable<string> arguments) =>
        Simulation.RunAsync("WixOAuth.Fleets", s_patience, arguments);
}
