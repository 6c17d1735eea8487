using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Instances;

/// <summary>Each change of an instance by itself: what it sets, what it keeps, and where its borders are.</summary>
public sealed class InstanceChangesTests
{
    private static readonly DateTimeOffset Now = Samples.Noon;
    private static readonly InstanceId Id = Samples.NewId();
    private static readonly ProtectedText Text = new("key", new byte[] { 1, 2, 3 });
    private static readonly ProtectedTokens Tokens = new(7, Text, Text, Now, Now.AddMinutes(5));

    public static TheoryData<string> Minutes => ["-10.1", "-10", "0", "10", "10.1"];

    [Fact]
    public void A_consent_replaces_what_it_contains_and_keeps_the_rest()
    {
        var before = Samples.NewInstance(Id) with { Customer = "old", Site = new Site("s", "old", null), AppVersion = "1", InstalledAt = Now.AddDays(-1) };

        var told = Instance.Consented(before, Id, new Consent("new", new Site("s", "new", null), "2", null, false), Tokens, "c", Now);
        var silent = Instance.Consented(before, Id, new Consent(null, null, null, null, false), Tokens, "c", Now);
        var first = Instance.Consented(null, Id, new Consent("new", null, null, null, false), Tokens, "c", Now);

        Assert.Equal(("old", "new", "2", before.InstalledAt), (told.Customer, told.Site?.Name, told.AppVersion, told.InstalledAt));
        Assert.Equal(("old", "old", "1", before.InstalledAt), (silent.Customer, silent.Site?.Name, silent.AppVersion, silent.InstalledAt));
        Assert.Equal(("new", (Site?)null, (string?)null, Now), (first.Customer, first.Site, first.AppVersion, first.InstalledAt));
    }

    [Theory]
    [MemberData(nameof(Minutes))]
    public void A_consent_and_an_install_within_ten_minutes_are_one_installation(string minutes)
    {
        var told = Samples.NewInstance(Id) with { WixInstalledAt = Now };
        var consent = new Consent(null, null, null, Now.AddMinutes(double.Parse(minutes, System.Globalization.CultureInfo.InvariantCulture)), false);

        Assert.Equal(minutes.Contains('.', StringComparison.Ordinal), Instance.Consented(told, Id, consent, Tokens, "c", Now.AddHours(1)).InstalledBefore);
        Assert.True(Instance.Consented(told with { ConsentedAt = Now }, Id, consent, Tokens, "c", Now.AddHours(1)).InstalledBefore);
        Assert.True(Instance.Consented(told with { InstalledBefore = true }, Id, consent, Tokens, "c", Now.AddHours(1)).InstalledBefore);
        Assert.False(Instance.Consented(null, Id, consent, Tokens, "c", Now.AddHours(1)).InstalledBefore);
    }

    [Fact]
    public void Only_rejections_count_as_such_and_the_first_is_remembered()
    {
        var away = Samples.NewInstance(Id).Failed(TokenError.WixUnavailable, null, Now, Now);
        var rejected = away.Failed(TokenError.Rejected, null, Now, Now.AddMinutes(1));
        var again = rejected.Failed(TokenError.Rejected, null, Now, Now.AddMinutes(2));

        Assert.Equal((1, 0, null), (away.Failures!.Count, away.Failures.Rejections, away.Failures.FirstRejectedAt));
        Assert.Equal((2, 1, Now.AddMinutes(1)), (rejected.Failures!.Count, rejected.Failures.Rejections, rejected.Failures.FirstRejectedAt));
        Assert.Equal((3, 2, Now.AddMinutes(1)), (again.Failures!.Count, again.Failures.Rejections, again.Failures.FirstRejectedAt));
    }

    [Fact]
    public void A_completed_set_up_is_not_pending() =>
        Assert.Equal((Now, false), ((Samples.NewInstance(Id) with { SetupPending = true }).SetupCompleted(Now).SetupCompletedAt, (Samples.NewInstance(Id) with { SetupPending = true }).SetupCompleted(Now).SetupPending));

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void An_install_known_only_by_webhook_is_served_where_possible(bool mayUseClientCredentials, bool sendSetupCompleted)
    {
        var tombstone = Samples.NewInstance(Id) with { Status = InstanceStatus.Removed, WixRemovedAt = Now.AddHours(-1), InstalledAt = Now.AddDays(-1) };

        foreach (var before in new[] { null, tombstone })
        {
            var instance = Instance.AppInstalled(before, Id, Now, mayUseClientCredentials, sendSetupCompleted, Now);

            Assert.Equal(mayUseClientCredentials ? InstanceStatus.Active : InstanceStatus.ReinstallRequired, instance.Status);
            Assert.Equal(mayUseClientCredentials ? Grant.ClientCredentials : Grant.RefreshToken, instance.Grant);
            Assert.Equal(Now, instance.DueAt);
            Assert.Equal(mayUseClientCredentials && sendSetupCompleted, instance.SetupPending);
            Assert.Equal(before?.InstalledAt ?? Now, instance.InstalledAt);
            Assert.Equal(before is not null, instance.InstalledBefore);
        }
    }

