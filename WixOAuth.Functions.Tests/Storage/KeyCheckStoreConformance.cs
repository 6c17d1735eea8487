using Azure.Data.Tables;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Storage;
using static WixOAuth.Functions.Tests.Storage.Samples;

namespace WixOAuth.Functions.Tests.Storage;

public sealed class MemoryKeyCheckTests : KeyCheckStoreConformance
{
    private protected override Task<IKeyCheckStore> CreateAsync() => Task.FromResult<IKeyCheckStore>(new MemoryInstanceStore());
}

[Collection(AzuriteFixture.Name)]
public sealed class TableKeyCheckTests(AzuriteFixture azurite) : KeyCheckStoreConformance
{
    private static readonly CancellationToken None = CancellationToken.None;

    private protected override async Task<IKeyCheckStore> CreateAsync() => (await azurite.CreateAsync()).Store;

    // The ranges are those of version 1, which does not know the row.
    [Fact]
    public async Task No_other_query_meets_or_removes_the_row()
    {
        var (store, table) = await azurite.CreateAsync();
        IKeyCheckStore checks = store;
        await checks.TryWriteKeyCheckAsync(null, One, None);
        var instance = (await store.TryWriteAsync(null, NewInstance() with { DueAt = Noon }, None))!.Instance;

        Assert.Equal([instance], (await store.ListAsync(null, null, 200, None)).Instances);
        Assert.Equal([instance.Id], await store.ReadSummariesAsync(None).Select(summary => summary.Id).ToListAsync());
        Assert.Equal([instance.Id], await store.ReadDueAsync(DateTimeOffset.MaxValue.AddDays(-1), None).Select(due => due.Id).ToListAsync());
        foreach (var status in Enum.GetValues<InstanceStatus>())
        {
            Assert.Equal(instance.Status == status ? [instance] : [], (await store.ListAsync(status, null, 200, None)).Instances);
        }

        Assert.Empty(await store.ReadTalliesAsync(DateTimeOffset.MinValue, None));
        Assert.Equal(0, await store.RemoveTalliesAsync(DateTimeOffset.MaxValue, 1_000, None));
        Assert.Equal(0, await store.RemoveConsumedStatesAsync(DateTimeOffset.MaxValue, 1_000, None));
        Assert.Equal(One, (await checks.FindKeyCheckAsync(None))?.Check);
        Assert.Equal("00", (await table.QueryAsync<TableEntity>("RowKey eq 'k|protection'").SingleAsync()).PartitionKey);
    }

    [Fact]
    public async Task A_row_that_an_operator_emptied_has_no_check_and_is_replaced()
    {
        var (store, table) = await azurite.CreateAsync();
        IKeyCheckStore checks = store;
        await table.AddEntityAsync(new TableEntity("00", "k|protection"));

        var emptied = await checks.FindKeyCheckAsync(None);

        Assert.NotNull(emptied);
        Assert.Null(emptied.Check);
        Assert.True(await checks.TryWriteKeyCheckAsync(emptied, One, None));
        Assert.Equal(One, (await checks.FindKeyCheckAsync(None))?.Check);
    }

    [Fact]
    public async Task A_row_of_another_layout_is_reported_as_unreadable()
    {
        var (store, table) = await azurite.CreateAsync();
        await table.AddEntityAsync(new TableEntity("00", "k|protection") { ["Check"] = "a text" });

        await Assert.ThrowsAsync<InvalidDataException>(() => ((IKeyCheckStore)store).FindKeyCheckAsync(None));
    }

    [Fact]
    public async Task A_table_that_is_missing_is_unavailable_rather_than_empty()
    {
        IKeyCheckStore checks = new TableStore(TableConnection.Open(azurite.NewTable(), null));

        await Assert.ThrowsAsync<StorageUnavailableException>(() => checks.FindKeyCheckAsync(None));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => checks.TryWriteKeyCheckAsync(null, One, None));
    }
}

/// <summary>What every store of the key-check row has to do.</summary>
public abstract class KeyCheckStoreConformance
{
    private static readonly CancellationToken None = CancellationToken.None;

    private protected static ProtectedText One { get; } = new(new string('1', 32), new byte[] { 0, 255, 13, 10 });

    private static ProtectedText Other { get; } = new(new string('2', 32), new byte[] { 1 });

    /// <summary>A new, empty store.</summary>
    private protected abstract Task<IKeyCheckStore> CreateAsync();

    [Fact]
    public async Task The_row_is_added_once_and_read_back()
    {
        var store = await CreateAsync();
        Assert.Null(await store.FindKeyCheckAsync(None));

        Assert.True(await store.TryWriteKeyCheckAsync(null, One, None));
        Assert.False(await store.TryWriteKeyCheckAsync(null, Other, None));

        Assert.Equal(One, (await store.FindKeyCheckAsync(None))?.Check);
    }

    [Fact]
    public async Task A_write_replaces_only_what_was_read()
    {
        var store = await CreateAsync();
        await store.TryWriteKeyCheckAsync(null, One, None);
        var read = await store.FindKeyCheckAsync(None);

        Assert.True(await store.TryWriteKeyCheckAsync(read, Other, None));
        Assert.False(await store.TryWriteKeyCheckAsync(read, One, None));

        Assert.Equal(Other, (await store.FindKeyCheckAsync(None))?.Check);
    }

    [Fact]
    public async Task A_cancelled_caller_gets_OperationCanceledException()
    {
        var store = await CreateAsync();
        var cancelled = new CancellationToken(canceled: true);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.FindKeyCheckAsync(cancelled));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.TryWriteKeyCheckAsync(null, One, cancelled));
    }
}
