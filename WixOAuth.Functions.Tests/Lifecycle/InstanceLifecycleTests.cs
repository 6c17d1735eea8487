using System.Net;
using CsCheck;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Lifecycle;

/// <summary>Installs and removals in every order that the network may make of Wix's.</summary>
public sealed class InstanceLifecycleTests
{
    private static readonly InstanceId Id = Core.NewId();
    private static readonly DateTimeOffset Start = TestClock.Start;

    // Our clock when the events arrive: Wix's times never lie ahead of it.
    private static readonly DateTimeOffset s_afterAll = Start.AddDays(30);

    private enum What
    {
        Consent,
        Installed,
        Removed,
    }

    /// <summary>A life by Wix's clock: installed, removed, installed again, upgraded, removed again, cloned into by a restore.</summary>
    private static readonly Event[] Life =
    [
        new(What.Consent, TimeSpan.Zero),
        new(What.Installed, TimeSpan.FromSeconds(1)),
        new(What.Removed, TimeSpan.FromHours(1)),
        new(What.Installed, TimeSpan.FromHours(2)),
        new(What.Consent, TimeSpan.FromHours(2) + TimeSpan.FromSeconds(1)),
        new(What.Removed, TimeSpan.FromHours(3)),
        new(What.Installed, TimeSpan.FromHours(4)),
    ];

    public static TheoryData<int, int> Spans
    {
        get
        {
            var spans = new TheoryData<int, int>();
            for (var from = 0; from < Life.Length; from++)
            {
                for (var to = from + 1; to <= Life.Length && to - from <= 6; to++)
                {
                    spans.Add(from, to);
                }
            }

            return spans;
        }
    }

    [Theory]
    [MemberData(nameof(Spans))]
    public void Whatever_order_events_come_in_and_however_often_the_end_is_that_of_Wixs_order(int from, int to)
    {
        var events = Life[from..to];
        foreach (var order in Permutations(events))
        {
            AssertEndsAsAtWix(events, order);
            for (var again = 0; again < order.Length; again++)
            {
                // A redirect comes once; a webhook may come again at any later time.
                for (var at = again + 1; at <= order.Length && order[again].What != What.Consent; at++)
                {
                    AssertEndsAsAtWix(events, [.. order[..at], order[again], .. order[at..]]);
                }
            }
        }
    }

    /// <summary>As above for many repetitions, with the timer coming by between any two of them.</summary>
    [Fact]
    public void However_often_the_timer_comes_by_the_end_is_that_of_Wixs_order() =>
        Gen.Select(Gen.Int[0, Life.Length], Gen.Int[0, Life.Length - 1].Array[0, 30], Gen.Bool.Array[40, 40])
            .Sample((length, more, sweeps) =>
            {
                var events = Life[..length];
                var order = more.Where(number => number < length).Select(number => events[number]).Where(each => each.What != What.Consent)
                    .Concat(events).ToArray();
                AssertEndsAsAtWix(events, order, sweeps);
            });

    [Fact]
    public void A_removal_wins_over_an_install_of_the_same_second()
    {
        var removed = Apply(Apply(null, Life[0]), new Event(What.Removed, TimeSpan.Zero));
        Assert.Equal(InstanceStatus.Removed, removed!.Status);
        Assert.Equal(InstanceStatus.Removed, Apply(removed, new Event(What.Installed, TimeSpan.Zero))!.Status);
        Assert.Equal(InstanceStatus.Active, Apply(removed, new Event(What.Installed, TimeSpan.FromSeconds(1)))!.Status);

        // All within one second: only Wix can tell, so the next refresh does.
        var again = Apply(removed, Life[0]);
        Assert.Equal((InstanceStatus.Active, null), (again!.Status, again.RemovalNotedAt));
        var doubted = Apply(again, new Event(What.Removed, TimeSpan.Zero));
        Assert.Equal((InstanceStatus.Active, Start), (doubted!.Status, doubted.RemovalNotedAt));
        Assert.Same(doubted, Apply(doubted, new Event(What.Removed, TimeSpan.Zero)));
    }

    [Theory]
    [InlineData(47, InstanceStatus.Active)]
    [InlineData(48, InstanceStatus.Active)]
    [InlineData(49, InstanceStatus.Removed)]
    internal void A_removal_is_doubted_for_48_hours_after_a_reinstall(int hours, InstanceStatus status)
    {
        var reinstalled = Apply(Apply(null, Life[0]), new Event(What.Consent, TimeSpan.FromDays(3)))! with { ConsentedAt = Start.AddDays(3) };
        var removed = Apply(reinstalled, new Event(What.Removed, TimeSpan.FromDays(3) + TimeSpan.FromHours(hours)));

        Assert.Equal((status, status == InstanceStatus.Active), (removed!.Status, removed.RemovalNotedAt is not null));
    }

