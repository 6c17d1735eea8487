using Azure.Data.Tables;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Storage;
using static WixOAuth.Functions.Tests.Storage.Samples;

namespace WixOAuth.Functions.Tests.Storage;

[Collection(AzuriteFixture.Name)]
public sealed class TableInstanceStoreTests(AzuriteFixture azurite) : InstanceStoreConformance
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly long _startedAt = TimeProvider.System.GetTimestamp();

    private protected override async Task<IInstanceStore> CreateAsync() => (await azurite.CreateAsync()).Store;

    [Fact]
    public async Task The_rows_of_an_instance_change_together()
    {
        var (store, table) = await azurite.CreateAsync();
        var id = NewId();
        var stored = await store.TryWriteAsync(null, NewInstance(id) with { DueAt = Noon }, None);
        Assert.Equal([$"d|{Noon.UtcTicks:D19}|{id}", $"i|{id}", $"s|active|{id}"], await RowsAsync(table));

        var later = Noon.AddMinutes(1);
        stored = await store.TryWriteAsync(stored, stored!.Instance with { Status = InstanceStatus.ReinstallRequired, DueAt = later }, None);
        Assert.Equal([$"d|{later.UtcTicks:D19}|{id}", $"i|{id}", $"s|reinstall_required|{id}"], await RowsAsync(table));

        stored = await store.TryWriteAsync(stored, stored!.Instance with { Status = InstanceStatus.Removed, DueAt = null }, None);
        Assert.Equal([$"i|{id}", $"s|removed|{id}"], await RowsAsync(table));

        await store.SaveLastUseAsync(id, Noon, None);
        Assert.Equal([$"i|{id}", $"s|removed|{id}", $"u|{id}"], await RowsAsync(table));
        Assert.Single(await table.QueryAsync<TableEntity>().Select(row => row.PartitionKey).Distinct().ToListAsync());
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(22, 0)]
    [InlineData(22, 22)]
    [InlineData(-22, 0)]
    [InlineData(0, 22)]
    [InlineData(0, -22)]
    [InlineData(-22, -22)]
    [InlineData(4, -3)]
    public async Task A_stored_access_token_ends_when_it_ends_whatever_the_clocks_of_its_writer_and_its_reader(int writersLead, int readersLead)
    {
        var (_, table) = await azurite.CreateAsync();
        var (writers, readers) = (ClockAhead(writersLead), ClockAhead(readersLead));
        var (writer, reader) = (new TableStore(table, time: writers), new TableStore(table, time: readers));
        var instance = NewInstance() with { RefreshToken = new ProtectedText("a-key", new byte[41]) };
        await writer.TryWriteAsync(null, instance, None);
        await writer.TryWriteAsync(await writer.FindAsync(instance.Id, None), WithToken(instance, writers), None);

        // Each write dates the row anew, as that of a lease does.
        foreach (var store in (TableStore[])[writer, reader, writer])
        {
            Assert.Equal(5, await MinutesLeftAsync(reader, readers), tolerance: ToleratedMinutes);
            Assert.Equal(5, await MinutesLeftAsync(writer, writers), tolerance: ToleratedMinutes);
            var stored = await store.FindAsync(instance.Id, None);
            Assert.NotNull(await store.TryWriteAsync(stored, stored!.Instance with { CommitId = "another" }, None));
        }

        async Task<double> MinutesLeftAsync(TableStore store, FakeTimeProvider clock) =>
            ((await store.FindAsync(instance.Id, None))!.Instance.AccessTokenExpiresOn!.Value - clock.GetUtcNow()).TotalMinutes;
    }

    [Theory]
    [InlineData(22, 5)]
    [InlineData(-22, -17)]
    public async Task A_token_of_a_writer_that_knows_no_clock_but_its_own_is_not_served_past_its_end(int writersLead, int minutesLeft)
    {
        var (store, table) = await azurite.CreateAsync();
        var instance = WithToken(NewInstance(), ClockAhead(writersLead));
        await store.TryWriteAsync(null, instance, None);

        var read = (await new TableStore(table, time: TimeProvider.System).FindAsync(instance.Id, None))!.Instance;

        Assert.Equal(minutesLeft, (read.AccessTokenExpiresOn!.Value - TimeProvider.System.GetUtcNow()).TotalMinutes, tolerance: ToleratedMinutes);
    }

    [Fact]
    public async Task A_refused_write_changes_no_row()
    {
        var (store, table) = await azurite.CreateAsync();
        var old = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        await store.TryWriteAsync(old, old!.Instance with { Generation = 2 }, None);
        var before = await RowsAsync(table);

        Assert.Null(await store.TryWriteAsync(old, old.Instance with { Status = InstanceStatus.Removed, DueAt = Noon.AddHours(1) }, None));
        Assert.Null(await store.TryWriteAsync(null, old.Instance with { Status = InstanceStatus.Removed, DueAt = Noon.AddHours(1) }, None));

        Assert.Equal(before, await RowsAsync(table));
    }

    [Fact]
    public async Task Missing_rows_of_both_indexes_do_not_prevent_a_write()
    {
        var (store, table) = await azurite.CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        var id = stored!.Instance.Id;
        await table.DeleteEntityAsync(InstanceRows.ShardOf(id), InstanceRows.DueKey(Noon, id));
        await table.DeleteEntityAsync(InstanceRows.ShardOf(id), InstanceRows.StatusKey(InstanceStatus.Active, id));

        var written = await store.TryWriteAsync(stored, stored.Instance with { Status = InstanceStatus.Removed, DueAt = null }, None);

        Assert.Equal(written, await store.FindAsync(id, None));
        Assert.Equal([$"i|{id}", $"s|removed|{id}"], await RowsAsync(table));
    }

    [Fact]
    public async Task A_missing_instance_is_not_confused_with_an_index_row()
    {
        var (store, table) = await azurite.CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        var id = stored!.Instance.Id;
        foreach (var row in await RowsAsync(table))
        {
            await table.DeleteEntityAsync(InstanceRows.ShardOf(id), row);
        }

        Assert.Null(await store.TryWriteAsync(stored, stored.Instance with { DueAt = Noon.AddHours(1) }, None));

        Assert.Empty(await RowsAsync(table));
    }

    [Fact]
    public async Task Properties_that_a_newer_version_adds_are_ignored()
    {
        var (store, table) = await azurite.CreateAsync();
        var stored = await store.TryWriteAsync(null, NewInstance(), None);
        var (shard, rowKey) = KeyOf(stored!.Instance.Id);
        await table.UpdateEntityAsync(new TableEntity(shard, rowKey) { ["Tomorrow"] = Guid.NewGuid() }, Azure.ETag.All);

        var found = await store.FindAsync(stored.Instance.Id, None);

        Assert.Equal(stored.Instance, found!.Instance);
        Assert.NotNull(await store.TryWriteAsync(found, found.Instance with { Generation = 2 }, None));
    }

    [Theory]
    [InlineData("Status", "not-a-status")]
    [InlineData("Status", 987654321)]
    [InlineData("Generation", "not-a-number")]
    [InlineData("InstalledAt", "not-a-time")]
    [InlineData("Forgotten", "not-a-flag")]
    [InlineData("RefreshToken", "not-binary")]
    public async Task An_unreadable_row_affects_only_itself(string property, object value)
    {
        var (store, table) = await azurite.CreateAsync();
        var bad = (await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None))!.Instance.Id;
        var good = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        var (shard, rowKey) = KeyOf(bad);
        await table.UpdateEntityAsync(new TableEntity(shard, rowKey) { [property] = value }, Azure.ETag.All);

        var raised = await Assert.ThrowsAsync<InvalidDataException>(() => store.FindAsync(bad, None));

        Assert.Contains(bad.ToString(), raised.Message, StringComparison.Ordinal);
        Assert.Contains(property, raised.Message, StringComparison.Ordinal);
        Assert.DoesNotContain($"{value}", raised.Message, StringComparison.Ordinal);
        Assert.Equal(good, await store.FindAsync(good!.Instance.Id, None));
        Assert.Equal(2, await store.ReadDueAsync(Noon, None).CountAsync());
        Assert.Equal([good.Instance], (await store.ListAsync(null, null, 200, None)).Instances);
        Assert.Equal([good.Instance], (await store.ListAsync(InstanceStatus.Active, null, 200, None)).Instances);
    }

    [Fact]
    public async Task An_instance_without_a_required_property_is_unreadable()
    {
        var (store, table) = await azurite.CreateAsync();
        var id = NewId();
        var (shard, rowKey) = KeyOf(id);
        await table.AddEntityAsync(new TableEntity(shard, rowKey) { ["Status"] = "active" });

        await Assert.ThrowsAsync<InvalidDataException>(() => store.FindAsync(id, None));
    }

    [Theory]
    [InlineData("d|0000000000000000000|not-an-id")]
    [InlineData("d|0000000000000000000")]
    [InlineData("d|0|11111111-1111-1111-1111-111111111111")]
    [InlineData("d|00000000000000000-1|11111111-1111-1111-1111-111111111111")]
    public async Task An_unreadable_due_row_is_skipped(string rowKey)
    {
        var (store, table) = await azurite.CreateAsync();
        await table.AddEntityAsync(new TableEntity("00", rowKey));
        var stored = await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);

        Assert.Equal([new DueInstance(stored!.Instance.Id, Noon)], await store.ReadDueAsync(Noon, None).ToListAsync());
    }

    [Fact]
    public async Task Due_instances_are_read_from_all_shards_in_turn()
    {
        var (store, _) = await azurite.CreateAsync();
        for (var number = 0; number < 100; number++)
        {
            await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None);
        }

        var shards = await store.ReadDueAsync(Noon, None).Select(due => InstanceRows.ShardOf(due.Id)).ToListAsync();

        var all = shards.Distinct().Count();
        Assert.True(all > 10, $"100 instances lie in {all} shards only.");
        Assert.Equal(all, shards.Take(all).Distinct().Count());
    }

    [Fact]
    public async Task All_summaries_are_read_and_a_reader_can_stop_early()
    {
        var (store, table) = await azurite.CreateAsync();

        // More than are read ahead, and more than a page, all of one shard.
        const int Many = 2_300;
        foreach (var some in Enumerable.Range(0, Many).Select(_ => InstanceRow.Of(NewInstance())).Chunk(100))
        {
            await table.SubmitTransactionAsync(some.Select(row =>
            {
                row.PartitionKey = "03";
                return new TableTransactionAction(TableTransactionActionType.Add, row);
            }));
        }

        Assert.Equal(Many, await store.ReadSummariesAsync(None).Select(summary => summary.Id).Distinct().CountAsync());
        Assert.Equal(3, await store.ReadSummariesAsync(None).Take(3).CountAsync().AsTask().WaitAsync(TimeSpan.FromMinutes(3)));
    }

    [Fact]
    public async Task More_consumed_states_of_a_shard_than_a_transaction_holds_are_removed()
    {
        var (store, table) = await azurite.CreateAsync();
        var shard = InstanceRows.ConsumedStateKey(NewConsumedState().Nonce, Noon).Shard;
        var rows = new List<TableEntity>();
        while (rows.Count < 250)
        {
            var row = InstanceRows.ToRow(NewConsumedState(Noon));
            if (row.PartitionKey == shard)
            {
                rows.Add(row);
            }
        }

        foreach (var some in rows.Chunk(100))
        {
            await table.SubmitTransactionAsync(some.Select(row => new TableTransactionAction(TableTransactionActionType.Add, row)));
        }

        Assert.Equal(130, await store.RemoveConsumedStatesAsync(Noon.AddTicks(1), 130, None));
        Assert.Equal(120, (await RowsAsync(table)).Count);
        Assert.Equal(120, await store.RemoveConsumedStatesAsync(Noon.AddTicks(1), 1_000, None));
        Assert.Empty(await RowsAsync(table));
    }

    [Fact]
    public async Task The_partition_of_a_consumed_state_depends_on_its_nonce_only()
    {
        var (store, table) = await azurite.CreateAsync();
        var nonce = NewConsumedState().Nonce;
        Assert.True(await store.TryAddConsumedStateAsync(NewConsumedState(nonce: nonce), None));
        for (var number = 0; number < 40; number++)
        {
            Assert.False(await store.TryAddConsumedStateAsync(NewConsumedState(nonce: nonce), None));
        }

        Assert.Single(await RowsAsync(table));
    }

    [Theory]
    [InlineData("")]
    [InlineData("0123456789ABCDEF0123456789ABCDEF")]
    [InlineData("0123456789abcdef/#?\\456789abcdef")]
    public async Task A_malformed_nonce_never_reaches_the_table(string nonce)
    {
        var (store, table) = await azurite.CreateAsync();

        await Assert.ThrowsAsync<ArgumentException>(() => store.TryAddConsumedStateAsync(NewConsumedState(nonce: nonce), None));
        await Assert.ThrowsAsync<ArgumentException>(() => store.FindConsumedStateAsync(nonce, Noon, None));

        Assert.Empty(await RowsAsync(table));
    }

    [Fact]
    public async Task A_time_that_Azure_would_refuse_never_reaches_the_table()
    {
        var (store, table) = await azurite.CreateAsync();

        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() =>
            store.TryWriteAsync(null, NewInstance() with { AccessTokenExpiresOn = DateTimeOffset.MinValue }, None));

        Assert.Empty(await RowsAsync(table));
    }

    // Known answers: another hash would lose every row that is stored already.
    [Theory]
    [InlineData("00000001-0000-0000-0000-000000000000", "12")]
    [InlineData("a1b2c3d4-e5f6-4711-8899-aabbccddeeff", "01")]
    [InlineData("ffffffff-ffff-ffff-ffff-ffffffffffff", "10")]
    public void The_shard_of_an_instance_never_changes(string id, string shard)
    {
        Assert.True(InstanceId.TryParse(id, out var instance));
        Assert.Equal(shard, InstanceRows.ShardOf(instance));
    }

    private static (string Shard, string RowKey) KeyOf(InstanceId id) => (InstanceRows.ShardOf(id), InstanceRows.InstanceKey(id));

    /// <summary>Azurite's clock goes on while the test runs.</summary>
    private double ToleratedMinutes => 0.2 + TimeProvider.System.GetElapsedTime(_startedAt).TotalMinutes;

    private static FakeTimeProvider ClockAhead(int minutes) => new(TimeProvider.System.GetUtcNow().AddMinutes(minutes));

    private static Instance WithToken(Instance instance, TimeProvider clock) => instance with
    {
        AccessToken = new ProtectedText("a-key", new byte[40]),
        AccessTokenIssuedAt = clock.GetUtcNow(),
        AccessTokenExpiresOn = clock.GetUtcNow().AddMinutes(5),
    };

    private static async Task<List<string>> RowsAsync(TableClient table) =>
        await table.QueryAsync<TableEntity>().Select(row => row.RowKey).Order(StringComparer.Ordinal).ToListAsync();
}
