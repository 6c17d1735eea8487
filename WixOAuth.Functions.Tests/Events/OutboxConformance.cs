using Azure.Core.Pipeline;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Events;

public sealed class MemoryOutboxTests : OutboxConformance
{
    private protected override Task<(IInstanceStore Store, IOutbox Outbox)> CreateAsync(EventRecorder recorder)
    {
        var store = new MemoryInstanceStore(recorder);
        return Task.FromResult<(IInstanceStore, IOutbox)>((store, store));
    }
}

[Collection(AzuriteFixture.Name)]
public sealed class TableOutboxTests(AzuriteFixture azurite) : OutboxConformance
{
    private protected override async Task<(IInstanceStore Store, IOutbox Outbox)> CreateAsync(EventRecorder recorder)
    {
        var table = await CreateTableAsync();
        return (new TableStore(table, recorder), new TableOutbox(new TableGateway(table)));
    }

    [Theory]
    [InlineData("Type", "a_type_of_a_newer_version")]
    [InlineData("Attempts", "many")]
    [InlineData("OccurredAt", null)]
    public async Task An_event_that_cannot_be_read_is_left_out_and_holds_back_no_other(string property, object? value)
    {
        var table = await CreateTableAsync();
        var (store, outbox) = (new TableStore(table, NewRecorder()), new TableOutbox(new TableGateway(table)));
        var instance = (await ConnectAsync(store)).Instance;
        var row = OutboxRows.ToRow(await outbox.ReadWaitingAsync(instance.Id, default).SingleAsync());
        row.RowKey = $"o|{instance.Id}|{1:D19}";
        row[property] = value;
        await table.AddEntityAsync(row);
        await table.AddEntityAsync(new TableEntity(row.PartitionKey, $"o|{instance.Id}|not-a-number"));

        Assert.Single(await outbox.ReadAsync(OutboxPart.Waiting, default).ToListAsync());
    }

    [Fact]
    public async Task An_outbox_that_cannot_be_written_makes_no_write_fail_and_the_loss_is_logged()
    {
        var options = azurite.NewTable();
        var table = TableConnection.Open(options, null);
        await table.CreateAsync();
        using var wire = new OutboxRefusals();
        var logs = new LogLines();
        var recorder = new EventRecorder(TestClock.New(), logs.For<EventRecorder>());
        var store = new TableStore(TableConnection.Open(options, null, new HttpClientTransport(wire), pause: TimeSpan.Zero), recorder);

        var stored = await ConnectAsync(store);

        Assert.Equal(1, wire.Refused);
        Assert.Equal(stored.ETag, (await store.FindAsync(stored.Instance.Id, default))!.ETag);
        Assert.Empty(await new TableOutbox(new TableGateway(table)).ReadAsync(OutboxPart.All, default).ToListAsync());
        Assert.Single(logs.Of(905));
    }

    [Theory]
    [InlineData("408 OperationTimedOut")]
    [InlineData("429 TooManyRequests")]
    [InlineData("500 InternalError")]
    [InlineData("503 ServerBusy")]
    public async Task An_outbox_that_is_busy_loses_no_event(string status)
    {
        var options = azurite.NewTable();
        var table = TableConnection.Open(options, null);
        await table.CreateAsync();
        using var wire = new OutboxRefusals(status);
        var logs = new LogLines();
        var recorder = new EventRecorder(TestClock.New(), logs.For<EventRecorder>());
        var store = new TableStore(TableConnection.Open(options, null, new HttpClientTransport(wire), pause: TimeSpan.Zero), recorder);

        await Assert.ThrowsAsync<StorageUnavailableException>(() => ConnectAsync(store));

        Assert.Empty(logs.Of(905));
        Assert.Empty(await table.QueryAsync<TableEntity>().ToListAsync());
    }

    [Fact]
    public async Task An_event_and_its_change_are_written_in_one_transaction()
    {
        var table = await CreateTableAsync();
        var (store, outbox) = (new TableStore(table, NewRecorder()), new TableOutbox(new TableGateway(table)));
        var stored = await ConnectAsync(store);
        await store.TryWriteAsync(stored, stored.Instance with { DueAt = Samples.Noon }, default);

        // The ETag is no longer the stored one: neither the removal nor its event is written.
        Assert.Null(await store.TryWriteAsync(stored, Instance.Forget(stored.Instance, stored.Instance.Id, Samples.Noon), default));

        Assert.Equal(InstanceEventType.Connected, (await outbox.ReadAsync(OutboxPart.Waiting, default).SingleAsync()).Type);
    }

    private async Task<TableClient> CreateTableAsync()
    {
        var table = TableConnection.Open(azurite.NewTable(), null);
        await table.CreateAsync();
        return table;
    }
}

/// <summary>What every outbox has to do.</summary>
public abstract class OutboxConformance
{
    private static readonly CancellationToken None = CancellationToken.None;

    /// <summary>A new, empty store and its outbox.</summary>
    private protected abstract Task<(IInstanceStore Store, IOutbox Outbox)> CreateAsync(EventRecorder recorder);

    private protected static EventRecorder NewRecorder(TimeProvider? time = null) =>
        new(time ?? TestClock.New(), NullLogger<EventRecorder>.Instance);

    private protected static async Task<StoredInstance> ConnectAsync(IInstanceStore store, InstanceId? id = null) =>
        (await store.TryWriteAsync(null, Samples.NewInstance(id) with { ConsentId = "consent", ConsentedAt = Samples.Noon }, None))!;