    [Theory]
    [InlineData(1, InstanceStatus.Active)]
    [InlineData(48, InstanceStatus.Active)]
    [InlineData(49, InstanceStatus.Removed)]
    internal void A_removal_is_doubted_for_48_hours_after_an_import_revived_the_site(int hours, InstanceStatus status)
    {
        var revived = Import(Apply(Apply(null, Life[0]), Life[2]), consentedAt: Start, Start.AddDays(20));
        var removed = Apply(revived, new Event(What.Removed, TimeSpan.FromDays(20) + TimeSpan.FromHours(hours)));

        Assert.Equal((status, status == InstanceStatus.Active), (removed!.Status, removed.RemovalNotedAt is not null));
    }

    [Theory]
    [InlineData(true, -24, InstanceStatus.Active)]
    [InlineData(false, -24, InstanceStatus.Active)]
    [InlineData(true, 48, InstanceStatus.Active)]
    [InlineData(true, 49, InstanceStatus.Removed)]
    [InlineData(false, 49, InstanceStatus.Removed)]
    internal void A_removal_is_doubted_before_and_for_48_hours_after_a_first_import(bool hasConsentTime, int hours, InstanceStatus status)
    {
        var imported = Import(before: null, consentedAt: hasConsentTime ? Start : null, Start.AddDays(20));
        Assert.False(imported.InstalledBefore);
        var removed = Apply(imported, new Event(What.Removed, TimeSpan.FromDays(20) + TimeSpan.FromHours(hours)));

        Assert.Equal((status, status == InstanceStatus.Active), (removed!.Status, removed.RemovalNotedAt is not null));
    }

    [Theory]
    [InlineData(-0.1, InstanceStatus.Active)]
    [InlineData(48, InstanceStatus.Active)]
    [InlineData(49, InstanceStatus.Removed)]
    internal void A_removal_is_doubted_around_another_consent_of_which_Wix_did_not_tell_the_time(double hours, InstanceStatus status)
    {
        var consented = Consent(Apply(null, Life[0]), issuedAt: null) with { ConsentedAt = Start.AddDays(20) };
        Assert.Equal(Start, consented.WixInstalledAt);
        var removed = Apply(consented, new Event(What.Removed, TimeSpan.FromDays(20) + TimeSpan.FromHours(hours)));

        Assert.Equal((status, status == InstanceStatus.Active), (removed!.Status, removed.RemovalNotedAt is not null));
    }

    [Fact]
    public void A_removal_after_a_first_install_is_not_doubted_though_Wix_did_not_tell_the_time_of_its_consent()
    {
        var removed = Apply(Consent(before: null, issuedAt: null), new Event(What.Removed, TimeSpan.FromDays(29)));

        Assert.Equal(InstanceStatus.Removed, removed!.Status);
    }

    [Fact]
    public void A_removal_after_a_first_install_is_not_doubted_though_Wix_told_of_the_install_twice()
    {
        var installed = Apply(Apply(Apply(null, new Event(What.Installed, TimeSpan.Zero)), new Event(What.Consent, TimeSpan.FromSeconds(40))), new Event(What.Installed, TimeSpan.FromSeconds(41)));

        Assert.False(installed!.InstalledBefore);
        Assert.Equal(InstanceStatus.Removed, Apply(installed, new Event(What.Removed, TimeSpan.FromMinutes(1)))!.Status);
    }

    [Fact]
    public void A_reinstall_that_looked_like_an_upgrade_has_its_set_up_sent_again()
    {
        var upgraded = Apply(Apply(null, Life[0])!.SetupCompleted(Start.AddMinutes(1)), new Event(What.Consent, TimeSpan.FromHours(2)))!;
        Assert.Equal(Start.AddMinutes(1), upgraded.SetupCompletedAt);

        var seen = Apply(upgraded with { ConsentedAt = Start.AddHours(2) }, new Event(What.Removed, TimeSpan.FromHours(1)))!;

        Assert.Equal((InstanceStatus.Active, null, true), (seen.Status, seen.SetupCompletedAt, seen.SetupPending));
    }

