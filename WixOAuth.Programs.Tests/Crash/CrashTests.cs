using WixOAuth.Crash;
using WixOAuth.PretendWix;
using WixOAuth.Processes;
using Site = WixOAuth.Crash.Site;

namespace WixOAuth.Programs.Tests.Crash;

/// <summary>
/// Real processes on one Azurite, killed: a short run of <c>bench/crash</c>. The limits of time are there to find a
/// hang, not to measure.
/// </summary>
public sealed class CrashTests
{
    private static readonly TimeSpan s_hang = TimeSpan.FromMinutes(7);

    [Fact]
    public async Task A_kill_at_any_step_loses_nothing_and_blocks_no_caller()
    {
        using var patience = new CancellationTokenSource(s_hang, TimeProvider.System);
        var report = await CrashRun.RunAsync(
            new CrashOptions
            {
                RandomKills = 3,
                StepRounds = 1,
                IsShort = true,
                Outages = 1,
                Processes = 3,
                Sites = 12,
                WishesPerSecond = 20,
                Lifetime = (60, 120),
                BusyPart = 0,
                WrongKeyPart = 0.1,
                WrongKeyTime = (1, 3),
                Storms = 1,
                Lives = 6,
                ChangesPerSecond = 2,
                Tolerance = new Tolerance(Slack: TimeSpan.FromMinutes(2), Blink: TimeSpan.FromSeconds(20)),
            },
            say: _ => { },
            patience.Token);

        Assert.Empty(report.Findings.Violations);
        Assert.All(report.Steps, step => Assert.Equal(step.Rounds, step.Kills));

        // Shows that there was something to lose.
        Assert.NotEqual(0, report.Findings.LeftLeases);
        Assert.NotEqual(0, report.Findings.UnsavedTokens);
        Assert.Contains(report.History.Asks, ask => ask.Status == 200);
        Assert.Contains(report.History.Arrivals, arrival => arrival.IsAccepted);
    }

    [Fact]
    public async Task Three_hundred_callers_of_three_processes_on_a_stale_site_cause_one_refresh()
    {
        const int Callers = 300;
        using var patience = new CancellationTokenSource(s_hang, TimeProvider.System);
        await using var around = await Surroundings.StartAsync(patience.Token);
        var (journal, traps, table) = (new Journal(), new Traps(), Surroundings.NewTableName());
        await using var wix = await FakeWix.StartAsync(journal, traps, patience.Token);
        wix.Lifetime = (300, 301);
        var site = new Site(Guid.NewGuid(), Rotation.Strict);
        var seeder = new Seeder(around.Table(table), around.Protector);
        await seeder.CreateTableAsync(patience.Token);
        await seeder.AddStaleAsync([new PretendSeed(site.Id, wix.Install(site))], patience.Token);
        await using var fleet = new Fleet(around, wix, new StorageWatch(journal, traps, around.Protector), journal, table, size: 3, patience.Token);
        await fleet.StartAsync();
        using var callers = new Callers(fleet, journal);
        var nodes = fleet.Living;

        var asked = await Task.WhenAll(Enumerable.Range(0, Callers).Select(i =>
            callers.AskAsync(nodes[i % nodes.Count], site.Id, TimeSpan.FromSeconds(30), rejected: null, patience.Token)));

        var history = journal.Close([], [], wix.GoodTokens());
        var call = Assert.Single(history.Calls);
        Assert.Equal(WixOutcome.Accepted, call.Outcome);
        Assert.All(asked, answer => Assert.Equal((200, call.AccessToken), (answer.Ask.Status, answer.Ask.AccessToken)));
        Assert.Equal(nodes.Count, asked.Select(answer => answer.Ask.Node).Distinct().Count());

        // And the others did not even try: one lease, one commit.
        Assert.Single(history.Writes, write => write is { Kind: WriteKind.Lease, Landed: true });
        Assert.Single(history.Writes, write => write is { Kind: WriteKind.Commit, Landed: true });
    }
}
