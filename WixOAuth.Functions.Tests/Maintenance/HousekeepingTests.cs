using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;

namespace WixOAuth.Functions.Tests.Maintenance;

public sealed class MemoryHousekeepingTests : HousekeepingTests
{
    private protected override Task<IInstanceStore> CreateAsync() => Task.FromResult<IInstanceStore>(new MemoryInstanceStore());
}

[Collection(AzuriteFixture.Name)]
public sealed class TableHousekeepingTests(AzuriteFixture azurite) : HousekeepingTests
{
    private protected override async Task<IInstanceStore> CreateAsync() => (await azurite.CreateAsync()).Store;
}

public abstract class HousekeepingTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    private protected abstract Task<IInstanceStore> CreateAsync();

    [Fact]
    public async Task Old_tombstones_are_removed_with_their_index_rows_and_recent_ones_stay()
    {
        var store = await CreateAsync();
        using var core = new Core(store);
        var now = core.Clock.GetUtcNow();
        var old = Tombstone(now - Housekeeping.TombstoneLifetime);
        var young = Tombstone(now - Housekeeping.TombstoneLifetime + TimeSpan.FromSeconds(1));
        var alive = Samples.NewInstance() with { UpdatedAt = now.AddYears(-1) };
        foreach (var instance in new[] { old, young, alive })
        {
            await store.TryWriteAsync(null, instance, None);
            await store.SaveLastUseAsync(instance.Id, now.AddYears(-1), None);
        }

        var summary = await core.Housekeeping.RunAsync(None);

        Assert.Equal((1, 0), (summary.Tombstones, summary.DueRows));
        Assert.Null(await store.FindAsync(old.Id, None));
        Assert.Null(await store.FindLastUseAsync(old.Id, None));
        Assert.Equal([young.Id], await RemovedAsync(store));
        Assert.NotNull(await store.FindAsync(alive.Id, None));
        Assert.NotNull(await store.FindLastUseAsync(alive.Id, None));
        Assert.Single(core.Logs.Of(415));
    }

    [Fact]
    public async Task A_site_that_is_forgotten_long_after_its_removal_has_its_tombstone_for_90_days_more()
    {
        var store = await CreateAsync();
        using var core = new Core(store);
        var id = Core.NewId();
        var removed = Instance.AppRemoved(null, id, core.Clock.GetUtcNow(), sendSetupCompleted: false, core.Clock.GetUtcNow());
        core.Clock.Advance(Housekeeping.TombstoneLifetime - TimeSpan.FromDays(1));
        await store.TryWriteAsync(null, Instance.Forget(removed, id, core.Clock.GetUtcNow()), None);

        core.Clock.Advance(Housekeeping.TombstoneLifetime - TimeSpan.FromTicks(1));
        Assert.Equal(0, (await core.Housekeeping.RunAsync(None)).Tombstones);
        core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(1, (await core.Housekeeping.RunAsync(None)).Tombstones);
    }

    [Fact]
    public async Task A_tombstone_that_is_revived_meanwhile_stays()
    {
        var store = new WatchedStore(await CreateAsync());
        using var core = new Core(store);
        var stored = await store.TryWriteAsync(null, Tombstone(core.Clock.GetUtcNow().AddYears(-1)), None);
        StoredInstance? revived = null;
        store.Before = async (method, _) =>
        {
            if (method == nameof(IInstanceStore.TryRemoveAsync))
            {
                store.Before = (_, _) => Task.CompletedTask;
                revived = await store.TryWriteAsync(stored, stored!.Instance with { Status = InstanceStatus.Active, Generation = 9 }, None);
            }
        };

        Assert.Equal(0, (await core.Housekeeping.RunAsync(None)).Tombstones);

        Assert.NotNull(revived);
        Assert.Equal(revived, await store.FindAsync(stored!.Instance.Id, None));
    }

    [Fact]
    public async Task Orphaned_due_rows_are_removed_also_before_they_are_due()
    {
        var inner = await CreateAsync();
        var store = new OrphaningStore(inner);
        using var core = new Core(store);
        var now = core.Clock.GetUtcNow();
        var due = (await store.TryWriteAsync(null, Samples.NewInstance() with { DueAt = now.AddDays(1) }, None))!.Instance;
        var removed = (await store.TryWriteAsync(null, Tombstone(now), None))!.Instance;
        store.Orphans.AddRange([new(Core.NewId(), now), new(removed.Id, now.AddDays(2)), new(due.Id, now.AddDays(3))]);

        Assert.Equal(3, (await core.Housekeeping.RunAsync(None)).DueRows);

        Assert.Empty(store.Orphans);
        Assert.Equal([new DueInstance(due.Id, due.DueAt!.Value)], await store.ReadDueAsync(DateTimeOffset.MaxValue, None).ToListAsync());
    }

    [Fact]
    public async Task An_instance_without_its_row_in_the_due_index_is_due_again()
    {
        var store = await CreateAsync();
        using var core = new Core(store);
        var now = core.Clock.GetUtcNow();
        var lost = await AddAsync(TimeSpan.FromHours(1) + TimeSpan.FromTicks(1));
        var young = await AddAsync(TimeSpan.FromHours(1));
        var waiting = await AddAsync(TimeSpan.FromHours(2));
        await store.RemoveDueAsync(lost, None);
        await store.RemoveDueAsync(young, None);

        await core.Housekeeping.RunAsync(None);

        Assert.Equal(
            [waiting, lost with { DueAt = now }],
            (await store.ReadDueAsync(DateTimeOffset.MaxValue, None).ToListAsync()).OrderBy(due => due.DueAt));
        Assert.Equal(now, (await store.FindAsync(lost.Id, None))!.Instance.DueAt);
        Assert.Single(core.Logs.Of(432));

        async Task<DueInstance> AddAsync(TimeSpan dueFor)
        {
            var due = new DueInstance(Core.NewId(), now - dueFor);
            await store.TryWriteAsync(null, Samples.NewInstance(due.Id) with { DueAt = due.DueAt }, None);
            return due;
        }
    }

    [Theory]
    [InlineData(InstanceStatus.Active, null, true)]
    [InlineData(InstanceStatus.ReinstallRequired, null, true)]
    [InlineData(InstanceStatus.Removed, null, false)]
    [InlineData(InstanceStatus.Active, 26 * 60, false)]
    [InlineData(InstanceStatus.Active, (26 * 60) + 1, true)]
    [InlineData(InstanceStatus.ReinstallRequired, (26 * 60) + 1, true)]
    internal async Task An_instance_that_is_to_be_tried_and_has_no_due_time_or_one_too_far_ahead_is_due_now(InstanceStatus status, int? minutesAhead, bool isDueNow)
    {
        var store = await CreateAsync();
        using var core = new Core(store);
        var now = core.Clock.GetUtcNow();
        DateTimeOffset? dueAt = minutesAhead is { } minutes ? now.AddMinutes(minutes) : null;
        var id = Core.NewId();
        await store.TryWriteAsync(null, Samples.NewInstance(id) with { Status = status, UpdatedAt = now, DueAt = dueAt }, None);

        await core.Housekeeping.RunAsync(None);

        var expected = isDueNow ? now : dueAt;
        Assert.Equal(expected, (await store.FindAsync(id, None))!.Instance.DueAt);
        Assert.Equal(
            expected is { } at ? [new DueInstance(id, at)] : [],
            await store.ReadDueAsync(DateTimeOffset.MaxValue, None).ToListAsync());
        Assert.Equal(isDueNow ? 1 : 0, core.Logs.Of(432).Count);
    }

    [Theory]
    [InlineData("token")]
    [InlineData("failure")]
    [InlineData("mark")]
    public async Task A_site_that_a_clock_far_ahead_has_written_is_served_again_without_being_asked_for(string what)
    {
        using var core = new Core(await CreateAsync());
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("access-2"));
        var stored = await core.InstallAsync(Core.NewId());
        var ahead = core.Clock.GetUtcNow().AddYears(1);
        var instance = stored.Instance with { AccessTokenIssuedAt = ahead, AccessTokenExpiresOn = ahead.AddMinutes(5), RefreshedAt = ahead };
        instance = what switch
        {
            "failure" => instance.Failed(TokenError.WixUnavailable, fault: null, ahead.AddMinutes(2), ahead),
            "mark" => instance.Failed(TokenError.Rejected, fault: null, ahead.AddMinutes(2), ahead).Marked(ahead),
            _ => instance,
        };
        await core.Store.TryWriteAsync(stored, instance with { DueAt = ahead.AddHours(1) }, None);

        await core.Housekeeping.RunAsync(None);
        await core.Sweep.RunAsync(None).WaitAsync(SingleThreadSynchronizationContext.Patience);

        var healed = await core.ReadAsync(instance.Id);
        Assert.Equal((InstanceStatus.Active, null, null, 2), (healed.Status, healed.Failures, healed.MarkedAt, healed.Generation));
        Assert.InRange(healed.DueAt!.Value, core.Clock.GetUtcNow(), core.Clock.GetUtcNow().AddMinutes(5));
    }

    [Fact]
    public async Task An_unreadable_row_is_kept_and_does_not_affect_the_others()
    {
        var store = new WatchedStore(await CreateAsync());
        using var core = new Core(store);
        var malformed = Tombstone(core.Clock.GetUtcNow().AddYears(-1));
        var old = Tombstone(core.Clock.GetUtcNow().AddYears(-1));
        await store.TryWriteAsync(null, malformed, None);
        await store.TryWriteAsync(null, old, None);
        store.Before = (method, id) => method == nameof(IInstanceStore.FindAsync) && id == malformed.Id
            ? throw new InvalidDataException("The row has no 'Generation'.")
            : Task.CompletedTask;

        Assert.Equal(1, (await core.Housekeeping.RunAsync(None)).Tombstones);

        Assert.Single(core.Logs.Of(416));
        Assert.Equal([malformed.Id], await RemovedAsync(store));
    }

    [Fact]
    public async Task Counts_of_refreshes_that_no_page_shows_any_more_are_removed()
    {
        using var core = new Core(await CreateAsync());
        var now = core.Clock.GetUtcNow();
        await core.Tallies.SaveTalliesAsync([new RefreshTally(Guid.NewGuid(), now.AddHours(-2).AddTicks(-1), 1, 1)], None);
        var young = new RefreshTally(Guid.NewGuid(), now.AddHours(-2), 1, 1);
        await core.Tallies.SaveTalliesAsync([young], None);

        Assert.Equal(1, (await core.Housekeeping.RunAsync(None)).Tallies);

        Assert.Equal([young], await core.Tallies.ReadTalliesAsync(DateTimeOffset.MinValue, None));
    }

    [Fact]
    public async Task It_ends_in_time_and_says_what_it_did()
    {
        var store = new WatchedStore(await CreateAsync());
        using var core = new Core(store);
        for (var number = 0; number < 40; number++)
        {
            await store.TryWriteAsync(null, Tombstone(core.Clock.GetUtcNow().AddYears(-1)), None);
        }

        store.Before = (method, _) =>
        {
            if (method == nameof(IInstanceStore.TryRemoveAsync))
            {
                core.Clock.Advance(Housekeeping.LongestRun);
            }

            return Task.CompletedTask;
        };

        var summary = await core.Housekeeping.RunAsync(None);

        Assert.InRange(summary.Tombstones, 0, 39);
        Assert.Equal(40 - summary.Tombstones, (await RemovedAsync(store)).Count);
        Assert.Single(core.Logs.Of(415));
    }

    [Fact]
    public async Task Lost_and_orphaned_due_rows_are_mended_although_tombstones_use_up_the_time()
    {
        var inner = await CreateAsync();
        var orphaning = new OrphaningStore(inner);
        var store = new WatchedStore(orphaning);
        using var core = new Core(store);
        var now = core.Clock.GetUtcNow();
        await store.TryWriteAsync(null, Tombstone(now.AddYears(-1)), None);
        var lost = new DueInstance(Core.NewId(), now.AddHours(-2));
        await store.TryWriteAsync(null, Samples.NewInstance(lost.Id) with { DueAt = lost.DueAt }, None);
        await inner.RemoveDueAsync(lost, None);
        orphaning.Orphans.Add(new(Core.NewId(), now));
        store.Before = (method, _) =>
        {
            if (method == nameof(IInstanceStore.TryRemoveAsync))
            {
                core.Clock.Advance(Housekeeping.LongestRun);
            }

            return Task.CompletedTask;
        };

        await core.Housekeeping.RunAsync(None);

        Assert.Equal(now, (await store.FindAsync(lost.Id, None))!.Instance.DueAt);
        Assert.Empty(orphaning.Orphans);
    }

    [Fact]
    public async Task Its_caller_can_cancel_it()
    {
        using var core = new Core(await CreateAsync());

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => core.Housekeeping.RunAsync(new CancellationToken(canceled: true)));
    }

    private static async Task<List<InstanceId>> RemovedAsync(IInstanceStore store) =>
        [.. (await store.ListAsync(InstanceStatus.Removed, null, IInstanceStore.MaxPage, None)).Instances.Select(instance => instance.Id)];

    private static Instance Tombstone(DateTimeOffset removedAt) =>
        Samples.NewInstance() with { Status = InstanceStatus.Removed, RemovedAt = removedAt, UpdatedAt = removedAt };
}
