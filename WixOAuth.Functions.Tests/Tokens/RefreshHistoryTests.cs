using Microsoft.Extensions.Time.Testing;
using Moq;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class RefreshHistoryTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    // At the beginning of a stretch.
    private readonly FakeTimeProvider _clock = new(new DateTimeOffset(2030, 1, 1, 12, 0, 0, TimeSpan.Zero));
    private readonly MemoryInstanceStore _store = new();
    private readonly LogLines _logs = new();
    private readonly RefreshHistory _history;

    public RefreshHistoryTests() => _history = New(_store);

    public void Dispose() => _history.Dispose();

    [Fact]
    public async Task The_last_hour_is_listed_in_five_minute_intervals_oldest_first()
    {
        for (var stretch = 0; stretch < RefreshHistory.IntervalCount; stretch++)
        {
            Add(_history, succeeded: stretch, failed: 2 * stretch);
            _clock.Advance(RefreshHistory.Interval - TimeSpan.FromTicks(1));
            Add(_history, succeeded: 1, failed: 1);
            _clock.Advance(TimeSpan.FromTicks(stretch < RefreshHistory.IntervalCount - 1 ? 1 : 0));
        }

        Assert.Equal(
            Enumerable.Range(0, RefreshHistory.IntervalCount).Select(stretch => new RefreshCount(
                new DateTimeOffset(2030, 1, 1, 12, 0, 0, TimeSpan.Zero) + (stretch * RefreshHistory.Interval), stretch + 1, (2 * stretch) + 1)),
            await _history.ReadAsync(None));
    }

    [Fact]
    public async Task Counts_older_than_an_hour_are_dropped()
    {
        Add(_history, succeeded: 3, failed: 4);
        await _history.SaveAsync(None);
        _clock.Advance(TimeSpan.FromHours(1));

        Assert.All(await _history.ReadAsync(None), count => Assert.Equal((0, 0), (count.Succeeded, count.Failed)));
        Assert.All(await New(_store).ReadAsync(None), count => Assert.Equal((0, 0), (count.Succeeded, count.Failed)));
        Add(_history, succeeded: 1, failed: 0);
        Assert.Equal((1, 0), await LastAsync(_history));
        Assert.Equal(1, (await _history.ReadAsync(None)).Sum(count => count.Succeeded + count.Failed));
    }

    [Fact]
    public async Task Each_process_reports_the_counts_of_all_and_counts_nothing_twice()
    {
        var other = New(_store);
        Add(_history, succeeded: 2, failed: 1);
        Add(other, succeeded: 10, failed: 20);
        Assert.Equal((2, 1), await LastAsync(_history));

        await _history.SaveAsync(None);
        await other.SaveAsync(None);
        Add(other, succeeded: 1, failed: 0);

        // What the other one has counted since is not known here yet.
        Assert.Equal((12, 21), await LastAsync(_history));
        Assert.Equal((13, 21), await LastAsync(other));
        await other.SaveAsync(None);
        Assert.Equal((13, 21), await LastAsync(_history));
        Assert.Equal((13, 21), await LastAsync(New(_store)));
    }

    [Fact]
    public async Task Counts_that_have_not_changed_are_not_written()
    {
        var store = new Mock<IRefreshTallyStore>();
        var history = New(store.Object);
        await history.SaveAsync(None);
        Add(history, succeeded: 1, failed: 0);
        await history.SaveAsync(None);
        await history.SaveAsync(None);
        store.Verify(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), None), Times.Once);

        // Two intervals with new counts are still one write.
        Add(history, succeeded: 0, failed: 1);
        _clock.Advance(RefreshHistory.Interval);
        Add(history, succeeded: 0, failed: 1);
        await history.SaveAsync(None);
        store.Verify(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), None), Times.Exactly(2));
        store.Verify(it => it.SaveTalliesAsync(It.Is<IReadOnlyCollection<RefreshTally>>(tallies => tallies.Count == 2 && tallies.Any(tally => tally.Succeeded == 1 && tally.Failed == 1)), None), Times.Once);
    }

    [Fact]
    public async Task A_failed_save_is_retried_and_counting_continues()
    {
        var store = new Mock<IRefreshTallyStore>();
        store.Setup(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), None)).ThrowsAsync(new StorageUnavailableException("The storage is down."));
        var history = New(store.Object);
        Add(history, succeeded: 1, failed: 0);
        await history.SaveAsync(None);
        Assert.Single(_logs.Of(422));

        store.Setup(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), None)).Returns<IReadOnlyCollection<RefreshTally>, CancellationToken>(_store.SaveTalliesAsync);
        Add(history, succeeded: 1, failed: 0);
        await history.SaveAsync(None);
        Assert.Equal((2, 0), await LastAsync(New(_store)));
    }

    [Fact]
    public async Task Counts_made_during_a_save_are_saved_the_next_time()
    {
        var store = new Mock<IRefreshTallyStore>();
        var gate = new TaskCompletionSource();
        store.Setup(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), None)).Returns<IReadOnlyCollection<RefreshTally>, CancellationToken>(async (tallies, token) =>
        {
            await gate.Task;
            await _store.SaveTalliesAsync(tallies, token);
        });
        var history = New(store.Object);
        Add(history, succeeded: 1, failed: 0);
        var saving = history.SaveAsync(None);
        Add(history, succeeded: 1, failed: 0);

        // Two concurrent saves could leave the lower count behind.
        await history.SaveAsync(None);
        gate.SetResult();
        await saving;
        Assert.Equal((1, 0), await LastAsync(New(_store)));
        await history.SaveAsync(None);
        Assert.Equal((2, 0), await LastAsync(New(_store)));
    }

    [Fact]
    public async Task A_sweep_saves_its_counts()
    {
        using var core = new Core(_store);
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("next"));
        var id = Core.NewId();
        await core.InstallAsync(id);
        core.Clock.Advance(TimeSpan.FromMinutes(4));

        Assert.Equal(1, (await core.Sweep.RunAsync(None)).Refreshed);

        Assert.Equal(1, (await new RefreshHistory(_store, core.Clock, _logs.For<RefreshHistory>()).ReadAsync(None))[^1].Succeeded);
    }

    [Fact]
    public async Task A_sweep_does_not_wait_long_for_its_counts_to_be_saved()
    {
        var asked = new TaskCompletionSource();
        var store = new Mock<IInstanceStore>();
        store.Setup(it => it.ReadDueAsync(It.IsAny<DateTimeOffset>(), It.IsAny<CancellationToken>(), It.IsAny<InstanceShard?>())).Returns(AsyncEnumerable.Empty<DueInstance>());
        var silent = store.As<IRefreshTallyStore>();
        silent.Setup(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), It.IsAny<CancellationToken>()))
            .Returns<IReadOnlyCollection<RefreshTally>, CancellationToken>((_, token) =>
            {
                asked.SetResult();
                return new TaskCompletionSource().Task.WaitAsync(token);
            });
        using var core = new Core(store.Object);
        core.History.Add(succeeded: true);

        var sweep = core.Sweep.RunAsync(None);
        await asked.Task;
        core.Clock.Advance(TimeSpan.FromSeconds(2));
        await sweep.WaitAsync(TimeSpan.FromMinutes(3));

        // The next one tries again.
        silent.Setup(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), It.IsAny<CancellationToken>())).Returns<IReadOnlyCollection<RefreshTally>, CancellationToken>(_store.SaveTalliesAsync);
        await core.Sweep.RunAsync(None);
        Assert.Single(await _store.ReadTalliesAsync(DateTimeOffset.MinValue, None));
    }

    [Fact]
    public async Task Without_sweeps_the_counts_are_saved_every_five_minutes()
    {
        var saved = new TaskCompletionSource();
        var store = new Mock<IRefreshTallyStore>();
        store.Setup(it => it.SaveTalliesAsync(It.IsAny<IReadOnlyCollection<RefreshTally>>(), It.IsAny<CancellationToken>())).Returns(() =>
        {
            saved.TrySetResult();
            return Task.CompletedTask;
        });
        var history = New(store.Object);
        await history.StartAsync(None);
        Add(history, succeeded: 1, failed: 0);
        Assert.False(saved.Task.IsCompleted);

        _clock.Advance(RefreshHistory.Interval);

        await saved.Task.WaitAsync(TimeSpan.FromMinutes(3));
        await history.StopAsync(None);
    }

    [Fact]
    public async Task Unsaved_counts_are_saved_when_the_process_stops()
    {
        await _history.StartAsync(None);
        Add(_history, succeeded: 1, failed: 1);

        await _history.StopAsync(None);

        Assert.Equal((1, 1), await LastAsync(New(_store)));
    }

    private RefreshHistory New(IRefreshTallyStore store) => new(store, _clock, _logs.For<RefreshHistory>());

    private static async Task<(int Succeeded, int Failed)> LastAsync(RefreshHistory history) =>
        (await history.ReadAsync(None))[^1] is var count ? (count.Succeeded, count.Failed) : default;

    private static void Add(RefreshHistory history, int succeeded, int failed)
    {
        for (var number = 0; number < succeeded; number++)
        {
            history.Add(succeeded: true);
        }

        for (var number = 0; number < failed; number++)
        {
            history.Add(succeeded: false);
        }
    }
}