    [Fact]
    public void A_customer_that_was_named_before_a_removal_in_doubt_is_not_that_of_the_next_consent()
    {
        var reinstalled = Consent(Apply(null, Life[0]), Start.AddHours(2), "acme");
        var doubted = Apply(reinstalled, Life[5])!;
        Assert.Equal(("acme", Start.AddHours(3)), (doubted.Customer, doubted.RemovalNotedAt));

        Assert.Null(Consent(doubted, Start.AddHours(4)).Customer);
        Assert.Equal(("other", null), (Consent(doubted, Start.AddHours(4), "other").Customer, Consent(doubted, Start.AddHours(4), "other").CustomerConflictAt));
        Assert.Equal("acme", doubted.RemovalRefuted().Customer);
        Assert.Equal("acme", Consent(doubted.WithCustomer("acme", Start.AddHours(3.5)), Start.AddHours(4)).Customer);
        Assert.Equal("acme", Consent(doubted.RemovalRefuted(), Start.AddHours(4)).Customer);
    }

    [Fact]
    public void A_customer_is_erased_by_late_news_of_the_installation_after_a_refuted_removal()
    {
        var refuted = Apply(Consent(Apply(null, Life[0]), Start.AddHours(2), "acme"), Life[5])!.RemovalRefuted();
        var again = Consent(refuted, Start.AddHours(4.5));
        Assert.Equal("acme", again.Customer);

        Assert.Null(Apply(again, Life[6])!.Customer);
    }

    [Fact]
    public void A_customer_that_was_named_again_after_a_removal_outlives_news_of_it()
    {
        var reinstalled = Consent(Apply(null, Life[0]), Start.AddHours(2), "acme");

        Assert.Equal("acme", Apply(reinstalled, Life[2])!.Customer);
        Assert.Equal("acme", Apply(Consent(reinstalled, Start.AddHours(2.5)), Life[2])!.Customer);

        // Our own app names it again before Wix tells of the removal.
        var first = Consent(Apply(null, Life[0]), Start, "acme");
        Assert.Equal("acme", Apply(Consent(first, Start.AddHours(2)).WithCustomer("acme", Start.AddHours(2)), Life[2])!.Customer);
    }

    [Fact]
    public void A_customer_of_an_earlier_version_that_may_be_from_before_a_removal_is_erased()
    {
        var reinstalled = Consent(Apply(null, Life[0]), Start.AddHours(2), "acme") with { CustomerNamedAt = null };

        Assert.Null(Apply(reinstalled, Life[2])!.Customer);
    }

