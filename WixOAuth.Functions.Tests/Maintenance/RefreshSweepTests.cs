using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Maintenance;

public sealed class RefreshSweepTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly WatchedStore _store = new(new MemoryInstanceStore());
    private readonly Core _core;

    public RefreshSweepTests()
    {
        _core = new Core(_store, settings: ("Wix__ClientCredentialsFallback", "false"));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("next"));
    }

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task A_refresh_costs_three_storage_transactions()
    {
        var id = Core.NewId();
        await _core.InstallAsync(id);
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        _store.Calls.Clear();

        var summary = await SweepAsync();

        Assert.Equal((1, 1, 0, 0), Counts(summary));
        Assert.Equal(["FindAsync", "TryWriteAsync", "TryWriteAsync"], _store.Calls.Select(call => call.Method));
        Assert.True((await _core.ReadAsync(id)).DueAt > _core.Clock.GetUtcNow());
        Assert.Equal((0, 0, 0, 0), Counts(await SweepAsync()));
    }

    [Fact]
    public async Task Only_those_that_are_due_are_read()
    {
        var due = Core.NewId();
        await _core.InstallAsync(due);
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        for (var number = 0; number < 50; number++)
        {
            await _core.InstallAsync(Core.NewId());
        }

        _store.Calls.Clear();
        await SweepAsync();

        Assert.All(_store.Calls, call => Assert.Equal(due, call.Id));
    }

    [Fact]
    public async Task A_token_in_memory_does_not_hide_that_the_row_is_due()
    {
        var id = Core.NewId();
        var stored = await _core.InstallAsync(id);
        await _core.GetAsync(id);
        await _store.TryWriteAsync(
            stored, stored.Instance with { AccessTokenIssuedAt = TestClock.Start.AddMinutes(-4), AccessTokenExpiresOn = TestClock.Start.AddMinutes(1), DueAt = TestClock.Start }, None);
        Assert.NotNull(_core.Memory.Find(id, _core.Clock.GetUtcNow()));

        Assert.Equal(1, (await SweepAsync()).Refreshed);
        Assert.Equal("next", Assert.IsType<TokenResult.Token>(await _core.GetAsync(id)).AccessToken.Reveal());
    }

    [Fact]
    public async Task A_marked_site_without_an_allowed_grant_is_looked_at_once_a_day_and_is_no_failure()
    {
        var (id, now) = (Core.NewId(), _core.Clock.GetUtcNow());
        var stored = await _core.InstallAsync(id);
        await _store.TryWriteAsync(stored, stored.Instance.Marked(now.AddHours(-1)) with { RefreshToken = null, AccessToken = null, DueAt = now }, None);

        var summary = await SweepAsync();

        Assert.Equal((1, 0, 1, 0), Counts(summary));
        Assert.Empty(_core.Wix.Calls);
        Assert.Equal(now.AddDays(1), (await _core.ReadAsync(id)).DueAt);
        Assert.Equal((0, 0, 0, 0), Counts(await SweepAsync()));

        await AssertHealsOnceAGrantIsAllowedAsync(id);
    }

    [Fact]
    public async Task A_clone_that_no_grant_was_allowed_for_heals_when_one_is()
    {
        var (id, now) = (Core.NewId(), _core.Clock.GetUtcNow());
        await _store.TryWriteAsync(null, Instance.AppInstalled(null, id, now, mayUseClientCredentials: false, sendSetupCompleted: false, now), None);
        Assert.Equal((1, 0, 1, 0), Counts(await SweepAsync()));
        Assert.Empty(_core.Wix.Calls);

        await AssertHealsOnceAGrantIsAllowedAsync(id);
    }

    [Fact]
    public async Task An_orphaned_due_row_is_removed()
    {
        var (unknown, removed, moved) = (Core.NewId(), await _core.InstallAsync(Core.NewId()), await _core.InstallAsync(Core.NewId()));
        var now = _core.Clock.GetUtcNow();
        var store = new OrphaningStore(new MemoryInstanceStore());
        using var core = new Core(store, _core.Clock);
        await store.TryWriteAsync(null, removed.Instance with { Status = InstanceStatus.Removed, DueAt = null }, None);
        await store.TryWriteAsync(null, moved.Instance with { DueAt = now.AddMinutes(1) }, None);
        store.Orphans.AddRange([new(unknown, now), new(removed.Instance.Id, now), new(moved.Instance.Id, now)]);

        Assert.Equal((3, 0, 3, 0), Counts(await core.Sweep.RunAsync(None)));

        Assert.Empty(store.Orphans);
        Assert.Empty(core.Wix.Calls);
        Assert.Single(await store.ReadDueAsync(now.AddMinutes(1), None).ToListAsync());
    }

    [Fact]
    public async Task A_row_that_cannot_be_read_and_one_that_fails_keep_the_sweep_from_no_other()
    {
        var (malformed, failing, well) = (Core.NewId(), Core.NewId(), Core.NewId());
        foreach (var id in new[] { malformed, failing, well })
        {
            await _core.InstallAsync(id);
        }

        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        _store.Before = (method, id) => method != nameof(IInstanceStore.FindAsync) ? Task.CompletedTask
            : id == malformed ? throw new InvalidDataException("The row has no 'Status'.")
            : id == failing ? throw new InvalidOperationException("a-secret")
            : Task.CompletedTask;

        Assert.Equal((3, 1, 0, 2), Counts(await SweepAsync()));

        Assert.Equal(2, (await _store.ReadDueAsync(_core.Clock.GetUtcNow(), None).ToListAsync()).Count);
        Assert.Contains(_core.Logs.Of(411), line => line.Contains(malformed.ToString(), StringComparison.Ordinal));
        Assert.Contains(_core.Logs.Of(409), line => line.Contains("InvalidOperationException", StringComparison.Ordinal));
        Assert.DoesNotContain(_core.Logs.All, line => line.Text.Contains("a-secret", StringComparison.Ordinal));
    }

    /// <summary>It stays due until somebody mends it: the alert due-lag would fire for good.</summary>
    [Fact]
    public async Task A_row_that_cannot_be_read_does_not_count_as_due_lag()
    {
        var (malformed, well) = (Core.NewId(), Core.NewId());
        await _core.InstallAsync(malformed);
        _core.Clock.Advance(TimeSpan.FromHours(1));
        await _core.InstallAsync(well);
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        var dueAt = (await _store.ReadDueAsync(_core.Clock.GetUtcNow(), None).ToListAsync()).Single(due => due.Id == well).DueAt;
        _store.Before = (method, id) => method == nameof(IInstanceStore.FindAsync) && id == malformed
            ? throw new InvalidDataException("The row has no 'Status'.")
            : Task.CompletedTask;

        var both = await SweepAsync();
        var malformedAlone = await SweepAsync();

        Assert.Equal((2, 1, 0, 1), Counts(both));
        Assert.Equal(_core.Clock.GetUtcNow() - dueAt, both.DueLag);
        Assert.Equal((1, 0, 0, 1), Counts(malformedAlone));
        Assert.Equal(TimeSpan.Zero, malformedAlone.DueLag);
    }

    [Fact]
    public async Task A_scan_after_a_false_rejection_does_not_delay_the_sweep()
    {
        var now = _core.Clock.GetUtcNow();
        var accepted = (await _core.InstallAsync(Core.NewId())).Instance.Failed(TokenError.Rejected, fault: null, now, now);
        _core.Get<FalseRejections>().Check(accepted, Grant.RefreshToken);
        await _core.Background.WhenIdleAsync(None);
        var rejected = await _core.InstallAsync(Core.NewId());
        await _store.TryWriteAsync(
            rejected, rejected.Instance.Failed(TokenError.Rejected, fault: null, now.AddHours(6), now) with { DueAt = now.AddHours(6) }, None);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.Before = (_, id) => id == rejected.Instance.Id ? gate.Task : Task.CompletedTask;

        _core.Get<FalseRejections>().Check(accepted, Grant.RefreshToken);
        _core.Clock.Advance(FalseRejections.BetweenRuns);
        var summary = await SweepAsync().WaitAsync(SingleThreadSynchronizationContext.Patience);

        Assert.Equal((1, 1, 0, 0), Counts(summary));
        gate.SetResult();
        await _core.Background.WhenIdleAsync(None);
        Assert.Equal(_core.Clock.GetUtcNow(), (await _core.ReadAsync(rejected.Instance.Id)).DueAt);
    }

    [Fact]
    public async Task A_storage_that_fails_after_the_refresh_does_not_make_it_a_failure()
    {
        var id = Core.NewId();
        var stored = await _core.InstallAsync(id);
        await _store.TryWriteAsync(stored, stored.Instance with { SetupPending = true, SetupCompletedAt = null }, None);
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/oauth/access" ? StubWix.Tokens("next") : StubWix.Json(System.Net.HttpStatusCode.OK, "{}"));
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        var reads = 0;
        _store.Before = (method, _) => method == nameof(IInstanceStore.FindAsync) && ++reads > 1
            ? throw new StorageUnavailableException("The storage is down.")
            : Task.CompletedTask;

        Assert.Equal((1, 1, 0, 0), Counts(await _core.RunAsync(SweepAsync, TimeSpan.FromSeconds(1))));

        Assert.True(reads > 1);
        Assert.Empty(_core.Logs.Of(409));
        Assert.Contains(id.ToString(), Assert.Single(_core.Logs.Of(433)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Work_that_throws_has_ended_too()
    {
        var pace = new SweepPace(_core.Circuit, most: 1, _core.Clock);
        await pace.WaitAsync(None);
        pace.Begin(() => throw new InvalidOperationException());

        await pace.WhenIdleAsync().WaitAsync(TimeSpan.FromMinutes(3));
        await pace.WaitAsync(None).WaitAsync(TimeSpan.FromMinutes(3));
    }

    [Fact]
    public async Task Results_that_alternate_raise_no_pace()
    {
        var pace = new SweepPace(_core.Circuit, most: 64, _core.Clock);
        for (var number = 0; number < 100; number++)
        {
            var wentWell = number % 2 == 0;
            await pace.WaitAsync(None);
            pace.Begin(() => Task.FromResult(wentWell));
        }

        var gate = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        for (var number = 0; number < SweepPace.First; number++)
        {
            await pace.WaitAsync(None);
            pace.Begin(() => gate.Task);
        }

        var next = pace.WaitAsync(None);
        Assert.False(next.IsCompleted);
        gate.SetResult(true);
        await next.WaitAsync(SingleThreadSynchronizationContext.Patience);
    }

    [Fact]
    public async Task Each_run_is_one_line_of_the_log()
    {
        await _core.InstallAsync(Core.NewId());
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        var dueAt = Assert.Single(await _store.ReadDueAsync(_core.Clock.GetUtcNow(), None).ToListAsync()).DueAt;

        var summary = await SweepAsync();
        await SweepAsync();

        Assert.Equal(2, _core.Logs.Of(410).Count);
        Assert.StartsWith("Sweep: 1 due, 1 refreshed, 0 skipped, 0 failed, app secret suspect: False", _core.Logs.Of(410)[0], StringComparison.Ordinal);
        Assert.Equal(_core.Clock.GetUtcNow() - dueAt, summary.DueLag);
        Assert.False(summary.Suspect);
    }

    [Fact]
    public async Task Sweep_is_reported_as_failed_when_due_instances_cannot_be_read()
    {
        using var core = new Core(new OrphaningStore(new MemoryInstanceStore()) { Fails = true });

        await Assert.ThrowsAsync<StorageUnavailableException>(() => core.Sweep.RunAsync(None));

        Assert.StartsWith("The sweep failed (StorageUnavailableException)", Assert.Single(core.Logs.Of(430)), StringComparison.Ordinal);
        Assert.Empty(core.Logs.Of(410));
    }

    [Fact]
    public async Task No_more_are_under_way_than_allowed_and_all_get_their_turn()
    {
        using var core = new Core(settings: ("Tokens__RefreshConcurrency", "4"));
        for (var number = 0; number < 20; number++)
        {
            await core.InstallAsync(Core.NewId());
        }

        core.Clock.Advance(TimeSpan.FromMinutes(4));
        var (now, most) = (0, 0);
        var full = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        core.Wix.Answer = async (_, _, _) =>
        {
            var current = Interlocked.Increment(ref now);
            InterlockedMax(ref most, current);
            if (current == 4)
            {
                full.TrySetResult();
            }

            await gate.Task;
            Interlocked.Decrement(ref now);
            return StubWix.Tokens("next");
        };

        var sweep = core.Sweep.RunAsync(None);
        await full.Task.WaitAsync(TimeSpan.FromMinutes(3));
        gate.SetResult();

        Assert.Equal((20, 20, 0, 0), Counts(await sweep));
        Assert.Equal(4, most);
    }

    [Fact]
    public async Task Two_sweeps_at_once_refresh_each_site_once()
    {
        using var other = new Core(_store, _core.Clock);
        other.Wix.Answer = _core.Wix.Answer;
        for (var number = 0; number < 30; number++)
        {
            await _core.InstallAsync(Core.NewId());
        }

        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        var sweeps = await Task.WhenAll(Task.Run(SweepAsync), Task.Run(() => other.Sweep.RunAsync(None)));

        Assert.Equal(30, _core.Wix.Calls.Count + other.Wix.Calls.Count);
        Assert.Equal((30, 0), (sweeps.Sum(sweep => sweep.Refreshed), sweeps.Sum(sweep => sweep.Failed)));
        Assert.Empty(await _store.ReadDueAsync(_core.Clock.GetUtcNow(), None).ToListAsync());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Before_shutdown_and_the_next_tick_granted_tokens_are_saved_and_nothing_new_starts(bool shutdown)
    {
        // Where the clock ends the sweep it is one at a time: a call of 8 seconds is given up, by the clock too.
        var atOnce = shutdown ? 2 : 1;
        using var core = new Core(_store, _core.Clock, settings: ("Tokens__RefreshConcurrency", $"{atOnce}"));
        for (var number = 0; number < 10; number++)
        {
            await core.InstallAsync(Core.NewId());
        }

        core.Clock.Advance(TimeSpan.FromMinutes(4));
        using var stopping = new CancellationTokenSource();
        var allAsked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        core.Wix.Answer = async (_, _, _) =>
        {
            if (core.Wix.Calls.Count == atOnce)
            {
                allAsked.TrySetResult();
            }

            await gate.Task;
            return StubWix.Tokens("spent", "refresh-2");
        };

        var sweep = core.Sweep.RunAsync(stopping.Token);
        await allAsked.Task.WaitAsync(TimeSpan.FromMinutes(3));
        if (shutdown)
        {
            await stopping.CancelAsync();
        }
        else
        {
            core.Wix.Answer = (_, _, _) =>
            {
                core.Clock.Advance(RefreshSweep.LongestSweep);
                return Task.FromResult(StubWix.Tokens("spent", "refresh-2"));
            };
        }

        gate.TrySetResult();
        var summary = await sweep;

        Assert.Equal(core.Wix.Calls.Count, summary.Refreshed);
        Assert.Equal((2, 2), (summary.Due, summary.Refreshed));
        Assert.Equal(10 - summary.Refreshed, (await _store.ReadDueAsync(TestClock.Start.AddMinutes(4), None).ToListAsync()).Count);
    }

    [Fact]
    public void A_sweep_with_its_last_calls_to_Wix_ends_before_the_next_tick() =>
        Assert.True(RefreshSweep.LongestSweep + WixClient.LongestTokenCall < TimeSpan.FromMinutes(1));

    [Fact]
    public async Task A_set_up_event_that_was_not_taken_is_sent_again_until_it_is()
    {
        var id = Core.NewId();
        var stored = await _core.InstallAsync(id);
        var pending = stored.Instance with { SetupPending = true };
        await _store.TryWriteAsync(stored, pending with { DueAt = _core.Schedule.DueAt(pending, _core.Clock.GetUtcNow()) }, None);
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path == "/apps/v1/bi-event" ? StubWix.Status(401) : StubWix.Tokens("next"));

        for (var minute = 0; minute < 60; minute++)
        {
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
            Assert.Equal(0, (await SweepAsync()).Failed);
        }

        Assert.InRange(_core.Wix.CallsTo("/apps/v1/bi-event"), 5, 25);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("next"));
        _core.Clock.Advance(TimeSpan.FromHours(1));
        await SweepAsync();
        Assert.NotNull((await _core.ReadAsync(id)).SetupCompletedAt);
    }

    [Fact]
    public async Task While_the_token_lives_a_set_up_event_is_sent_ever_more_seldom()
    {
        var stored = await _core.InstallAsync(Core.NewId(), lifetime: TimeSpan.FromHours(4));
        var pending = stored.Instance with { SetupPending = true };
        await _store.TryWriteAsync(stored, pending with { DueAt = _core.Schedule.DueAt(pending, _core.Clock.GetUtcNow()) }, None);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(401));

        await SweepEveryMinuteAsync(TimeSpan.FromMinutes(60));

        Assert.InRange(_core.Wix.CallsTo("/apps/v1/bi-event"), 5, 12);
    }

    [Fact]
    public async Task A_marked_site_is_tried_after_1_h_4_h_and_daily_and_is_active_again_when_Wix_grants()
    {
        var id = Core.NewId();
        var stored = await _core.InstallAsync(id);
        var now = _core.Clock.GetUtcNow();
        var marked = stored.Instance.Failed(TokenError.Rejected, null, now, now).Marked(now);
        await _store.TryWriteAsync(stored, marked with { DueAt = _core.Schedule.DueAt(marked, now) }, None);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));

        await SweepEveryMinuteAsync(TimeSpan.FromHours(54));
        Assert.Equal(4, _core.Wix.Calls.Count);
        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(id));

        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("next"));
        await SweepEveryMinuteAsync(TimeSpan.FromHours(24));
        Assert.Equal(InstanceStatus.Active, (await _core.ReadAsync(id)).Status);
    }

    [Fact]
    public async Task An_idle_site_is_checked_once_a_day()
    {
        var id = Core.NewId();
        await _core.InstallAsync(id);

        await SweepEveryMinuteAsync(TimeSpan.FromMinutes(60));
        Assert.InRange(_core.Wix.CallsTo("/oauth/access"), 15, 20);

        await SweepEveryMinuteAsync(TimeSpan.FromMinutes(10));
        _core.Wix.Calls.Clear();
        _store.Calls.Clear();
        await SweepEveryMinuteAsync(TimeSpan.FromDays(3));

        Assert.Equal(3, _core.Wix.CallsTo("/oauth/access"));
        Assert.Equal(12, _store.Calls.Count);
        Assert.Equal(0, _store.CallsTo(nameof(IInstanceStore.SaveLastUseAsync)));
    }

    [Fact]
    public async Task A_site_that_is_used_again_is_served_on_demand_and_kept_warm_again()
    {
        var id = Core.NewId();
        await _core.InstallAsync(id);
        await SweepEveryMinuteAsync(TimeSpan.FromHours(5));
        _core.Wix.Calls.Clear();

        Assert.IsType<TokenResult.Token>(await _core.GetAsync(id));
        Assert.Single(_core.Wix.Calls);
        Assert.True((await _core.ReadAsync(id)).DueAt < _core.Clock.GetUtcNow() + TimeSpan.FromMinutes(5));

        await SweepEveryMinuteAsync(TimeSpan.FromMinutes(30));
        Assert.InRange(_core.Wix.Calls.Count, 7, 11);
    }

    [Fact]
    public async Task A_site_that_another_process_serves_stays_warm_for_one_read_and_one_write_in_half_an_hour()
    {
        var id = Core.NewId();
        await _core.InstallAsync(id);
        using var serving = new Core(_store, _core.Clock);
        serving.Wix.Answer = _core.Wix.Answer;
        for (var minute = 0; minute < 6 * 60; minute++)
        {
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
            await SweepAsync();
            Assert.IsType<TokenResult.Token>(await serving.GetAsync(id));
            await serving.Background.WhenIdleAsync(None);
        }

        Assert.Empty(serving.Wix.Calls);
        Assert.InRange(_store.CallsTo(nameof(IInstanceStore.SaveLastUseAsync)), 10, 12);
        Assert.InRange(_store.CallsTo(nameof(IInstanceStore.FindLastUseAsync)), 4, 12);
    }

    [Fact]
    public async Task Without_an_idle_time_every_site_is_kept_warm_and_no_use_is_saved()
    {
        using var core = new Core(_store, _core.Clock, settings: ("Tokens__IdleAfter", "00:00:00"));
        core.Wix.Answer = _core.Wix.Answer;
        var id = Core.NewId();
        await core.InstallAsync(id);
        for (var minute = 0; minute < 5 * 60; minute++)
        {
            core.Clock.Advance(TimeSpan.FromMinutes(1));
            await core.Sweep.RunAsync(None);
        }

        await core.GetAsync(id);
        await core.Background.WhenIdleAsync(None);

        Assert.InRange(core.Wix.Calls.Count, 75, 100);
        Assert.Equal(0, _store.CallsTo(nameof(IInstanceStore.SaveLastUseAsync)) + _store.CallsTo(nameof(IInstanceStore.FindLastUseAsync)));
    }

    [Fact]
    public async Task A_very_short_idle_time_is_kept_too()
    {
        using var core = new Core(_store, _core.Clock, settings: ("Tokens__IdleAfter", "00:00:01"));
        core.Wix.Answer = _core.Wix.Answer;
        var id = Core.NewId();
        await core.InstallAsync(id);
        for (var minute = 0; minute < 60; minute++)
        {
            core.Clock.Advance(TimeSpan.FromMinutes(1));
            await core.Sweep.RunAsync(None);
        }

        Assert.Empty(core.Wix.Calls);
        Assert.IsType<TokenResult.Token>(await core.GetAsync(id));
    }

    [Fact]
    public async Task An_instance_whose_use_is_not_known_counts_from_its_install()
    {
        var stored = await _core.InstallAsync(Core.NewId());
        await _store.TryWriteAsync(stored, stored.Instance with { LastUsedAt = null }, None);

        await SweepEveryMinuteAsync(TimeSpan.FromHours(12));

        Assert.InRange(_core.Wix.Calls.Count, 15, 21);
    }

    private async Task AssertHealsOnceAGrantIsAllowedAsync(InstanceId id)
    {
        using var allowed = new Core(_store, _core.Clock);
        allowed.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("next"));
        _core.Clock.Advance(TimeSpan.FromDays(1));
        Assert.Equal((1, 1, 0, 0), Counts(await allowed.Sweep.RunAsync(None)));
        Assert.Equal(InstanceStatus.Active, (await _core.ReadAsync(id)).Status);
    }

    private Task<SweepSummary> SweepAsync() => _core.Sweep.RunAsync(None);

    private async Task SweepEveryMinuteAsync(TimeSpan during)
    {
        for (var minute = 0; minute < during.TotalMinutes; minute++)
        {
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
            await SweepAsync();
        }
    }

    private static (int Due, int Refreshed, int Skipped, int Failed) Counts(SweepSummary summary) =>
        (summary.Due, summary.Refreshed, summary.Skipped, summary.Failed);

    private static void InterlockedMax(ref int most, int value)
    {
        for (var seen = Volatile.Read(ref most); seen < value; seen = Volatile.Read(ref most))
        {
            Interlocked.CompareExchange(ref most, value, seen);
        }
    }
}
