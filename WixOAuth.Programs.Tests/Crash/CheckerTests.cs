using WixOAuth.Crash;
using WixOAuth.Instances;
using WixOAuth.Tokens;
using Site = WixOAuth.Crash.Site;

namespace WixOAuth.Programs.Tests.Crash;

/// <summary>That what proves a run can fail: a history in which all is well, and the same with one thing wrong.</summary>
public sealed class CheckerTests
{
    private const int Killed = 1;
    private const int Other = 2;

    private static readonly DateTimeOffset s_start = new(2026, 11, 1, 12, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan s_lifetime = TimeSpan.FromSeconds(100);
    private static readonly Tolerance s_tolerance = new(TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(0.5));

    // Process 1 dies between Wix's answer and its commit; process 2 takes over when the lease has ended.
    private static readonly Site s_site = new(Guid.Parse("11111111-2222-4333-8444-555555555501"), Rotation.Same);
    private static readonly DateTimeOffset s_takeover = At(0) + TokenRefresher.LeaseTime + TimeSpan.FromSeconds(1);

    private delegate History Change(History good);

    /// <summary>What is changed in a good history, and the rule that it breaks.</summary>
    public static TheoryData<string, string> Wrongs()
    {
        var data = new TheoryData<string, string>();
        foreach (var (name, (rule, _)) in s_wrongs)
        {
            data.Add(name, rule);
        }

        return data;
    }

    private static readonly Dictionary<string, (string Rule, Change Change)> s_wrongs = new()
    {
        ["a generation falls"] = (Checker.Generation, good => Write(good, 2, write => write with { State = write.State with { Generation = 0 } })),
        ["a generation is left out"] = (Checker.Generation, good => Write(good, 2, write => write with { State = write.State with { Generation = 3 } })),
        ["a write without a look"] = (Checker.Generation, good => Write(good, 2, write => write with { IfMatch = null })),
        ["two writes from one version"] = (Checker.Generation, good => good with { Writes = [.. good.Writes, good.Writes[0] with { ETag = "another" }] }),
        ["a write that is lost"] = (Checker.Generation, good => good with { Last = [good.First[0] with { RefreshToken = "refresh-0" }] }),
        ["a row that is lost"] = (Checker.Generation, good => good with { Last = [] }),
        ["a lease that is taken too early"] = (Checker.Lease, good => Write(good, 1, write => write with { SentAt = At(5) })),
        ["a call without a lease"] = (Checker.OneRefresh, good => good with { Calls = [.. good.Calls, good.Calls[0] with { Node = 3, AccessToken = "access-9" }] }),
        ["a call after the lease"] = (Checker.OneRefresh, good => Call(good, 0, call => call with { ReceivedAt = s_takeover - TimeSpan.FromMilliseconds(1) })),
        ["a call after the takeover"] = (Checker.OneRefresh, good => good with { Calls = [.. good.Calls, good.Calls[0] with { ReceivedAt = s_takeover + TimeSpan.FromSeconds(1), AccessToken = "access-9" }] }),
        ["two refreshes of a generation"] = (Checker.OneRefresh, good => good with { Kills = [] }),
        ["two refreshes under one lease"] = (Checker.OneRefresh, good => good with { Calls = [good.Calls[0], good.Calls[0] with { AccessToken = "access-9" }, good.Calls[1]] }),
        ["another site's token is saved"] = (Checker.Saved, good => Write(good, 2, write => write with { AccessToken = "access-of-nobody" })),
        ["another's token is saved"] = (Checker.Saved, good => Write(good, 2, write => write with { AccessToken = "access-1" })),
        ["the old refresh token is saved"] = (Checker.Saved, good => Write(good, 2, write => write with { RefreshToken = "refresh-9" })),
        ["the grant is not saved"] = (Checker.Saved, good => Write(good, 2, write => write with { State = write.State with { Grant = Grant.ClientCredentials } })),
        ["a fallback erases the refresh token"] = (Checker.Saved, good => Write(Call(good, 1, call => call with { Grant = Grant.ClientCredentials, Issued = null, Used = null }), 2, write => write with
        {
            RefreshToken = null,
            State = write.State with { AccessTokenGrant = Grant.ClientCredentials },
        })),
        ["a saved refresh token is refused"] = (Checker.Kept, good => Call(good, 1, call => call with { Outcome = WixOutcome.Rejected })),
        ["client credentials hide a loss"] = (Checker.Kept, good => Call(good, 1, call => call with { Grant = Grant.ClientCredentials })),
        ["the refresh token is gone in the end"] = (Checker.Kept, good => good with { Last = [good.Last[0] with { RefreshToken = null }] }),
        ["an older refresh token in the end"] = (Checker.Kept, good => good with { Good = new Dictionary<Guid, string> { [s_site.Id] = "refresh-1" } }),
        ["a refresh token of a strict Wix is lost without a kill"] = (Checker.Kept, good => good with
        {
            Sites = [s_site with { Rotation = Rotation.Strict }],
            Kills = [],
            Good = new Dictionary<Guid, string> { [s_site.Id] = "refresh-1" },
        }),
        ["a token that is too short"] = (Checker.MinTtl, good => Ask(good, ask => ask with { MinTtl = TimeSpan.FromSeconds(70), ExpiresIn = TimeSpan.FromSeconds(60) })),
        ["a token that is dead"] = (Checker.MinTtl, good => Ask(good, ask => ask with { StartedAt = ask.ExpiresOn })),
        ["a token that is said to live longer"] = (Checker.MinTtl, good => Ask(good, ask => ask with { ExpiresOn = ask.ExpiresOn + TimeSpan.FromSeconds(2) })),
        ["a token of another site"] = (Checker.MinTtl, good => Ask(good, ask => ask with { Site = Guid.Empty })),
        ["a token that Wix never gave"] = (Checker.MinTtl, good => Ask(good, ask => ask with { AccessToken = "access-of-nobody" })),
        ["the token that was rejected"] = (Checker.MinTtl, good => Ask(good, ask => ask with { Rejected = ask.AccessToken, StartedAt = ask.EndedAt + TimeSpan.FromSeconds(10) })),
        ["a site that is stuck"] = (Checker.Stuck, good => good with { Wishes = [good.Wishes[0] with { ServedAt = s_takeover + TimeSpan.FromSeconds(11) }] }),
        ["a site that is stuck without a lease"] = (Checker.Stuck, good => good with { Wishes = [new Wish(s_site.Id, At(100), At(111))] }),
        ["a process that answers nothing until it is killed"] = (Checker.Stuck, good => good with { Wishes = [WishOf(At(112), Broken(At(100), At(111)), Broken(At(111), At(112)))] }),
        ["a site that is refused by one process after another"] = (Checker.Stuck, good => good with { Wishes = [WishOf(At(111), Broken(At(100), At(106)) with { Status = 503 }, Broken(At(106), At(111)) with { Status = 503 })] }),
        ["somebody who waits for ever"] = (Checker.Stuck, good => good with { Wishes = [good.Wishes[0] with { ServedAt = null }] }),
        ["a site that is marked"] = (Checker.Status, good => Write(good, 0, write => write with { State = write.State with { Status = InstanceStatus.ReinstallRequired } })),
        ["a caller who is sent away"] = (Checker.Status, good => Ask(good, ask => ask with { Status = 409 })),
        ["an answer that is none"] = (Checker.Status, good => Ask(good, ask => ask with { Status = 500 })),
        ["a wrong key that nobody hears of"] = (Checker.WrongKey, good => good with { WrongKeys = [new WrongKey(3, At(0), At(11), IsTold: false)] }),
        ["a token sealed with a wrong key"] = (Checker.WrongKey, good => Write(good with { WrongKeys = [new WrongKey(Other, At(0), At(1), IsTold: true)] }, 2, write => write with { RefreshToken = null })),
        ["a refresh token used with a wrong key"] = (Checker.WrongKey, good => good with { WrongKeys = [new WrongKey(Other, At(0), At(1), IsTold: true)] }),
        ["a line that nobody foresaw"] = (Checker.Fault, good => good with { Faults = ["TokenService[418]"] }),
    };

    [Fact]
    public void A_history_in_which_all_is_well_breaks_no_rule()
    {
        var findings = Checker.Check(Good(), s_tolerance);

        Assert.Empty(findings.Violations);
        Assert.Equal((1, 1, 0), (findings.LeftLeases, findings.UnsavedTokens, findings.LostByStrictWix));
    }

    [Fact]
    public void Time_lost_with_killed_processes_and_wrong_keys_is_no_wait_for_the_service()
    {
        var good = Good();
        var findings = Checker.Check(
            good with
            {
                Wishes = [WishOf(At(127), Broken(At(100), At(109)), Broken(At(109), At(118)) with { Node = 3, Status = 503 })],
                WrongKeys = [new WrongKey(3, At(100), At(120), IsTold: true)],
            },
            s_tolerance);

        Assert.Empty(findings.Violations);
        Assert.Equal((TimeSpan.FromSeconds(27), TimeSpan.FromSeconds(9)), (findings.LongestWait, findings.LongestBeyond));
    }

    [Theory]
    [MemberData(nameof(Wrongs))]
    public void One_thing_that_is_wrong_is_found(string wrong, string rule) =>
        Assert.Contains(rule, Checker.Check(s_wrongs[wrong].Change(Good()), s_tolerance).Violations.Select(violation => violation.Rule));

    [Fact]
    public void What_a_strict_Wix_voided_in_the_hands_of_the_killed_is_counted_and_excused()
    {
        var good = Good();
        var strict = good with
        {
            Sites = [s_site with { Rotation = Rotation.Strict }],
            Calls = [good.Calls[0] with { Issued = "refresh-1" }, good.Calls[1] with { Outcome = WixOutcome.Rejected, AccessToken = null }, good.Calls[1] with { Grant = Grant.ClientCredentials, Issued = null, Used = null }],
            Writes = [.. good.Writes.Take(2), good.Writes[2] with { State = good.Writes[2].State with { AccessTokenGrant = Grant.ClientCredentials } }],
        };

        var findings = Checker.Check(strict, s_tolerance);

        Assert.Empty(findings.Violations);
        Assert.Equal(1, findings.LostByStrictWix);
    }

    private static DateTimeOffset At(double seconds) => s_start + TimeSpan.FromSeconds(seconds);

    private static History Good()
    {
        var tokens = new ProtectedTokens(1, new("key", new byte[1]), new("key", new byte[1]), At(-600), At(-300));
        var first = Instance.Consented(null, new InstanceId(s_site.Id), new Consent(null, null, null, null, false), tokens, "seed", At(-600));
        var left = first.Leased("one", At(0) + TokenRefresher.LeaseTime);
        var taken = left.Leased("two", s_takeover + TokenRefresher.LeaseTime);
        var committed = taken.Refreshed(Grant.RefreshToken, tokens with { Generation = 2 }, null, "two", s_takeover + TimeSpan.FromSeconds(2));
        var issuedAt = s_takeover + TimeSpan.FromSeconds(1);
        return new History
        {
            Sites = [s_site],
            First = [new Row(s_site.Id, "0", first, "refresh-0")],
            Writes =
            [
                new RowWrite(At(0), At(0.1), Killed, WriteKind.Lease, "0", "1", left, null, "refresh-0"),
                new RowWrite(s_takeover, s_takeover, Other, WriteKind.Lease, "1", "2", taken, null, "refresh-0"),
                new RowWrite(issuedAt, issuedAt, Other, WriteKind.Commit, "2", "3", committed, "access-2", "refresh-0"),
            ],
            Calls =
            [
                new WixCall(At(1), At(1), Killed, s_site.Id, Grant.RefreshToken, "refresh-0", WixOutcome.Accepted, "access-1", "refresh-0", s_lifetime),
                new WixCall(issuedAt, issuedAt, Other, s_site.Id, Grant.RefreshToken, "refresh-0", WixOutcome.Accepted, "access-2", "refresh-0", s_lifetime),
            ],
            Asks = [new Ask(Other, s_site.Id, TimeSpan.FromSeconds(30), null, At(3), issuedAt, 200, "access-2", TimeSpan.FromSeconds(99), issuedAt + s_lifetime)],
            Wishes = [new Wish(s_site.Id, At(2), issuedAt)],
            Kills = [new Kill(At(2), Killed, null, null)],
            Last = [new Row(s_site.Id, "3", committed, "refresh-0")],
            Good = new Dictionary<Guid, string> { [s_site.Id] = "refresh-0" },
        };
    }

    private static Wish WishOf(DateTimeOffset servedAt, params Ask[] asks) => new(s_site.Id, asks[0].StartedAt, servedAt) { Asks = asks };

    private static Ask Broken(DateTimeOffset startedAt, DateTimeOffset endedAt) => new(Killed, s_site.Id, default, null, startedAt, endedAt, Status: 0);

    private static History Write(History good, int which, Func<RowWrite, RowWrite> change) =>
        good with { Writes = [.. good.Writes.Select((write, index) => index == which ? change(write) : write)] };

    private static History Call(History good, int which, Func<WixCall, WixCall> change) =>
        good with { Calls = [.. good.Calls.Select((call, index) => index == which ? change(call) : call)] };

    private static History Ask(History good, Func<Ask, Ask> change) => good with { Asks = [change(good.Asks[0])] };
}