    [Fact]
    public async Task A_tombstone_keeps_no_token_and_has_a_newer_generation()
    {
        using var core = new Core();
        var before = (await core.InstallAsync(Id)).Instance;
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, "77"));
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        await core.GetAsync(Id);

        Assert.True(await core.Life.RemovedAsync(Id, core.Clock.GetUtcNow(), CancellationToken.None));

        var tombstone = await core.ReadAsync(Id);
        Assert.Equal(
            (InstanceStatus.Removed, null, null, null, null, null, before.Generation + 1),
            (tombstone.Status, tombstone.AccessToken, tombstone.RefreshToken, tombstone.Lease, tombstone.Failures, tombstone.DueAt, tombstone.Generation));
        Assert.Equal((before.InstalledAt, core.Clock.GetUtcNow()), (tombstone.InstalledAt, tombstone.RemovedAt));
        Assert.False(await core.Life.RemovedAsync(Id, core.Clock.GetUtcNow(), CancellationToken.None));
        Assert.Equal(tombstone, await core.ReadAsync(Id));
    }

    [Fact]
    public async Task A_removal_clears_the_memory_at_once_even_when_a_read_began_before_it()
    {
        using var core = new Core();
        await core.InstallAsync(Id);
        var token = Assert.IsType<TokenResult.Token>(await core.GetAsync(Id));
        Assert.NotNull(core.Memory.Find(Id, core.Clock.GetUtcNow()));

        await core.Life.RemovedAsync(Id, core.Clock.GetUtcNow(), CancellationToken.None);
        core.Memory.Remember(token);

        Assert.Null(core.Memory.Find(Id, core.Clock.GetUtcNow()));
        Assert.IsType<TokenResult.Removed>(await core.GetAsync(Id));
        core.Memory.Remember(token with { Generation = 3 });
        Assert.NotNull(core.Memory.Find(Id, core.Clock.GetUtcNow()));
    }

    [Fact]
    public async Task A_clone_is_minted_for_by_the_timer_and_set_up()
    {
        using var core = new Core();
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("minted", expiresIn: 14_400));

        Assert.True(await core.Life.InstalledAsync(Id, core.Clock.GetUtcNow(), CancellationToken.None));
        Assert.Equal(0, core.Wix.CallsTo("/oauth2/token"));
        await core.Sweep.RunAsync(CancellationToken.None);

        var clone = await core.ReadAsync(Id);
        Assert.Equal((InstanceStatus.Active, Grant.ClientCredentials, 2), (clone.Status, clone.Grant, clone.Generation));
        Assert.Equal((1, 1), (core.Wix.CallsTo("/oauth2/token"), core.Wix.CallsTo("/apps/v1/bi-event")));
        Assert.NotNull(clone.SetupCompletedAt);
        Assert.Equal("minted", Assert.IsType<TokenResult.Token>(await core.GetAsync(Id)).AccessToken.Reveal());
    }

    [Fact]
    public async Task The_site_of_a_clone_is_requested_each_day_until_Wix_returns_it()
    {
        using var core = new Core();

        // Its time of day is midnight.
        var id = new InstanceId(Guid.Parse("11111111-2222-4333-8444-555500000000"));
        var instance = StubWix.Status(503, "77");
        core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/apps/v1/instance" ? instance : StubWix.Tokens("minted", expiresIn: 14_400));
        await core.Life.InstalledAsync(id, core.Clock.GetUtcNow(), CancellationToken.None);
        await core.Sweep.RunAsync(CancellationToken.None);
        await core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.Equal((null, 2), ((await core.ReadAsync(id)).Site, (await core.ReadAsync(id)).Generation));

        // A response about another instance is ignored.
        foreach (var (answeredFor, site) in new[] { (Core.NewId(), null), (id, new Site("site", "Copy", "https://copy.example.com")) })
        {
            instance = StubWix.Json(
                HttpStatusCode.OK,
                $$$"""{"instance":{"instanceId":"{{{answeredFor}}}","appVersion":"3.0.0"},"site":{"siteId":"site","siteDisplayName":"Copy","url":"https://copy.example.com"}}""");
            core.Uses.Note(id, core.Clock.GetUtcNow().AddDays(1));
            core.Clock.Advance(TimeSpan.FromDays(1));
            Assert.Equal(1, (await core.Sweep.RunAsync(CancellationToken.None)).Refreshed);
            await core.Background.WhenIdleAsync(CancellationToken.None);
            Assert.Equal(site, (await core.ReadAsync(id)).Site);
        }

        Assert.Equal("3.0.0", (await core.ReadAsync(id)).AppVersion);
        var asked = core.Wix.CallsTo("/apps/v1/instance");
        core.Uses.Note(id, core.Clock.GetUtcNow().AddHours(3));
        core.Clock.Advance(TimeSpan.FromHours(3));
        Assert.Equal(1, (await core.Sweep.RunAsync(CancellationToken.None)).Refreshed);
        await core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.Equal(asked, core.Wix.CallsTo("/apps/v1/instance"));
    }

    [Fact]
    public async Task Without_client_credentials_an_instance_that_is_known_from_a_webhook_only_needs_a_consent()
    {
        using var core = new Core(settings: ("Wix__ClientCredentialsFallback", "false"));

        await core.Life.InstalledAsync(Id, core.Clock.GetUtcNow(), CancellationToken.None);
        core.Clock.Advance(TimeSpan.FromDays(2));
        var sweep = await core.Sweep.RunAsync(CancellationToken.None);

        // Looked at, in case the settings have changed.
        Assert.Equal((1, 1), (sweep.Due, sweep.Skipped));
        Assert.Equal(core.Clock.GetUtcNow().AddDays(1), (await core.ReadAsync(Id)).DueAt);
        Assert.IsType<TokenResult.ReinstallRequired>(await core.GetAsync(Id));
        Assert.Empty(core.Wix.Calls);
    }

    [Fact]
    public async Task An_operator_refreshing_an_instance_that_needs_a_consent_gets_reinstall_required()
    {
        using var core = new Core(settings: ("Wix__ClientCredentialsFallback", "false"));
        await core.Life.InstalledAsync(Id, core.Clock.GetUtcNow(), CancellationToken.None);

        // It has no tokens that could be undecryptable.
        Assert.IsType<TokenResult.ReinstallRequired>(await core.GetAsync(Id, TokenRequirements.New));
        Assert.Null((await core.ReadAsync(Id)).Failures);
        Assert.Empty(core.Wix.Calls);
    }

    [Fact]
    public async Task The_timer_refutes_a_removal_in_doubt_with_one_refresh_although_the_token_is_fresh()
    {
        using var core = new Core();
        await DoubtAsync(core);
        await core.GetAsync(Id);
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("access-2", "refresh-1"));

        Assert.IsType<TokenResult.Token>(await core.GetAsync(Id));
        Assert.Empty(core.Wix.Calls);
        await core.Sweep.RunAsync(CancellationToken.None);

        var instance = await core.ReadAsync(Id);
        Assert.Equal((InstanceStatus.Active, null), (instance.Status, instance.RemovalNotedAt));
        Assert.Equal(1, core.Wix.CallsTo("/oauth/access"));
        Assert.False(await core.Life.RemovedAsync(Id, instance.WixRemovedAt!.Value, CancellationToken.None));
        Assert.Equal(0, (await core.Sweep.RunAsync(CancellationToken.None)).Due);
    }

    [Fact]
    public async Task While_Wix_is_away_a_doubted_removal_stays_in_doubt()
    {
        using var core = new Core();
        await DoubtAsync(core);
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, "77"));

        await core.RunAsync(() => core.Sweep.RunAsync(CancellationToken.None));

        var doubted = await core.ReadAsync(Id);
        Assert.Equal((InstanceStatus.Active, true), (doubted.Status, doubted.RemovalNotedAt is not null));
        Assert.Equal(doubted.Failures!.RetryAt, doubted.DueAt);
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("access-2"));
        core.Clock.Advance(TimeSpan.FromMinutes(3));
        await core.Sweep.RunAsync(CancellationToken.None);
        Assert.Null((await core.ReadAsync(Id)).RemovalNotedAt);
    }

    [Fact]
    public async Task A_refresh_that_began_before_a_removal_was_noted_does_not_settle_it()
    {
        using var core = new Core();
        await DoubtAsync(core, note: false);
        var noted = core.Clock.GetUtcNow().AddMinutes(10);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        core.Wix.Answer = async (_, _, token) =>
        {
            await core.Life.RemovedAsync(Id, noted, token);
            return StubWix.Tokens("access-2");
        };

        Assert.IsType<TokenResult.Token>(await core.GetAsync(Id));

        var instance = await core.ReadAsync(Id);
        Assert.Equal((noted, core.Clock.GetUtcNow()), (instance.RemovalNotedAt, instance.DueAt));
    }

    [Fact]
    public async Task A_refresh_in_flight_does_not_bring_a_removed_instance_back()
    {
        using var core = new Core();
        await core.InstallAsync(Id);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        core.Wix.Answer = async (_, _, token) =>
        {
            await core.Life.RemovedAsync(Id, core.Clock.GetUtcNow(), token);
            return StubWix.Tokens("access-2");
        };

        Assert.IsType<TokenResult.Removed>(await core.GetAsync(Id));

        var tombstone = await core.ReadAsync(Id);
        Assert.Equal((InstanceStatus.Removed, null, 2), (tombstone.Status, tombstone.AccessToken, tombstone.Generation));
        Assert.Null(core.Memory.Find(Id, core.Clock.GetUtcNow()));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_forgotten_instance_comes_back_by_consent_only(bool known)
    {
        using var core = new Core();
        if (known)
        {
            await core.InstallAsync(Id);
        }

        Assert.True(await core.Life.ForgetAsync(Id, CancellationToken.None));
        Assert.False(await core.Life.ForgetAsync(Id, CancellationToken.None));
        Assert.False(await core.Life.InstalledAsync(Id, core.Clock.GetUtcNow().AddDays(1), CancellationToken.None));
        await core.Life.RemovedAsync(Id, core.Clock.GetUtcNow().AddDays(2), CancellationToken.None);
        Assert.False(await core.Life.InstalledAsync(Id, core.Clock.GetUtcNow().AddDays(3), CancellationToken.None));

        var forgotten = await core.ReadAsync(Id);
        Assert.Equal((InstanceStatus.Removed, true, null), (forgotten.Status, forgotten.Forgotten, forgotten.RefreshToken));
        var back = Consent(forgotten, core.Clock.GetUtcNow().AddDays(4));
        Assert.Equal((InstanceStatus.Active, false, forgotten.Generation + 1), (back.Status, back.Forgotten, back.Generation));
    }

    [Fact]
    public async Task A_removed_instance_that_is_forgotten_is_not_brought_back_by_a_later_install()
    {
        using var core = new Core();
        await core.InstallAsync(Id);
        await core.Life.RemovedAsync(Id, Start, CancellationToken.None);

        Assert.True(await core.Life.ForgetAsync(Id, CancellationToken.None));

        Assert.False(await core.Life.InstalledAsync(Id, Start.AddDays(1), CancellationToken.None));
    }

    private static async Task DoubtAsync(Core core, bool note = true)
    {
        var stored = await core.InstallAsync(Id);
        var at = core.Clock.GetUtcNow();
        await core.Store.TryWriteAsync(stored, stored.Instance with { InstalledBefore = true, WixInstalledAt = at }, CancellationToken.None);
        if (note)
        {
            Assert.True(await core.Life.RemovedAsync(Id, at.AddMinutes(1), CancellationToken.None));
        }
    }

    private static void AssertEndsAsAtWix(Event[] atWix, Event[] order, bool[]? sweeps = null)
    {
        var isRemoved = atWix.Length > 0 && atWix[^1].What == What.Removed;
        Instance? instance = null;
        for (var i = 0; i < order.Length; i++)
        {
            var before = instance;
            instance = Apply(instance, order[i]);
            Assert.True(instance!.Generation >= (before?.Generation ?? 0));
            Assert.True(instance.Generation > (before?.Generation ?? 0) || instance.Status == before?.Status);
            instance = sweeps is not null && sweeps[i] ? Settle(instance) : instance;
        }

        instance = Settle(instance);
        var story = string.Join(", ", order.Select(each => $"{each.What} {each.At}"));
        var removedAt = atWix.Where(each => each.What == What.Removed).Select(each => (DateTimeOffset?)(Start + each.At)).Max();
        Assert.True(instance?.WixRemovedAt == removedAt, story);
        if (instance is null || isRemoved)
        {
            Assert.True(instance is null ? atWix.Length == 0 : instance is { Status: InstanceStatus.Removed, AccessToken: null, RefreshToken: null, DueAt: null }, story);
            return;
        }

        Assert.True(instance is { Status: InstanceStatus.Active, RemovalNotedAt: null }, story);

        // Only the first consent named a customer.
        if (order.FirstOrDefault(each => each.What != What.Installed) == Life[0])
        {
            Assert.True(instance.Customer == (removedAt is null ? "acme" : null), story);
        }

        Assert.True(instance.WixInstalledAt == Start + atWix[^1].At, story);

        // What the timer finds out by asking Wix, which knows the end already.
        Instance? Settle(Instance? doubted) => doubted?.RemovalNotedAt is null ? doubted
            : isRemoved ? doubted.RemovalConfirmed(s_afterAll)
            : doubted.RemovalRefuted();
    }

    private static Instance? Apply(Instance? before, Event each) => each.What switch
    {
        What.Consent => Consent(before, Start + each.At, each == Life[0] ? "acme" : null),
        What.Installed => Instance.AppInstalled(before, Id, Start + each.At, mayUseClientCredentials: true, sendSetupCompleted: true, s_afterAll),
        _ => Instance.AppRemoved(before, Id, Start + each.At, sendSetupCompleted: true, s_afterAll),
    };

    private static Instance Import(Instance? before, DateTimeOffset? consentedAt, DateTimeOffset importedAt)
    {
        var text = new ProtectedText("key", new byte[] { 1 });
        return Instance.Imported(
            before,
            Id,
            new ImportedSite(Customer: null, consentedAt, Revive: true, Site: null, AppVersion: null),
            new ProtectedTokens(Instance.NextGeneration(before), text, text, importedAt, importedAt.AddMinutes(5)),
            "import",
            importedAt);
    }

    private static Instance Consent(Instance? before, DateTimeOffset? issuedAt, string? customer = null)
    {
        var text = new ProtectedText("key", new byte[] { 1 });
        return Instance.Consented(
            before,
            Id,
            new Consent(customer, null, null, issuedAt, true),
            new ProtectedTokens(Instance.NextGeneration(before), text, text, Start, Start.AddMinutes(5)),
            "commit",
            s_afterAll);
    }

    private static IEnumerable<Event[]> Permutations(Event[] events) =>
        events.Length == 0
            ? [[]]
            : events.SelectMany((first, i) => Permutations([.. events[..i], .. events[(i + 1)..]]).Select(rest => (Event[])[first, .. rest]));

    private sealed record Event(What What, TimeSpan At);
}
