using WixOAuth.Crash;
using WixOAuth.Instances;

namespace WixOAuth.Programs.Tests.Crash;

/// <summary>That the check of events can fail: a life in which all is well, and the same with one thing wrong.</summary>
public sealed class EventCheckerTests
{
    private static readonly Guid s_site = Guid.Parse("11111111-2222-4333-8444-555555555502");
    private static readonly DateTimeOffset s_start = new(2026, 11, 1, 12, 0, 0, TimeSpan.Zero);

    private static readonly Dictionary<string, (string Rule, Func<History, History> Change)> s_wrongs = new()
    {
        ["an event that never arrives"] = (EventChecker.Arrived, good => good with { Arrivals = [.. good.Arrivals.Take(2)] }),
        ["an event that was never accepted"] = (EventChecker.Arrived, good => Arrival(good, 2, arrival => arrival with { IsAccepted = false })),
        ["a change without its event"] = (EventChecker.Caused, good => Write(good, 0, write => write with { Events = [] })),
        ["an event of another kind"] = (EventChecker.Caused, good => Write(good, 1, write => write with { Events = [new EventRow("2", "reconnected")] })),
        ["an event without a change"] = (EventChecker.Caused, good => good with { Arrivals = [.. good.Arrivals, good.Arrivals[2] with { Id = "3", HeaderId = "3" }] }),
        ["an event of a site that nothing was done to"] = (EventChecker.Caused, good => good with { Arrivals = [.. good.Arrivals, good.Arrivals[2] with { Site = Guid.Empty }] }),
        ["an event that overtakes another"] = (EventChecker.Ordered, good => Arrival(good, 2, arrival => arrival with { At = At(0) })),
        ["an old event after a new one"] = (EventChecker.Ordered, good => good with { Arrivals = [.. good.Arrivals, good.Arrivals[0] with { At = At(9) }] }),
        ["a copy that says something else"] = (EventChecker.Same, good => Arrival(good, 1, arrival => arrival with { Time = At(7) })),
        ["a header that says something else"] = (EventChecker.Same, good => Arrival(good, 2, arrival => arrival with { HeaderId = "9" })),
        ["a refresh token that is replaced without a cause"] = (EventChecker.Kept, good => Write(
            good, 1, write => write with { State = good.Writes[0].State with { UpdatedAt = At(2) }, RefreshToken = "refresh-9" })),
        ["a write that is lost"] = (Checker.Generation, good => good with { Last = [] }),
    };

    public static TheoryData<string, string> Wrongs()
    {
        var data = new TheoryData<string, string>();
        foreach (var (name, (rule, _)) in s_wrongs)
        {
            data.Add(name, rule);
        }

        return data;
    }

    [Fact]
    public void A_history_without_faults_breaks_no_rule() => Assert.Empty(EventChecker.Check(Good()));

    [Theory]
    [MemberData(nameof(Wrongs))]
    public void One_thing_that_is_wrong_is_found(string wrong, string rule) =>
        Assert.Contains(rule, EventChecker.Check(s_wrongs[wrong].Change(Good())).Select(violation => violation.Rule));

    private static DateTimeOffset At(double seconds) => s_start + TimeSpan.FromSeconds(seconds);

    // Imported, then removed. The receiver accepts the first event only at its second delivery.
    private static History Good()
    {
        var tokens = new ProtectedTokens(1, new("key", new byte[1]), new("key", new byte[1]), At(0), At(300));
        var imported = Instance.Imported(null, new InstanceId(s_site), new ImportedSite(null, At(-600), Revive: true, null, null), tokens, "one", At(1));
        var removed = Instance.AppRemoved(imported with { WixInstalledAt = null, ImportedAt = null }, imported.Id, At(2), sendSetupCompleted: false, At(3));
        return new History
        {
            Lives = [s_site],
            Writes =
            [
                new RowWrite(At(1), At(1), 1, WriteKind.Other, null, "1", imported, "access-1", "refresh-1", [new EventRow("1", "connected")]),
                new RowWrite(At(3), At(3), 2, WriteKind.Other, "1", "2", removed, null, null, [new EventRow("2", "removed")]),
            ],
            Arrivals =
            [
                new Arrival(At(1.5), "1", "1", s_site, "instance.connected", At(1), IsAccepted: false),
                new Arrival(At(6), "1", "1", s_site, "instance.connected", At(1), IsAccepted: true),
                new Arrival(At(7), "2", "2", s_site, "instance.removed", At(3), IsAccepted: true),
            ],
            Last = [new Row(s_site, "2", removed, null)],
        };
    }

    private static History Write(History good, int which, Func<RowWrite, RowWrite> change) =>
        good with { Writes = [.. good.Writes.Select((write, index) => index == which ? change(write) : write)] };

    private static History Arrival(History good, int which, Func<Arrival, Arrival> change) =>
        good with { Arrivals = [.. good.Arrivals.Select((arrival, index) => index == which ? change(arrival) : arrival)] };
}
