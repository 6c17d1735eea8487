using Moq;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>Consumed states are removed hourly, whatever their number, and keep nothing else from its work.</summary>
public sealed class ConsumedStateCleanupTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    [Fact]
    public async Task Only_rows_older_than_an_hour_are_removed_once_an_hour()
    {
        var store = new WatchedStore(new MemoryInstanceStore());
        using var core = new Core(store);
        var now = core.Clock.GetUtcNow();
        await store.TryAddConsumedStateAsync(Samples.NewConsumedState(now.AddMinutes(-60).AddTicks(-1)), None);
        var young = Samples.NewConsumedState(now.AddMinutes(-60));
        await store.TryAddConsumedStateAsync(young, None);

        Assert.Equal(1, await core.Cleanup.RunHourlyAsync(None));
        Assert.NotNull(await store.FindConsumedStateAsync(young.Nonce, young.IssuedAt, None));

        core.Clock.Advance(TimeSpan.FromHours(1) - TimeSpan.FromTicks(1));
        Assert.Equal(0, await core.Cleanup.RunHourlyAsync(None));
        core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(1, await core.Cleanup.RunHourlyAsync(None));
        Assert.Equal(2, store.CallsTo(nameof(IConsumedStateStore.RemoveConsumedStatesAsync)));
    }

    [Fact]
    public async Task Old_rows_are_removed_a_thousand_at_a_time_until_none_is_left()
    {
        var store = new WatchedStore(new MemoryInstanceStore());
        using var core = new Core(store);
        for (var number = 0; number < 2_500; number++)
        {
            await store.TryAddConsumedStateAsync(Samples.NewConsumedState(core.Clock.GetUtcNow().AddDays(-1)), None);
        }

        Assert.Equal(2_500, await core.Cleanup.RunHourlyAsync(None));
        Assert.Equal(3, store.CallsTo(nameof(IConsumedStateStore.RemoveConsumedStatesAsync)));
    }

    [Fact]
    public async Task Rows_left_at_the_end_of_the_time_are_removed_by_the_next_run()
    {
        var slow = new Mock<IInstanceStore>();
        var states = slow.As<IConsumedStateStore>();
        using var core = new Core(slow.Object);
        var left = 3;
        states.Setup(each => each.RemoveConsumedStatesAsync(It.IsAny<DateTimeOffset>(), It.IsAny<int>(), It.IsAny<CancellationToken>()))
            .Returns(async (DateTimeOffset _, int limit, CancellationToken cancellationToken) =>
            {
                await Task.Delay(TimeSpan.FromSeconds(20), core.Clock, cancellationToken);
                return left-- > 0 ? limit : 0;
            });

        Assert.Equal(1_000, await core.RunAsync(() => core.Cleanup.RunHourlyAsync(None), TimeSpan.FromSeconds(1)));
        Assert.Equal(1_000, await core.RunAsync(() => core.Cleanup.RunHourlyAsync(None), TimeSpan.FromSeconds(1)));
        Assert.Equal(1_000, await core.RunAsync(() => core.Cleanup.RunHourlyAsync(None), TimeSpan.FromSeconds(1)));
    }

    [Fact]
    public async Task A_failure_is_tried_again_by_the_next_run()
    {
        var store = new Mock<IInstanceStore>();
        store.As<IConsumedStateStore>().SetupSequence(each => each.RemoveConsumedStatesAsync(It.IsAny<DateTimeOffset>(), It.IsAny<int>(), It.IsAny<CancellationToken>()))
            .Throws(new StorageUnavailableException("The storage is down."))
            .ReturnsAsync(7);
        using var core = new Core(store.Object);

        await Assert.ThrowsAsync<StorageUnavailableException>(() => core.Cleanup.RunHourlyAsync(None));
        Assert.Equal(7, await core.Cleanup.RunHourlyAsync(None));
    }
}
