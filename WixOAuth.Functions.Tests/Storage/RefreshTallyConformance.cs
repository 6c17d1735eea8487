using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.Storage;
using static WixOAuth.Functions.Tests.Storage.Samples;

namespace WixOAuth.Functions.Tests.Storage;

public sealed class MemoryRefreshTallyTests : RefreshTallyConformance
{
    private protected override Task<IRefreshTallyStore> CreateAsync() => Task.FromResult<IRefreshTallyStore>(new MemoryInstanceStore());
}

[Collection(AzuriteFixture.Name)]
public sealed class TableRefreshTallyTests(AzuriteFixture azurite) : RefreshTallyConformance
{
    private static readonly CancellationToken None = CancellationToken.None;

    private protected override async Task<IRefreshTallyStore> CreateAsync() => (await azurite.CreateAsync()).Store;

    [Theory]
    [InlineData("h|0000000000000000000|not-a-process")]
    [InlineData("h|00000000000000000-1|11111111-1111-1111-1111-111111111111")]
    [InlineData("h|9999999999999999999|11111111-1111-1111-1111-111111111111")]
    public async Task A_row_of_another_layout_is_skipped(string rowKey)
    {
        var (store, table) = await azurite.CreateAsync();
        await table.AddEntityAsync(new TableEntity("00", rowKey) { ["Succeeded"] = 1, ["Failed"] = 1 });
        await store.SaveTalliesAsync([new RefreshTally(Guid.NewGuid(), Noon, 2, 1)], None);

        Assert.Single(await store.ReadTalliesAsync(DateTimeOffset.MinValue, None));
    }

    [Theory]
    [InlineData("Succeeded", null)]
    [InlineData("Succeeded", "many")]
    [InlineData("Failed", -1)]
    [InlineData("Failed", 1L)]
    public async Task A_row_with_unreadable_counts_is_skipped(string property, object? value)
    {
        var (store, table) = await azurite.CreateAsync();
        await table.AddEntityAsync(new TableEntity("00", $"h|{Noon.UtcTicks:D19}|{Guid.NewGuid()}") { ["Succeeded"] = 1, ["Failed"] = 1, [property] = value });

        Assert.Empty(await store.ReadTalliesAsync(Noon, None));
    }

    [Fact]
    public async Task More_tallies_than_a_page_are_read_and_more_than_a_transaction_removed()
    {
        var (store, table) = await azurite.CreateAsync();
        foreach (var some in Enumerable.Range(0, 1_100).Select(_ => InstanceRows.ToRow(new RefreshTally(Guid.NewGuid(), Noon, 1, 0))).Chunk(100))
        {
            await table.SubmitTransactionAsync(some.Select(row => new TableTransactionAction(TableTransactionActionType.Add, row)));
        }

        Assert.Equal(1_100, (await store.ReadTalliesAsync(Noon, None)).Sum(tally => tally.Succeeded));
        Assert.Equal(250, await store.RemoveTalliesAsync(Noon.AddTicks(1), 250, None));
        Assert.Equal(850, await store.RemoveTalliesAsync(Noon.AddTicks(1), 1_000, None));
        Assert.Empty(await store.ReadTalliesAsync(Noon, None));
    }
}

/// <summary>What every store of tallies has to do.</summary>
public abstract class RefreshTallyConformance
{
    private static readonly CancellationToken None = CancellationToken.None;

    /// <summary>A new, empty store.</summary>
    private protected abstract Task<IRefreshTallyStore> CreateAsync();

    [Fact]
    public async Task Each_process_has_one_tally_per_interval_the_last_saved()
    {
        var store = await CreateAsync();
        var (one, other) = (Guid.NewGuid(), Guid.NewGuid());
        foreach (var tallies in new RefreshTally[][] { [new(one, Noon, 1, 0)], [new(other, Noon, 5, 5)], [new(one, Noon, 3, 2)], [new(one, Noon, 3, 2), new(one, Noon.AddMinutes(5), 7, 0)] })
        {
            await store.SaveTalliesAsync(tallies, None);
        }

        var read = await store.ReadTalliesAsync(Noon, None);

        Assert.Equal(new HashSet<RefreshTally> { new(one, Noon, 3, 2), new(other, Noon, 5, 5), new(one, Noon.AddMinutes(5), 7, 0) }, read.ToHashSet());
        Assert.Equal(3, read.Count);
        Assert.Equal(Noon.AddMinutes(5), read[^1].From);
    }

    [Fact]
    public async Task Only_tallies_since_the_given_time_are_read()
    {
        var store = await CreateAsync();
        await store.SaveTalliesAsync([new RefreshTally(Guid.NewGuid(), Noon.AddTicks(-1), 1, 1)], None);
        var since = new RefreshTally(Guid.NewGuid(), Noon, 2, 2);
        await store.SaveTalliesAsync([since], None);

        Assert.Equal([since], await store.ReadTalliesAsync(Noon, None));
        Assert.Empty(await store.ReadTalliesAsync(Noon.AddTicks(1), None));
    }

    [Fact]
    public async Task Only_old_tallies_are_removed_up_to_the_limit()
    {
        var store = await CreateAsync();
        for (var number = 0; number < 5; number++)
        {
            await store.SaveTalliesAsync([new RefreshTally(Guid.NewGuid(), Noon.AddTicks(-1 - number), 1, 1)], None);
        }

        var kept = new RefreshTally(Guid.NewGuid(), Noon, 1, 1);
        await store.SaveTalliesAsync([kept], None);

        Assert.Equal(2, await store.RemoveTalliesAsync(Noon, 2, None));
        Assert.Equal(3, await store.RemoveTalliesAsync(Noon, 100, None));
        Assert.Equal(0, await store.RemoveTalliesAsync(Noon, 100, None));
        Assert.Equal([kept], await store.ReadTalliesAsync(DateTimeOffset.MinValue, None));
    }

    [Fact]
    public async Task A_cancelled_caller_gets_an_OperationCanceledException()
    {
        var store = await CreateAsync();
        var gone = new CancellationToken(canceled: true);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.SaveTalliesAsync([new RefreshTally(Guid.NewGuid(), Noon, 1, 1)], gone));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.ReadTalliesAsync(Noon, gone));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => store.RemoveTalliesAsync(Noon, 1, gone));
    }
}
