using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class LastUsedTrackerTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly InstanceId Id = Core.NewId();
    private readonly WatchedStore _store = new(new MemoryInstanceStore());
    private readonly Core _core;

    public LastUsedTrackerTests() => _core = new Core(_store, settings: ("Tokens__IdleAfter", "00:20:00"));

    private int Writes => _store.CallsTo(nameof(IInstanceStore.SaveLastUseAsync));

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task A_use_is_saved_at_once_and_then_every_half_of_the_idle_time()
    {
        await NoteAsync();
        Assert.Equal(_core.Clock.GetUtcNow(), await _store.FindLastUseAsync(Id, None));
        for (var minute = 0; minute < 60; minute++)
        {
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
            await NoteAsync();
        }

        Assert.Equal(7, Writes);
        Assert.Equal(_core.Clock.GetUtcNow(), await _store.FindLastUseAsync(Id, None));
        Assert.Equal(_core.Clock.GetUtcNow(), _core.Uses.Newest(Id, _core.Clock.GetUtcNow().AddMinutes(-1)));
        Assert.Equal(_core.Clock.GetUtcNow().AddMinutes(1), _core.Uses.Newest(Id, _core.Clock.GetUtcNow().AddMinutes(1)));
        Assert.Empty(_core.Logs.Of(414));
    }

    [Fact]
    public async Task A_use_is_saved_every_hour_however_long_the_idle_time()
    {
        using var core = new Core(_store, _core.Clock, settings: ("Tokens__IdleAfter", "7.00:00:00"));
        for (var minute = 0; minute < 24 * 60; minute++)
        {
            core.Uses.Note(Id, core.Clock.GetUtcNow());
            await core.Background.WhenIdleAsync(None);
            core.Clock.Advance(TimeSpan.FromMinutes(1));
        }

        Assert.Equal(24, Writes);
    }

    [Fact]
    public async Task Many_callers_at_once_cause_one_write()
    {
        var now = _core.Clock.GetUtcNow();
        await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Task.Run(() => _core.Uses.Note(Id, now))));
        await _core.Background.WhenIdleAsync(None);

        Assert.Equal(1, Writes);
    }

    [Fact]
    public async Task Last_uses_are_saved_by_at_most_four_writes_at_a_time()
    {
        var (now, tooMany) = (0, 0);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var four = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.Before = async (_, _) =>
        {
            var current = Interlocked.Increment(ref now);
            Interlocked.Add(ref tooMany, current > 4 ? 1 : 0);
            if (current == 4)
            {
                four.TrySetResult();
            }

            await gate.Task;
            Interlocked.Decrement(ref now);
        };
        for (var number = 0; number < 100; number++)
        {
            _core.Uses.Note(Core.NewId(), _core.Clock.GetUtcNow());
        }

        await four.Task.WaitAsync(TimeSpan.FromMinutes(3));
        gate.SetResult();
        await _core.Background.WhenIdleAsync(None);

        Assert.Equal(100, Writes);
        Assert.Equal(0, tooMany);
    }

    [Fact]
    public async Task A_failed_write_is_repeated_after_a_minute_and_no_caller_notices()
    {
        using var measured = new Measured(_core);
        _store.Before = (_, _) => throw new StorageUnavailableException("The storage is down.");
        await NoteAsync();
        await NoteAsync();
        Assert.Equal(new() { ["outcome=storage_unavailable"] = 1 }, measured.Of("wixoauth.last_use.writes"));
        Assert.Equal(1, Writes);
        Assert.Single(_core.Logs.Of(414));

        _store.Before = (_, _) => Task.CompletedTask;
        _core.Clock.Advance(TimeSpan.FromMinutes(1));
        await NoteAsync();
        Assert.Equal(2, Writes);
        Assert.Equal(_core.Clock.GetUtcNow(), await _store.FindLastUseAsync(Id, None));
    }

    [Fact]
    public async Task A_clock_set_back_does_not_prevent_saving_a_use()
    {
        _core.Uses.Note(Id, _core.Clock.GetUtcNow().AddDays(1));
        await NoteAsync();

        Assert.Equal(2, Writes);
        Assert.Equal(_core.Clock.GetUtcNow(), await _store.FindLastUseAsync(Id, None));
    }

    [Fact]
    public async Task Only_instances_that_are_known_are_noted()
    {
        await _core.GetAsync(Core.NewId());
        await _core.Background.WhenIdleAsync(None);
        Assert.Equal(0, Writes);

        await _core.InstallAsync(Id);
        await _core.GetAsync(Id);
        await _core.Background.WhenIdleAsync(None);
        Assert.Equal(1, Writes);
    }

    [Fact]
    public async Task Recording_a_use_does_not_conflict_with_writes_of_the_row()
    {
        var stored = await _core.InstallAsync(Id);
        await NoteAsync();

        Assert.NotNull(await _store.TryWriteAsync(stored, stored.Instance.Leased("me", _core.Clock.GetUtcNow()), None));
    }

    [Fact]
    public async Task While_ten_thousand_writes_wait_further_ones_are_put_off_for_a_minute()
    {
        const int MostWaiting = 10_000;
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.Before = (_, _) => gate.Task;
        for (var number = 0; number < MostWaiting; number++)
        {
            _core.Uses.Note(Core.NewId(), _core.Clock.GetUtcNow());
        }

        _core.Uses.Note(Id, _core.Clock.GetUtcNow());
        gate.SetResult();
        await _core.Background.WhenIdleAsync(None);
        Assert.Equal(MostWaiting, Writes);
        Assert.Null(await _store.FindLastUseAsync(Id, None));

        _core.Clock.Advance(TimeSpan.FromMinutes(1) - TimeSpan.FromTicks(1));
        await NoteAsync();
        Assert.Equal(MostWaiting, Writes);
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        await NoteAsync();
        Assert.Equal(MostWaiting + 1, Writes);
    }

    [Fact]
    public async Task The_log_says_how_many_uses_could_not_be_saved_since_it_last_said_so()
    {
        _store.Before = (_, _) => throw new StorageUnavailableException("The storage is down.");
        for (var number = 0; number < 3; number++)
        {
            _core.Uses.Note(Core.NewId(), _core.Clock.GetUtcNow());
            await _core.Background.WhenIdleAsync(None);
        }

        _core.Clock.Advance(TimeSpan.FromMinutes(1));
        _core.Uses.Note(Core.NewId(), _core.Clock.GetUtcNow());
        await _core.Background.WhenIdleAsync(None);

        Assert.Equal(["1", "3"], _core.Logs.Of(414).Select(line => line.Split(' ').First(word => int.TryParse(word, out _))));
    }

    [Fact]
    public async Task At_capacity_all_uses_are_forgotten_and_recorded_again()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.Before = (_, _) => gate.Task;
        var now = _core.Clock.GetUtcNow();
        for (var number = 0; number < LastUsedTracker.Capacity; number++)
        {
            _core.Uses.Note(Core.NewId(), now);
        }

        Assert.Equal(LastUsedTracker.Capacity, _core.Uses.Count);
        _core.Uses.Note(Id, now);
        Assert.Equal(1, _core.Uses.Count);
        Assert.Equal(now, _core.Uses.Newest(Id, null));
        for (var number = 0; number < 10; number++)
        {
            _core.Uses.Note(Core.NewId(), now);
        }

        Assert.Equal(11, _core.Uses.Count);

        // A use that did not fit into the queue is saved with its next use.
        gate.SetResult();
        await _core.Background.WhenIdleAsync(None);
        var writes = Writes;
        Assert.InRange(writes, 10_000, 10_010);
        await NoteAsync();
        Assert.Equal(writes, Writes);
        _core.Clock.Advance(TimeSpan.FromMinutes(1));
        await NoteAsync();
        Assert.Equal(writes + 1, Writes);
    }

    private async Task NoteAsync()
    {
        _core.Uses.Note(Id, _core.Clock.GetUtcNow());
        await _core.Background.WhenIdleAsync(None);
    }
}