    [Fact]
    public void A_known_install_changes_nothing()
    {
        var known = Samples.NewInstance(Id) with { WixInstalledAt = Now };

        Assert.Same(known, Instance.AppInstalled(known, Id, Now, true, true, Now));
        Assert.Same(known, Instance.AppInstalled(known, Id, Now.AddSeconds(-1), true, true, Now));
        Assert.NotSame(known, Instance.AppInstalled(known, Id, Now.AddSeconds(1), true, true, Now));
    }

    [Fact]
    public void A_later_install_settles_removals_before_it_only()
    {
        var known = Samples.NewInstance(Id) with { WixInstalledAt = Now, RemovalNotedAt = Now.AddMinutes(5), DueAt = Now.AddDays(1) };

        Assert.Equal(Now.AddMinutes(5), Seen(known, 4).RemovalNotedAt);
        Assert.Null(Seen(known, 5).RemovalNotedAt);
        Assert.Null(Seen(known, 6).RemovalNotedAt);
        Assert.False(Seen(known, 10).InstalledBefore);
        Assert.True(Seen(known, 10.1).InstalledBefore);
        Assert.True(Seen(known with { InstalledBefore = true }, 1).InstalledBefore);

        // Only one that waits for a reinstall is tried at once, and only for another installation.
        var waiting = known with { Status = InstanceStatus.ReinstallRequired };
        Assert.Equal(Now.AddDays(1), Seen(known, 60).DueAt);
        Assert.Equal(Now.AddDays(1), Seen(waiting, 5).DueAt);
        Assert.Equal(Now.AddHours(1), Seen(waiting, 60).DueAt);

        static Instance Seen(Instance before, double minutes) => Instance.AppInstalled(before, Id, Now.AddMinutes(minutes), true, true, Now.AddHours(1));
    }

    [Theory]
    [InlineData(-1, true, true)]
    [InlineData(-1, false, true)]
    [InlineData(0, true, false)]
    [InlineData(1, true, false)]
    public void A_removal_before_this_installation_makes_an_upgrade_a_reinstall(int completedAfterConsent, bool sendSetupCompleted, bool again)
    {
        var due = Now.AddDays(1);
        var upgraded = Samples.NewInstance(Id) with
        {
            WixInstalledAt = Now,
            ConsentedAt = Now,
            SetupCompletedAt = Now.AddMinutes(completedAfterConsent),
            DueAt = due,
        };

        var seen = Instance.AppRemoved(upgraded, Id, Now.AddHours(-1), sendSetupCompleted, Now);
        var waiting = Instance.AppRemoved(upgraded with { Status = InstanceStatus.ReinstallRequired }, Id, Now.AddHours(-1), sendSetupCompleted, Now);

        Assert.True(seen.InstalledBefore);
        Assert.Equal(again ? null : upgraded.SetupCompletedAt, seen.SetupCompletedAt);
        Assert.Equal(again && sendSetupCompleted, seen.SetupPending);
        Assert.Equal(again && sendSetupCompleted ? Now : due, seen.DueAt);
        Assert.Equal((upgraded.SetupCompletedAt, false, due), (waiting.SetupCompletedAt, waiting.SetupPending, waiting.DueAt));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_tombstone_keeps_the_history_of_the_instance(bool installedBefore)
    {
        var removedAt = Now.AddDays(-2);
        var before = Samples.NewInstance(Id) with { Grant = Grant.ClientCredentials, InstalledBefore = installedBefore, WixInstalledAt = Now, ConsentedAt = Now.AddDays(-3) };

        var first = Instance.Forget(before, Id, removedAt);
        var again = Instance.Forget(first with { Forgotten = false }, Id, Now);

        Assert.Equal((Grant.ClientCredentials, installedBefore, removedAt, true), (first.Grant, first.InstalledBefore, first.RemovedAt, first.Forgotten));
        Assert.Equal((removedAt, before.ConsentedAt), (again.RemovedAt, again.ConsentedAt));
        Assert.False(before.RemovalConfirmed(Now).Forgotten);
        Assert.Same(first, Instance.Forget(first, Id, Now));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("11111111222243338444555555555555")]
    [InlineData("{11111111-2222-4333-8444-555555555555}")]
    [InlineData("11111111-2222-4333-8444-55555555555")]
    [InlineData("11111111-2222-4333-8444-55555555555g")]
    [InlineData(" 1111111-2222-4333-8444-55555555555 ")]
    [InlineData("00000000-0000-0000-0000-000000000000")]
    public void A_malformed_instance_id_is_refused(string? text) => Assert.False(InstanceId.TryParse(text, out _));

    [Fact]
    public void An_instance_id_has_one_text_form()
    {
        Assert.True(InstanceId.TryParse("ABCDEF01-2222-4333-8444-55555555555A", out var id));
        Assert.Equal("abcdef01-2222-4333-8444-55555555555a", id.ToString());
    }

    [Fact]
    public async Task An_event_that_changes_nothing_is_not_written()
    {
        var store = new WatchedStore(new MemoryInstanceStore());
        using var core = new Core(store);
        await core.Life.RemovedAsync(Id, Now, CancellationToken.None);
        await core.Life.RemovedAsync(Id, Now, CancellationToken.None);

        Assert.Equal(1, store.CallsTo(nameof(IInstanceStore.TryWriteAsync)));
    }
}
