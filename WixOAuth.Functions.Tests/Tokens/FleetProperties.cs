using CsCheck;
using WixOAuth.Functions.Tests.Support;
using Xunit.Abstractions;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>
/// Random schedules of partial outages, wrong protection keys, wrong clocks, dead sites and restarts over fleets of 1 to
/// 1,000 sites; <see cref="FleetWorld"/> says what has to hold. A failure shows its seed and its schedule.
/// </summary>
/// <remarks>WIXOAUTH_TEST_ROUNDS multiplies the number of runs.</remarks>
public sealed class FleetProperties(ITestOutputHelper output)
{
    [Theory]
    [InlineData(1, 3, 3)]
    [InlineData(4, 25, 8)]
    [InlineData(50, 150, 2)]
    [InlineData(800, 1_000, 1)]
    public async Task No_schedule_of_faults_loses_a_refresh_token_or_leaves_a_site_unserved(int fewest, int most, int runs)
    {
        var (sites, wronglyMarked) = (0, 0);
        await FleetSchedule.Of(fewest, most).SampleAsync(
            async schedule =>
            {
                var startedAt = TimeProvider.System.GetTimestamp();
                using var world = new FleetWorld(schedule);
                await world.RunAsync();
                sites += schedule.Sites;
                wronglyMarked += world.WronglyMarked;
                output.WriteLine($"{schedule} ({TimeProvider.System.GetElapsedTime(startedAt).TotalSeconds:F1} s, {world.WronglyMarked} marked wrongly)");
            },
            iter: runs * Rounds.Factor,
            threads: 1);

        Assert.True(wronglyMarked <= Math.Ceiling(sites / 1_000.0), $"{wronglyMarked} healthy sites of {sites} were marked.");
    }
}
