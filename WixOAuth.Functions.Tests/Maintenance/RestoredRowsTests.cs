using Azure.Data.Tables;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>Which rows besides the instances come back from a copy.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class RestoredRowsTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;
    private CopyWorld _world = null!;
    private ProtectionKey _key = null!;

    public async Task InitializeAsync()
    {
        _world = await CopyWorld.CreateAsync(azurite);
        _key = await Core.KeyRingOf(_world.Core.Settings.Tokens.ProtectionKey!).GetCurrentAsync(None);
    }

    public Task DisposeAsync()
    {
        _world.Dispose();
        return Task.CompletedTask;
    }

    [Fact]
    public async Task Rows_that_tell_of_the_past_stay_in_the_copy_and_the_others_come_back()
    {
        var id = Core.NewId();
        await _world.Core.InstallAsync(id);
        await _world.Store.SaveLastUseAsync(id, _world.Clock.GetUtcNow(), None);
        var consumed = new TableEntity("05", $"n|{_world.Clock.GetUtcNow().UtcTicks:D19}|{new string('a', 32)}");
        await _world.Table.AddEntityAsync(consumed);
        await _world.Table.AddEntityAsync(InstanceRows.ToRow(new RefreshTally(Guid.NewGuid(), _world.Clock.GetUtcNow(), 1, 0)));
        await _world.Table.AddEntityAsync(InstanceRows.ToRow(new SweepState(_world.Clock.GetUtcNow(), 0, 0, false, false)));
        using (var check = NewCheck(_world.Table, _key))
        {
            Assert.True(await check.IsPassedAsync(None));
        }

        var restored = _world.NewTable();
        await _world.RestoreAsync(await _world.BackUpAsync(), restored);

        Assert.Equal(["h", "k", "w"], (await KindsAsync(_world.Table)).Except(await KindsAsync(restored)).Order(StringComparer.Ordinal));
        Assert.Equal(["d", "i", "n", "s", "u"], await KindsAsync(restored));
    }

    [Fact]
    public async Task The_state_of_the_last_sweep_and_the_tallies_of_the_table_stay()
    {
        await _world.Core.InstallAsync(Core.NewId());
        var manifest = await _world.BackUpAsync();
        await _world.Table.AddEntityAsync(InstanceRows.ToRow(new SweepState(_world.Clock.GetUtcNow(), 3, 0, false, false)));
        await _world.Table.AddEntityAsync(InstanceRows.ToRow(new RefreshTally(Guid.NewGuid(), _world.Clock.GetUtcNow(), 1, 0)));
        var before = await CopyWorld.DumpAsync(_world.Table, withKeyCheck: false);

        await _world.RestoreAsync(manifest);

        Assert.Equal(before, await CopyWorld.DumpAsync(_world.Table));
    }

    [Fact]
    public async Task A_wrong_key_that_the_empty_table_took_is_found_out_after_the_restore_and_the_right_one_is_taken()
    {
        await _world.Core.InstallAsync(Core.NewId());
        var manifest = await _world.BackUpAsync();
        var lost = _world.NewTable();
        await lost.CreateAsync();
        var wrong = FixedKeys.NewKey();
        using (var meetsEmptyTable = NewCheck(lost, wrong))
        {
            Assert.True(await meetsEmptyTable.IsPassedAsync(None));
        }

        await _world.RestoreAsync(manifest, lost);

        using (var check = NewCheck(lost, wrong))
        {
            Assert.False(await check.IsPassedAsync(None));
        }

        Assert.Contains($"Needed: {_key.Id};", Assert.Single(_world.Core.Logs.Of(109)), StringComparison.Ordinal);
        using var right = NewCheck(lost, _key);
        Assert.True(await right.IsPassedAsync(None));
    }

    [Fact]
    public async Task A_service_with_the_next_key_is_not_locked_out_by_a_copy_whose_key_is_lost_for_good()
    {
        await _world.Core.InstallAsync(Core.NewId());
        using (var check = NewCheck(_world.Table, _key))
        {
            Assert.True(await check.IsPassedAsync(None));
        }

        var manifest = await _world.BackUpAsync();
        var restored = _world.NewTable();

        await _world.RestoreAsync(manifest, restored, acceptsNextKey: true);

        using var next = NewCheck(restored, FixedKeys.NewKey());
        Assert.True(await next.IsPassedAsync(None));
    }

    private static readonly (string What, bool ComesBack, Func<RestoredRowsTests, InstanceId, Task> Happens)[] s_afterwards =
    [
        ("nothing happened", true, (_, _) => Task.CompletedTask),
        ("the table is lost", true, (test, id) => test._world.LoseAsync(id)),
        ("the site consented again", true, async (test, id) => { await test._world.LoseAsync(id); await test._world.Core.InstallAsync(id); }),
        ("the site was removed", false, (test, id) => test._world.ChangeAsync(id, before => Instance.AppRemoved(before, id, test.Now, false, test.Now))),
        ("the site was removed and the table is lost but for that", false, async (test, id) =>
            {
                await test._world.LoseAsync(id);
                await test._world.ChangeAsync(id, _ => Instance.AppRemoved(null, id, test.Now, false, test.Now));
            }),
        ("the table is lost and an old removal is repeated", true, async (test, id) =>
            {
                await test._world.LoseAsync(id);
                await test._world.ChangeAsync(id, _ => Instance.AppRemoved(null, id, test.Now.AddHours(-1), false, test.Now));
            }),
        ("the site was forgotten and the table is lost", false, async (test, id) => { await test._world.LoseAsync(id); await test._world.Container.AddAsync(id, None); }),
        ("the site was forgotten", false, async (test, id) => { await test._world.ChangeAsync(id, before => Instance.Forget(before, id, test.Now)); await test._world.Container.AddAsync(id, None); }),
    ];

    public static TheoryData<string> Afterwards => [.. s_afterwards.Select(each => each.What)];

    [Theory]
    [MemberData(nameof(Afterwards))]
    public async Task An_event_of_the_copy_comes_back_unless_its_site_is_gone_since(string what)
    {
        var (_, comesBack, happens) = s_afterwards.Single(each => each.What == what);
        var id = Core.NewId();
        await _world.Core.InstallAsync(id);
        await _world.Store.SaveLastUseAsync(id, Now, None);
        var waiting = new OutboxEvent(id, Now.UtcTicks, InstanceEventType.Connected, "consent", Now) { Attempts = 2, Lease = new Lease("a process", Now.AddSeconds(30)) };
        var parked = waiting with { Sequence = waiting.Sequence - 1, ParkedAt = Now, Lease = null };
        foreach (var each in new[] { waiting, parked })
        {
            await _world.Table.AddEntityAsync(OutboxRows.ToRow(each));
        }

        var manifest = await _world.BackUpAsync();
        await DeliverAsync(waiting, parked);
        _world.Clock.Advance(TimeSpan.FromMinutes(1));
        await happens(this, id);

        await _world.RestoreAsync(manifest);

        var outbox = new TableOutbox(new TableGateway(_world.Table));
        var (found, foundParked) = (await outbox.ReadWaitingAsync(id, None).ToListAsync(), await outbox.ReadAsync(OutboxPart.Parked, None).ToListAsync());
        Assert.True(comesBack == (found.Count == 1 && foundParked.Count == 1), what);
        Assert.True(comesBack || found.Count + foundParked.Count == 0, what);
        Assert.All(found, each => Assert.Equal((waiting.Id, 2, null), (each.Id, each.Attempts, each.Lease)));
    }

    [Fact]
    public async Task An_event_of_a_site_whose_removal_is_in_the_copy_comes_back()
    {
        var id = Core.NewId();
        await _world.Core.InstallAsync(id);
        await _world.ChangeAsync(id, before => Instance.AppRemoved(before, id, Now, false, Now));
        var removed = new OutboxEvent(id, Now.UtcTicks, InstanceEventType.Removed, "app_removed", Now);
        await _world.Table.AddEntityAsync(OutboxRows.ToRow(removed));
        var manifest = await _world.BackUpAsync();
        await DeliverAsync(removed);

        await _world.RestoreAsync(manifest);

        Assert.Equal(removed.Id, (await new TableOutbox(new TableGateway(_world.Table)).ReadWaitingAsync(id, None).SingleAsync()).Id);
    }

    private DateTimeOffset Now => _world.Clock.GetUtcNow();

    private async Task DeliverAsync(params OutboxEvent[] events)
    {
        foreach (var each in events)
        {
            await _world.Table.DeleteEntityAsync(OutboxRows.ToRow(each));
        }
    }

    private ProtectionKeyCheck NewCheck(TableClient table, ProtectionKey key)
    {
        var store = new TableStore(table);
        return new(store, store, new FixedKeys(key), _world.Clock, _world.Core.Logs.For<ProtectionKeyCheck>());
    }

    private static async Task<IEnumerable<string>> KindsAsync(TableClient table) =>
        [.. (await CopyWorld.RowsAsync(table).ToListAsync()).Select(row => row.RowKey.Split('|')[0]).Distinct().Order(StringComparer.Ordinal)];
}
