using System.Text.Json;

namespace WixOAuth.Programs.Tests.Scale;

/// <summary>
/// The simulator of bench/scale in worlds so small that its counts can be worked out by hand.
/// </summary>
public sealed class SimulatorTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(7);

    // Tokens live 5 minutes and are due after 3 and a bit, so a sweep each minute refreshes a warm site with every fourth
    // tick: 30 times in 2 hours. Each refresh is a read, a lease and a commit. Every 20 minutes the HTTP process finds its
    // memory outlived and reads the row, once. It notes a use at most every half hour, so with every second call, 3 times
    // in 2 hours; as often a sweep finds the use in the row older than an hour, and reads the newer one. The sites are refreshed with
    // ticks of their own or with each other's; each sweep that refreshed any saves that for the operators' page, and each one
    // saves how the service stands, for which all instances are counted, 16 shards, when 10 minutes have passed since the
    // last count was done: by the tenth tick, or by the eleventh where its sweep was the longer one, so 10 to 12 times.
    [Fact]
    public async Task Sites_called_every_20_minutes_are_counted_as_worked_out_by_hand()
    {
        const int Sites = 3;
        var counted = await SimulateAsync("--sites", "3", "--hours", "2", "--call-every", "00:20:00");
        Assert.Equal(
            [
                ("Sweeps", 120), ("DueQueries", 120 * 16), ("GetTokens", Sites * 6), ("AskedStorage", Sites * 6), ("WaitedForWix", 0), ("Refused", 0),
                ("WixCalls", Sites * 30), ("Reads", Sites * (30 + 6)), ("Leases", Sites * 30), ("Commits", Sites * 30),
                ("LastUseWrites", Sites * 3), ("LastUseReads", Sites * 3), ("CutOff", 0),
                ("Transactions", 1_920 + counted["CountingReads"] + (Sites * (36 + 30 + 30 + 3 + 3)) + counted["OtherWrites"]),
            ],
            Of(counted, "Sweeps", "DueQueries", "GetTokens", "AskedStorage", "WaitedForWix", "Refused", "WixCalls", "Reads", "Leases", "Commits", "LastUseWrites", "LastUseReads", "CutOff", "Transactions"));
        Assert.Contains(counted["CountingReads"] / 16, new double[] { 10, 11, 12 });
        Assert.InRange(counted["SiteCalls"], 0, Sites);
        Assert.InRange(counted["OtherWrites"], 120 + 30 + counted["SiteCalls"], 120 + (Sites * 30) + counted["SiteCalls"]);
    }

    // One call, half a minute past the hour, to a site that was idle: its caller waits for Wix, one read, lease and commit.
    // It is warm then until an hour has passed: refreshed with ticks 4, 8, … 60. At tick 64 it looks idle, which the row
    // of its last use confirms, and it is put off until its daily check. The 15 sweeps and the process that was called save what they did, and each of the 360 how the service stands.
    [Fact]
    public async Task A_single_call_keeps_a_site_warm_for_an_hour()
    {
        var counted = await SimulateAsync("--sites", "1", "--hours", "6", "--call-every", "06:00:00");
        Assert.Equal(
            [
                ("GetTokens", 1), ("WaitedForWix", 1), ("WixCalls", 1 + 15), ("Reads", 1 + 15 + 1), ("Leases", 1 + 15), ("Commits", 1 + 15),
                ("OtherWrites", 360 + 1 + 15 + 1), ("LastUseWrites", 1), ("LastUseReads", 1), ("DueQueries", 360 * 16),
            ],
            Of(counted, "GetTokens", "WaitedForWix", "WixCalls", "Reads", "Leases", "Commits", "OtherWrites", "LastUseWrites", "LastUseReads", "DueQueries"));
    }

    // Checked every 0.9 to 1 day: once or twice in a day.
    [Fact]
    public async Task Unused_sites_are_checked_once_a_day()
    {
        var counted = await SimulateAsync("--sites", "20", "--hours", "24", "--call-every", "00:00:00");
        Assert.InRange(counted["WixCalls"], 20, 40);
        Assert.All(Of(counted, "Reads", "LastUseReads", "Leases", "Commits"), figure => Assert.Equal(counted["WixCalls"], figure.Figure));
        Assert.Equal([("LastUseWrites", 0), ("DueQueries", 1_440 * 16)], Of(counted, "LastUseWrites", "DueQueries"));
        Assert.InRange(counted["OtherWrites"], 1_440 + 1, 1_440 + counted["WixCalls"]);
    }

    [Fact]
    public async Task A_run_can_be_repeated()
    {
        string[] run = ["--sites", "300", "--hours", "1", "--seed", "7"];
        Assert.Equal(await SimulateAsync(run), await SimulateAsync(run));
    }

    private static (string Name, double Figure)[] Of(Dictionary<string, double> counted, params string[] names) =>
        [.. names.Select(name => (name, counted[name]))];

    private static async Task<Dictionary<string, double>> SimulateAsync(params string[] arguments)
    {
        var (exitCode, output, errors) = await Simulation.RunAsync("WixOAuth.Scale", s_patience, ["--json", .. arguments]);
        Assert.True(exitCode == 0, errors);
        return JsonSerializer.Deserialize<Dictionary<string, double>>(output)!;
    }
}