    [Fact]
    public async Task Events_of_an_instance_are_in_order_although_the_clock_was_set_back()
    {
        var clock = TestClock.New();
        var (store, outbox) = await CreateAsync(NewRecorder(clock));
        var stored = await ConnectAsync(store);
        var connectedAt = clock.GetUtcNow();
        clock.AdjustTime(connectedAt.AddHours(-1));

        stored = (await store.TryWriteAsync(stored, stored.Instance.SetupCompleted(Samples.Noon), None))!;
        await store.TryWriteAsync(stored, Instance.Forget(stored.Instance, stored.Instance.Id, Samples.Noon), None);

        var events = await outbox.ReadWaitingAsync(stored.Instance.Id, None).ToListAsync();
        Assert.Equal(
            [InstanceEventType.Connected, InstanceEventType.SetupCompleted, InstanceEventType.Removed],
            events.Select(each => each.Type));
        Assert.Equal(3, events.Select(each => each.Id).Distinct().Count());
        Assert.Equal(events.Select(each => each.Sequence).Order(), events.Select(each => each.Sequence));

        // Receivers compare the times.
        Assert.Equal(events.Select(each => each.OccurredAt).Order(), events.Select(each => each.OccurredAt));
        Assert.Equal(3, events.Select(each => each.OccurredAt).Distinct().Count());
        Assert.Equal([connectedAt, connectedAt.AddHours(-1), connectedAt.AddHours(-1)], events.Select(each => each.WaitingSince));
    }

    [Fact]
    public async Task Every_property_of_an_event_is_stored_and_read_back()
    {
        var (store, outbox) = await CreateAsync(NewRecorder());
        var stored = await ConnectAsync(store);
        var read = await outbox.ReadAsync(OutboxPart.Waiting, None).SingleAsync();
        Assert.Equal((stored.Instance.Id, InstanceEventType.Connected, "consent"), (read.InstanceId, read.Type, read.Reason));

        var changed = read with
        {
            Attempts = 3,
            LastAttemptAt = Samples.Noon,
            RetryAt = Samples.Noon.AddMinutes(1),
            WaitingSince = Samples.Noon.AddMinutes(2),
            Lease = new Lease("process", Samples.Noon.AddMinutes(3)),
        };
        var saved = await outbox.TrySaveAsync(read, changed, None);

        Assert.Equal(changed with { ETag = saved!.ETag }, await outbox.ReadAsync(OutboxPart.Waiting, None).SingleAsync());
    }

    [Fact]
    public async Task One_of_two_writers_wins()
    {
        var (store, outbox) = await CreateAsync(NewRecorder());
        await ConnectAsync(store);
        var read = await outbox.ReadAsync(OutboxPart.Waiting, None).SingleAsync();

        Assert.NotNull(await outbox.TrySaveAsync(read, read with { Attempts = 1 }, None));
        Assert.Null(await outbox.TrySaveAsync(read, read with { Attempts = 2 }, None));
        Assert.Null(await outbox.TrySaveAsync(read, read with { ParkedAt = Samples.Noon }, None));
        Assert.Equal(1, (await outbox.ReadAsync(OutboxPart.Waiting, None).SingleAsync()).Attempts);
    }

    [Fact]
    public async Task A_parked_event_waits_no_more_until_it_is_made_due_again()
    {
        var (store, outbox) = await CreateAsync(NewRecorder());
        await ConnectAsync(store);
        var read = await outbox.ReadAsync(OutboxPart.Waiting, None).SingleAsync();

        var parked = (await outbox.TrySaveAsync(read, read with { ParkedAt = Samples.Noon }, None))!;
        Assert.Empty(await outbox.ReadAsync(OutboxPart.Waiting, None).ToListAsync());
        Assert.Equal([parked], await outbox.ReadAsync(OutboxPart.Parked, None).ToListAsync());
        await ConnectAsync(store);
        Assert.Equal([true, false], (await outbox.ReadAsync(OutboxPart.All, None).ToListAsync()).Select(each => each.ParkedAt is null).OrderDescending());

        Assert.NotNull(await outbox.TrySaveAsync(parked, parked with { ParkedAt = null }, None));
        Assert.Empty(await outbox.ReadAsync(OutboxPart.Parked, None).ToListAsync());
        Assert.Equal(read.Id, (await outbox.ReadWaitingAsync(read.InstanceId, None).SingleAsync()).Id);
    }

    [Fact]
    public async Task A_removed_event_is_gone_and_may_be_removed_again()
    {
        var (store, outbox) = await CreateAsync(NewRecorder());
        await ConnectAsync(store);
        var read = await outbox.ReadAsync(OutboxPart.Waiting, None).SingleAsync();

        await outbox.RemoveAsync(read, None);
        await outbox.RemoveAsync(read, None);

        Assert.Empty(await outbox.ReadAsync(OutboxPart.Waiting, None).ToListAsync());
        Assert.Null(await outbox.TrySaveAsync(read, read with { Attempts = 1 }, None));
    }

    [Fact]
    public async Task A_write_without_a_transition_adds_no_event()
    {
        var (store, outbox) = await CreateAsync(NewRecorder());
        var stored = await ConnectAsync(store);
        await store.TryWriteAsync(stored, stored.Instance with { DueAt = Samples.Noon, LastUsedAt = Samples.Noon }, None);

        Assert.Single(await outbox.ReadAsync(OutboxPart.Waiting, None).ToListAsync());
    }
}
