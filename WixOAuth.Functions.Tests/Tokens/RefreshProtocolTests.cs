using Microsoft.Extensions.Time.Testing;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>
/// Each step of design.md's refresh protocol and each way in which it can break, against a Wix whose refresh tokens are
/// good for one use. Two "processes" are two cores on one store.
/// </summary>
public abstract class RefreshProtocolTests : IAsyncLifetime
{
    private const int RefreshBroke = 421;
    private const int OffFallback = 427;

    private static readonly TimeSpan Stale = TimeSpan.FromMinutes(10);

    // Of real time, on a machine that is busy with other things.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    private readonly InstanceId _id = Core.NewId();
    private readonly FakeTimeProvider _clock = TestClock.New();
    private readonly RotatingWix _wix = new();
    private readonly List<Process> _processes = [];
    private IInstanceStore _shared = null!;
    private Process _one = null!;
    private string _foreseen = "";

    /// <summary>Which step of a refresh another write comes in before.</summary>
    public static TheoryData<string> Moments => ["lease", "wix", "commit"];

    /// <summary>Ways in which the answer to a write that was carried out is lost.</summary>
    public static TheoryData<string> Losses => [nameof(StoreFault.AnswerLost), nameof(StoreFault.AnswerLostThenConflict)];

    private Core One => _one.Core;

    public async Task InitializeAsync()
    {
        _shared = await CreateAsync();
        _one = Start(("Wix__ClientCredentialsFallback", "false"));
    }

    public Task DisposeAsync()
    {
        _processes.ForEach(process => process.Core.Dispose());
        Assert.Equal(_foreseen, string.Join('\n', _processes.SelectMany(process => process.Core.Logs.Of(RefreshBroke))));
        return Task.CompletedTask;
    }

    private protected abstract Task<IInstanceStore> CreateAsync();

    // Step 1: in process.

    [Fact]
    public async Task A_token_from_memory_needs_no_storage()
    {
        await InstallAsync();
        await TokenAsync();
        _one.Store.FailAll();

        var served = One.Tokens.GetTokenAsync(_id, TokenRequirements.Default, CancellationToken.None);

        Assert.True(served.IsCompletedSuccessfully);
        Assert.IsType<TokenResult.Token>(await served);
    }

    [Fact]
    public async Task Memory_is_believed_for_five_minutes_however_long_a_token_lives()
    {
        await InstallAsync(TimeSpan.FromHours(4));
        await TokenAsync();
        await ConsentAsync(lifetime: TimeSpan.FromHours(4));

        _clock.Advance(TokenMemory.CacheDuration - TimeSpan.FromSeconds(1));
        Assert.Equal("access-1", await TokenAsync());
        _clock.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("access-2", await TokenAsync());
    }

    [Fact]
    public async Task A_caller_who_started_a_refresh_and_leaves_fails_no_other_caller()
    {
        await InstallAsync(age: Stale);
        using var leaving = new CancellationTokenSource();
        var gate = new Gate(_one, StoreStep.Lease);
        var leader = One.GetAsync(_id, cancellationToken: leaving.Token);
        await gate.Reached;
        var follower = TokenAsync();

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leader);
        gate.Open();

        Assert.Equal("access-2", await follower);
        Assert.Equal(1, _wix.Refreshes);
    }

    [Fact]
    public async Task An_unexpected_failure_reaches_all_waiting_callers_and_is_not_cached()
    {
        await InstallAsync(age: Stale);
        var gate = new Gate(_one, StoreStep.Read);
        var callers = Enumerable.Range(0, 5).Select(_ => One.GetAsync(_id)).ToList();
        await gate.Reached;
        gate.Open(() => throw new InvalidOperationException("a bug"));

        foreach (var caller in callers)
        {
            await Assert.ThrowsAsync<InvalidOperationException>(() => caller);
        }

        Assert.Equal("access-2", await TokenAsync());
        Assert.Contains(nameof(InvalidOperationException), Assert.Single(One.Logs.Of(RefreshBroke)), StringComparison.Ordinal);
        _foreseen = One.Logs.Of(RefreshBroke).Single();
    }

    [Fact]
    public async Task Callers_who_ask_for_more_than_the_flight_they_joined_get_it()
    {
        await InstallAsync(age: TimeSpan.FromSeconds(100));
        var gate = new Gate(_one, StoreStep.Read);
        var modest = One.GetAsync(_id, TokenRequirements.LivingFor(TimeSpan.Zero));
        await gate.Reached;
        var callers = Enumerable.Range(1, 4).Select(i => TokenRequirements.LivingFor(TimeSpan.FromSeconds(60 * i))).ToList();
        var asking = callers.Select(requirements => One.GetAsync(_id, requirements)).ToList();
        gate.Open();

        Assert.IsType<TokenResult.Token>(await modest);
        foreach (var (requirements, asked) in callers.Zip(asking))
        {
            Assert.True(requirements.IsMetBy(Assert.IsType<TokenResult.Token>(await asked), _clock.GetUtcNow()));
        }

        Assert.Equal(1, _wix.Refreshes);
    }

    [Fact]
    public async Task A_caller_is_not_turned_away_because_the_sweep_it_joined_does_not_wait()
    {
        var stored = await InstallAsync(age: Stale);
        await _shared.TryWriteAsync(stored, stored.Instance.Leased("gone", _clock.GetUtcNow() + TokenRefresher.LeaseTime), CancellationToken.None);
        var gate = new Gate(_one, StoreStep.Read, times: 2);
        var sweep = One.GetAsync(_id, TokenRequirements.Ahead);
        await gate.Reached;
        var caller = One.GetAsync(_id);
        gate.Open();

        Assert.IsType<TokenResult.WixUnavailable>(await sweep);
        Assert.IsType<TokenResult.Token>(await LetTimePassAsync(caller));
    }

    [Fact]
    public async Task Operators_of_two_processes_at_once_cause_one_refresh()
    {
        await InstallAsync();
        var two = Start();
        var gate = new Gate(_one, StoreStep.Commit);
        var first = One.GetAsync(_id, TokenRequirements.New);
        await gate.Reached;
        var hasRead = new Gate(two, StoreStep.Read, answering: true);
        var second = two.Core.GetAsync(_id, TokenRequirements.New);
        await hasRead.Reached;
        hasRead.Open();
        gate.Open();

        Assert.Equal("access-2", Revealed(await first));
        Assert.Equal("access-2", Revealed(await LetTimePassAsync(second)));
        Assert.Equal(1, _wix.Refreshes);
    }

    // Steps 2 and 3: the row and the lease.

    [Fact]
    public async Task A_hundred_callers_of_two_processes_who_report_one_token_cause_one_refresh()
    {
        await InstallAsync(age: TimeSpan.FromSeconds(20));
        var two = Start();
        var rejected = TokenRequirements.LivingFor(TokenRequirements.DefaultMinTtl, new AccessToken("access-1").Fingerprint());

        var asking = Task.WhenAll(Enumerable.Range(0, 100).Select(i => (i % 2 == 0 ? _one : two).Core.GetAsync(_id, rejected)));

        Assert.All(await LetTimePassAsync(asking), result => Assert.Equal("access-2", Revealed(result)));
        Assert.Equal(1, _wix.Refreshes);
    }

    [Fact]
    public async Task One_of_two_concurrent_attempts_gets_the_lease_and_the_other_adopts_its_tokens()
    {
        await InstallAsync(age: Stale);
        var two = Start();
        var (gate1, gate2) = (new Gate(_one, StoreStep.Lease), new Gate(two, StoreStep.Lease));
        var (first, second) = (One.GetAsync(_id), two.Core.GetAsync(_id));
        await Task.WhenAll(gate1.Reached, gate2.Reached);
        gate1.Open();
        gate2.Open();

        Assert.Equal("access-2", Revealed(await LetTimePassAsync(first)));
        Assert.Equal("access-2", Revealed(await LetTimePassAsync(second)));
        Assert.Equal(1, _wix.Refreshes);
        Assert.Equal(2, (await ReadAsync()).Generation);
    }

    [Fact]
    public async Task A_token_refreshed_between_the_read_and_the_lease_is_not_refreshed_again()
    {
        await InstallAsync(age: Stale);
        var two = Start();
        var gate = new Gate(_one, StoreStep.Lease);
        var late = One.GetAsync(_id);
        await gate.Reached;
        await two.Core.GetAsync(_id);
        gate.Open();

        Assert.Equal("access-2", Revealed(await late));
        Assert.Equal(1, _wix.Refreshes);
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public async Task A_lease_whose_answer_is_lost_is_used_at_once(string loss)
    {
        await InstallAsync(age: Stale);
        _one.Store.FailNext(StoreStep.Lease, Enum.Parse<StoreFault>(loss));

        // No time passes: an attempt does not wait for its own lease.
        Assert.Equal("access-2", await TokenAsync());
        Assert.Equal(1, _wix.Refreshes);
    }

    [Fact]
    public async Task A_leftover_lease_is_taken_over_when_it_ends_and_not_before()
    {
        var stored = await InstallAsync(age: Stale);
        var end = _clock.GetUtcNow() + TokenRefresher.LeaseTime;
        await _shared.TryWriteAsync(stored, stored.Instance.Leased("gone", end), CancellationToken.None);
        DateTimeOffset? askedAt = null;
        One.Wix.Answer = (path, body, _) =>
        {
            askedAt = _clock.GetUtcNow();
            return Task.FromResult(_wix.Answer(path, body));
        };

        Assert.Equal("access-2", Revealed(await LetTimePassAsync(One.GetAsync(_id))));

        Assert.InRange(askedAt!.Value, end, end + TimeSpan.FromSeconds(3));
        Assert.Single(One.Logs.Of(405));
        Assert.Null((await ReadAsync()).Lease);
    }

    [Fact]
    public async Task The_sweep_does_not_wait_for_leases()
    {
        var stored = await InstallAsync(age: Stale);
        await _shared.TryWriteAsync(stored, stored.Instance.Leased("other", _clock.GetUtcNow() + TokenRefresher.LeaseTime), CancellationToken.None);

        Assert.IsType<TokenResult.WixUnavailable>(await One.GetAsync(_id, TokenRequirements.Ahead));
        Assert.Equal(0, _wix.Refreshes);
    }

    [Fact]
    public async Task A_lease_that_took_long_to_write_is_renewed_before_Wix_is_asked()
    {
        await InstallAsync(age: Stale);
        var gate = new Gate(_one, StoreStep.Lease, answering: true);
        var caller = One.GetAsync(_id);
        await gate.Reached;
        _clock.Advance(TokenRefresher.LeaseTime - TimeSpan.FromSeconds(7));
        DateTimeOffset? leasedUntil = null;
        One.Wix.Answer = async (path, body, _) =>
        {
            leasedUntil = (await ReadAsync()).Lease!.Until;
            return _wix.Answer(path, body);
        };
        gate.Open();

        Assert.Equal("access-2", Revealed(await caller));
        Assert.True(leasedUntil >= _clock.GetUtcNow() + WixClient.LongestTokenCall);
    }

    [Fact]
    public async Task A_lease_from_a_clock_that_was_set_back_is_not_waited_for()
    {
        var stored = await InstallAsync(age: Stale);
        await _shared.TryWriteAsync(stored, stored.Instance.Leased("gone", _clock.GetUtcNow() + TokenRefresher.LeaseTime), CancellationToken.None);
        _clock.AdjustTime(_clock.GetUtcNow() - TimeSpan.FromHours(1));

        // The token seems to live again as well: Wix knows better, and so does who reports it.
        var reported = TokenRequirements.LivingFor(TimeSpan.Zero, new AccessToken("access-1").Fingerprint());

        Assert.Equal("access-2", Revealed(await LetTimePassAsync(One.GetAsync(_id, reported))));
    }

    [Fact]
    public async Task A_clock_that_is_set_back_during_a_wait_does_not_make_it_longer()
    {
        var stored = await InstallAsync(age: Stale);
        await _shared.TryWriteAsync(stored, stored.Instance.Leased("gone", _clock.GetUtcNow() + TokenRefresher.LeaseTime), CancellationToken.None);
        var waiting = One.GetAsync(_id, TokenRequirements.New);
        await SettleAsync();
        _clock.AdjustTime(_clock.GetUtcNow() - TimeSpan.FromHours(1));
        var startedAt = _clock.GetTimestamp();

        await LetTimePassAsync(waiting);

        Assert.True(_clock.GetElapsedTime(startedAt) <= TokenRefresher.LeaseTime * 2.1);
    }

    // Step 4: Wix.

    [Fact]
    public async Task A_Wix_that_never_answers_blocks_a_caller_no_longer_than_a_lease()
    {
        await InstallAsync(age: Stale);
        DateTimeOffset? leaseEnd = null;
        var endedAt = new List<DateTimeOffset>();
        One.Wix.Answer = async (_, _, cancellation) =>
        {
            cancellation.Register(() => endedAt.Add(_clock.GetUtcNow()));
            leaseEnd = (await ReadAsync()).Lease!.Until;
            await Task.Delay(Timeout.InfiniteTimeSpan, _clock, cancellation);
            return StubWix.Status(500);
        };

        Assert.IsType<TokenResult.WixUnavailable>(await LetTimePassAsync(One.GetAsync(_id)));

        Assert.NotEmpty(endedAt);
        Assert.All(endedAt, at => Assert.True(at < leaseEnd));
        var instance = await ReadAsync();
        Assert.Equal((null, 1, TokenError.WixUnavailable), (instance.Lease, instance.Failures!.Count, instance.Failures.LastError));
        Assert.True(instance.DueAt > _clock.GetUtcNow());
    }

    [Fact]
    public async Task Retry_later_applies_to_all_callers()
    {
        await InstallAsync(age: Stale);
        var two = Start();
        One.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(429, "60"));

        Assert.Equal(60, Assert.IsType<TokenResult.WixUnavailable>(await One.GetAsync(_id)).RetryAfter.TotalSeconds, 1.0);
        _clock.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal(30, Assert.IsType<TokenResult.WixUnavailable>(await two.Core.GetAsync(_id)).RetryAfter.TotalSeconds, 1.0);
        Assert.Empty(two.Core.Wix.Calls);

        _clock.Advance(TimeSpan.FromSeconds(30));
        Assert.Equal("access-2", Revealed(await two.Core.GetAsync(_id)));
    }

    [Fact]
    public async Task Pauses_grow_with_failures_and_are_spread()
    {
        await InstallAsync(age: Stale);
        One.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(500));
        var pauses = new List<double>();
        for (var i = 0; i < 8; i++)
        {
            Assert.IsType<TokenResult.WixUnavailable>(await LetTimePassAsync(One.GetAsync(_id)));
            var failures = (await ReadAsync()).Failures!;
            var pause = failures.RetryAt!.Value - failures.LastAt;
            pauses.Add(pause.TotalSeconds);
            _clock.Advance(pause > WixCircuit.ProbeInterval ? pause : WixCircuit.ProbeInterval);
        }

        Assert.All(pauses.Index(), p => Assert.InRange(p.Item, Math.Min(120, 2 << p.Index) * 0.75, Math.Min(120, 2 << p.Index) * 1.25));
        Assert.Contains(pauses.Index(), p => Math.Abs(p.Item - Math.Min(120, 2 << p.Index)) > 0.01);
    }

    [Fact]
    public async Task A_pause_from_a_clock_that_was_set_back_is_not_kept_to()
    {
        await InstallAsync(age: Stale);
        One.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, "60"));
        Assert.IsType<TokenResult.WixUnavailable>(await One.GetAsync(_id));
        One.Wix.Answer = (path, body, _) => Task.FromResult(_wix.Answer(path, body));
        _clock.AdjustTime(_clock.GetUtcNow() - TimeSpan.FromHours(10));
        var reported = TokenRequirements.LivingFor(TimeSpan.Zero, new AccessToken("access-1").Fingerprint());

        Assert.Equal("access-2", Revealed(await One.GetAsync(_id, reported)));
    }

    // Step 5: the commit.

    [Theory]
    [MemberData(nameof(Losses))]
    public async Task A_commit_whose_answer_is_lost_is_recognised(string loss)
    {
        await InstallAsync(age: Stale);
        _one.Store.FailNext(StoreStep.Commit, Enum.Parse<StoreFault>(loss));

        Assert.Equal("access-2", Revealed(await LetTimePassAsync(One.GetAsync(_id))));

        await AssertSavedAsync("refresh-2", generation: 2);
        Assert.Equal(1, _wix.Refreshes);
    }

    [Fact]
    public async Task A_commit_continues_through_a_short_storage_outage_after_its_callers_left()
    {
        await InstallAsync(age: Stale);
        using var leaving = new CancellationTokenSource();
        var gate = new Gate(_one, StoreStep.Commit);
        var caller = One.GetAsync(_id, cancellationToken: leaving.Token);
        await gate.Reached;
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => caller);
        _one.Store.FailAll();
        gate.Open(() => StoreFault.Refused);
        await PassAsync(TimeSpan.FromSeconds(10));

        _one.Store.FailNone();
        await PassAsync(TimeSpan.FromSeconds(15));

        await AssertSavedAsync("refresh-2", generation: 2);
        Assert.Equal(1, _wix.Refreshes);
    }

    [Fact]
    public async Task A_new_refresh_token_outlives_minutes_without_storage_while_its_callers_are_served()
    {
        await InstallAsync(age: Stale);
        BreakAfterTheLease();

        Assert.Equal("access-2", Revealed(await LetTimePassAsync(One.GetAsync(_id))));
        await PassAsync(TimeSpan.FromMinutes(2));
        Assert.Equal("access-2", await TokenAsync());
        await PassAsync(TimeSpan.FromMinutes(6));
        _one.Store.FailNone();
        await PassAsync(TimeSpan.FromSeconds(40));

        await AssertSavedAsync("refresh-2", generation: 2);
        Assert.Equal("access-3", await TokenAsync());
        Assert.Equal(2, _wix.Refreshes);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task This_process_does_not_use_the_old_refresh_token_while_the_new_one_is_unsaved(bool byAnOperator)
    {
        await InstallAsync(age: Stale);
        BreakAfterTheLease();
        await LetTimePassAsync(One.GetAsync(_id));

        // Reads work again, and the lease has ended; only what would save the new one still fails.
        _one.Store.Before = call => Task.FromResult(call.Step == StoreStep.Commit ? StoreFault.Refused : StoreFault.None);
        await PassAsync(TimeSpan.FromMinutes(5));
        var asking = One.GetAsync(_id, byAnOperator ? TokenRequirements.New : TokenRequirements.Default);
        await PassAsync(TokenRefresher.LeaseTime);
        Assert.Single(One.Wix.Calls);

        _one.Store.FailNone();
        Assert.Equal("access-3", Revealed(await LetTimePassAsync(asking)));
        await One.Background.WhenIdleAsync(CancellationToken.None);
        Assert.True(_wix.Accepts(await One.RefreshTokenOfAsync(_id)));
        Assert.Null((await ReadAsync()).Failures);
    }

    [Fact]
    public async Task Tokens_unsaved_for_a_day_are_saved_when_the_storage_is_back_and_a_caller_waits_for_that()
    {
        await InstallAsync(age: Stale);
        BreakAfterTheLease();
        await LetTimePassAsync(One.GetAsync(_id));
        await PassAsync(TimeSpan.FromDays(1));
        _one.Store.FailNone();

        Assert.Equal("access-3", Revealed(await LetTimePassAsync(One.GetAsync(_id))));

        Assert.Equal(2, _wix.Refreshes);
        await AssertSavedAsync("refresh-3", generation: 3);
        await One.Background.WhenIdleAsync(CancellationToken.None).WaitAsync(s_patience);
    }

    [Fact]
    public async Task A_late_commit_does_not_undo_a_consent()
    {
        await InstallAsync(age: Stale);
        BreakAfterTheLease();
        await LetTimePassAsync(One.GetAsync(_id));
        await ConsentAsync();

        _one.Store.FailNone();
        await PassAsync(TimeSpan.FromMinutes(1));

        await AssertSavedAsync("refresh-3", generation: 2);
        Assert.Equal("access-3", Revealed(await One.GetAsync(_id, TokenRequirements.LivingFor(TimeSpan.Zero, new AccessToken("access-2").Fingerprint()))));
    }

    [Fact]
    public async Task Tokens_are_saved_although_the_protection_key_is_unavailable_for_a_while()
    {
        var keys = new FailingKeys();
        var process = Start(null, keys, ("Wix__ClientCredentialsFallback", "false"));
        await InstallAsync(age: Stale);
        process.Core.Wix.Answer = (path, body, _) =>
        {
            keys.IsAway = true;
            return Task.FromResult(_wix.Answer(path, body));
        };

        Assert.Equal("access-2", Revealed(await LetTimePassAsync(process.Core.GetAsync(_id))));
        await PassAsync(TimeSpan.FromMinutes(1));
        keys.IsAway = false;
        await PassAsync(TimeSpan.FromMinutes(1));

        await AssertSavedAsync("refresh-2", generation: 2);
    }

    [Fact]
    public async Task A_token_that_was_too_old_when_it_was_saved_is_not_handed_to_one_who_demands_more()
    {
        await InstallAsync(age: Stale);
        var gate = new Gate(_one, StoreStep.Commit, answering: true);
        var requirements = TokenRequirements.LivingFor(TimeSpan.FromSeconds(240));
        var caller = One.GetAsync(_id, requirements);
        await gate.Reached;
        _clock.Advance(TimeSpan.FromSeconds(70));
        gate.Open();

        Assert.True(requirements.IsMetBy(Assert.IsType<TokenResult.Token>(await caller), _clock.GetUtcNow()));
    }

    [Theory]
    [MemberData(nameof(Moments))]
    public async Task A_removal_is_never_undone(string moment)
    {
        await InstallAsync(age: Stale);
        ComeInBefore(moment, () => RemoveAsync());

        Assert.IsType<TokenResult.Removed>(await One.GetAsync(_id));

        var instance = await ReadAsync();
        Assert.Equal((InstanceStatus.Removed, 2, null, null), (instance.Status, instance.Generation, instance.AccessToken, instance.RefreshToken));
        Assert.IsType<TokenResult.Removed>(await One.GetAsync(_id));
        Assert.Equal(moment == "lease" ? 0 : 1, _wix.Refreshes);
    }

    [Theory]
    [MemberData(nameof(Moments))]
    public async Task A_consent_during_a_refresh_wins(string moment)
    {
        await InstallAsync(age: Stale);
        ComeInBefore(moment, () => ConsentAsync("of-consent", "refresh-of-consent"));

        Assert.Equal("of-consent", await TokenAsync());
        await AssertSavedAsync("refresh-of-consent", generation: 2);
    }

    [Theory]
    [InlineData("wix")]
    [InlineData("commit")]
    public async Task Another_write_of_the_same_generation_loses_neither_itself_nor_the_tokens(string moment)
    {
        await InstallAsync(age: Stale);
        ComeInBefore(moment, () => ChangeAsync(instance =>
            instance.SetupCompleted(_clock.GetUtcNow()) with { Lease = new Lease("other", _clock.GetUtcNow() + TokenRefresher.LeaseTime) }));

        Assert.Equal("access-2", await TokenAsync());

        var instance = await ReadAsync();
        Assert.NotNull(instance.SetupCompletedAt);
        Assert.Null(instance.Lease);
        await AssertSavedAsync("refresh-2", generation: 2);
    }

    [Fact]
    public async Task An_attempt_whose_lease_ended_returns_the_tokens_of_its_successor()
    {
        await InstallAsync(age: Stale);
        _wix.Rotates = false;
        var two = Start();
        var (gate, slow) = await OutliveLeaseAsync();
        Assert.Equal("access-3", Revealed(await two.Core.GetAsync(_id)));
        gate.Open();

        Assert.Equal("access-3", Revealed(await slow));
        await AssertSavedAsync("refresh-1", generation: 2);
    }

    [Fact]
    public async Task A_rejection_of_the_spent_refresh_token_does_not_discard_the_new_one()
    {
        await InstallAsync(age: Stale);
        var two = Start(("Wix__ClientCredentialsFallback", "false"));
        var (gate, slow) = await OutliveLeaseAsync();
        Assert.IsType<TokenResult.WixUnavailable>(await two.Core.GetAsync(_id));
        gate.Open();

        Assert.Equal("access-2", Revealed(await slow));
        await AssertSavedAsync("refresh-2", generation: 2);
        Assert.Null((await ReadAsync()).Failures);
    }

    [Fact]
    public async Task A_refresh_token_sent_by_Wix_is_saved_although_client_credentials_were_first()
    {
        await InstallAsync(age: Stale);
        var two = Start();
        var (gate, slow) = await OutliveLeaseAsync();
        Assert.Equal("minted-3", Revealed(await two.Core.GetAsync(_id)));
        gate.Open();

        Assert.Equal("access-2", Revealed(await slow));
        await AssertSavedAsync("refresh-2", generation: 3);
        Assert.Null((await ReadAsync()).RefreshTokenFault);
        Assert.Single(One.Logs.Of(OffFallback));
    }

    [Fact]
    public async Task A_refresh_token_sent_by_Wix_does_not_replace_the_one_that_served_a_later_refresh()
    {
        await InstallAsync(age: Stale);
        var two = Start();
        two.Core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("access-3"));
        var (gate, slow) = await OutliveLeaseAsync();
        Assert.Equal("access-3", Revealed(await two.Core.GetAsync(_id)));
        gate.Open();

        Assert.Equal("access-3", Revealed(await slow));
        await AssertSavedAsync("refresh-1", generation: 2);
    }

    [Fact]
    public async Task A_failure_is_not_recorded_by_an_attempt_that_lost_its_lease()
    {
        await InstallAsync(age: Stale);
        var end = _clock.GetUtcNow() + TokenRefresher.LeaseTime;
        One.Wix.Answer = async (_, _, _) =>
        {
            await ChangeAsync(instance => instance.Leased("other", end));
            return StubWix.Status(400);
        };

        Assert.IsType<TokenResult.WixUnavailable>(await One.GetAsync(_id));

        var instance = await ReadAsync();
        Assert.Equal((null, "other"), (instance.Failures, instance.Lease?.Owner));
    }

    [Theory]
    [MemberData(nameof(Losses))]
    public async Task A_failure_whose_answer_is_lost_is_counted_once(string loss)
    {
        await InstallAsync(age: Stale);
        One.Wix.Answer = (_, _, _) =>
        {
            _one.Store.FailNext(StoreStep.Other, Enum.Parse<StoreFault>(loss));
            return Task.FromResult(StubWix.Status(400));
        };

        Assert.IsType<TokenResult.WixUnavailable>(await LetTimePassAsync(One.GetAsync(_id)));

        Assert.Equal(1, (await ReadAsync()).Failures!.Rejections);
    }

    // Rows that cannot be decrypted.

    [Fact]
    public async Task An_access_token_that_cannot_be_decrypted_is_refreshed()
    {
        await InstallAsync();
        await ChangeAsync(instance => instance with { AccessToken = new ProtectedText("no-such-key", new byte[40]) });

        Assert.Equal("access-2", await TokenAsync());
    }

    [Fact]
    public async Task A_refresh_token_that_cannot_be_decrypted_is_tried_again_later()
    {
        await InstallAsync(age: Stale);
        await ChangeAsync(instance => instance with { RefreshToken = new ProtectedText("no-such-key", new byte[40]) });

        Assert.IsType<TokenResult.WixUnavailable>(await One.GetAsync(_id));

        Assert.Empty(One.Wix.Calls);
        var instance = await ReadAsync();
        Assert.Equal((TokenError.Undecryptable, 0, InstanceStatus.Active), (instance.Failures!.LastError, instance.Failures.Rejections, instance.Status));
        Assert.True(instance.DueAt > _clock.GetUtcNow());
    }

    [Fact]
    public async Task Client_credentials_serve_a_site_whose_refresh_token_cannot_be_decrypted()
    {
        var process = Start();
        await InstallAsync(age: Stale);
        await ChangeAsync(instance => instance with { RefreshToken = new ProtectedText("no-such-key", new byte[40]) });

        Assert.Equal("minted-2", Revealed(await process.Core.GetAsync(_id)));

        var instance = await ReadAsync();
        Assert.Equal((Grant.ClientCredentials, Grant.RefreshToken, 2, RefreshTokenState.Unreadable), (instance.CurrentGrant, instance.Grant, instance.Generation, instance.RefreshTokenState));
        Assert.True(instance.DueAt > _clock.GetUtcNow());
    }

    // Step 6: rejections.

    [Fact]
    public async Task An_attempt_rejected_because_another_was_first_adopts_the_tokens_of_that_one()
    {
        var process = Start();
        await InstallAsync(age: Stale);
        process.Core.Wix.Answer = async (_, _, _) =>
        {
            await ConsentAsync("of-another", "refresh-of-another");
            return StubWix.Status(400);
        };

        Assert.Equal("of-another", Revealed(await process.Core.GetAsync(_id)));

        Assert.Single(process.Core.Wix.Calls);
        Assert.Null((await ReadAsync()).Failures);
    }

    [Fact]
    public async Task A_rejection_is_answered_by_the_new_secret_then_by_client_credentials_and_then_counted()
    {
        var secret = new ChangingSecret { Newest = "new" };
        var process = Start(secret, null);
        await InstallAsync(age: Stale);
        process.Core.Wix.Answer = (_, _, _) =>
        {
            secret.Current = process.Core.Wix.Calls.Count > 1 ? "new" : "old";
            return Task.FromResult(StubWix.Status(401));
        };

        Assert.IsType<TokenResult.WixUnavailable>(await process.Core.GetAsync(_id));

        Assert.Equal(
            [("/oauth/access", "old"), ("/oauth/access", "new"), ("/oauth2/token", "new")],
            process.Core.Wix.Calls.Select(call => (call.Path, call.Body!.Value.GetProperty("client_secret").GetString()!)));
        Assert.Equal(1, (await ReadAsync()).Failures!.Rejections);
    }

    // What this process removes.

    [Fact]
    public async Task A_removal_made_here_is_seen_here_at_once_even_by_a_flight_under_way()
    {
        await InstallAsync();
        var gate = new Gate(_one, StoreStep.Read, answering: true);
        var before = One.GetAsync(_id);
        await gate.Reached;
        One.Tokens.Forget(await RemoveAsync());
        var after = One.GetAsync(_id);
        gate.Open();

        await before;
        Assert.IsType<TokenResult.Removed>(await after);
        Assert.IsType<TokenResult.Removed>(await One.GetAsync(_id));
    }

    /// <summary>Process one refreshes, and its lease ends before it can commit.</summary>
    private async Task<(Gate Gate, Task<TokenResult> Slow)> OutliveLeaseAsync()
    {
        var gate = new Gate(_one, StoreStep.Commit);
        var slow = One.GetAsync(_id);
        await gate.Reached;
        _clock.Advance(TokenRefresher.LeaseTime);
        return (gate, slow);
    }

    private static string Revealed(TokenResult result) => Assert.IsType<TokenResult.Token>(result).AccessToken.Reveal();

    private async Task<string> TokenAsync() => Revealed(await One.GetAsync(_id));

    private Process Start(params (string, string)[] settings) => Start(null, null, settings);

    private Process Start(ISecretSource<AppSecretVersion>? appSecret, IKeyRing? keys, params (string, string)[] settings)
    {
        var store = new FaultyStore(_shared);
        var process = new Process(new Core(store, _clock, appSecret, keys, settings), store);
        process.Core.Wix.Answer = (path, body, _) => Task.FromResult(_wix.Answer(path, body));
        _processes.Add(process);
        return process;
    }

    private async Task<StoredInstance> InstallAsync(TimeSpan? lifetime = null, TimeSpan? age = null)
    {
        var (access, refresh) = _wix.Consent();
        var stored = await One.InstallAsync(_id, access, refresh, lifetime);
        _clock.Advance(age ?? TimeSpan.Zero);
        return stored;
    }

    private async Task<Instance> ReadAsync() => (await _shared.FindAsync(_id, CancellationToken.None))!.Instance;

    private async Task<StoredInstance> ChangeAsync(Func<Instance, Instance> change)
    {
        var stored = (await _shared.FindAsync(_id, CancellationToken.None))!;
        return (await _shared.TryWriteAsync(stored, change(stored.Instance), CancellationToken.None))!;
    }

    private Task<StoredInstance> RemoveAsync() => ChangeAsync(instance => Instance.Forget(instance, _id, _clock.GetUtcNow()));

    private async Task ConsentAsync(string? access = null, string? refresh = null, TimeSpan? lifetime = null)
    {
        var (newAccess, newRefresh) = _wix.Consent();
        var granted = Granted(access ?? newAccess, refresh ?? newRefresh, lifetime);
        var generation = (await ReadAsync()).Generation + 1;
        var tokens = await One.InstanceTokens.SealAsync(_id, generation, granted, granted.RefreshToken);
        await ChangeAsync(instance =>
            Instance.Consented(instance, _id, new Consent(null, null, null, null, false), tokens, Guid.NewGuid().ToString("N"), _clock.GetUtcNow()));
    }

    private TokenAnswer.Granted Granted(string access = "a", string refresh = "r", TimeSpan? lifetime = null) => new(
        new AccessToken(access), new RefreshToken(refresh), _clock.GetUtcNow(), _clock.GetUtcNow() + (lifetime ?? TimeSpan.FromMinutes(5)));

    private async Task AssertSavedAsync(string refreshToken, long generation)
    {
        var instance = await ReadAsync();
        Assert.Equal((generation, null), (instance.Generation, instance.Lease));
        Assert.Equal(refreshToken, await One.RefreshTokenOfAsync(_id));
    }

    /// <summary>The storage is available until the lease is taken, and then not.</summary>
    private void BreakAfterTheLease() => One.Wix.Answer = (path, body, _) =>
    {
        _one.Store.FailAll();
        One.Wix.Answer = (p, b, _) => Task.FromResult(_wix.Answer(p, b));
        return Task.FromResult(_wix.Answer(path, body));
    };

    /// <summary>Lets another process write just before a step of the next refresh.</summary>
    private void ComeInBefore(string moment, Func<Task> write)
    {
        if (moment == "wix")
        {
            One.Wix.Answer = async (path, body, _) =>
            {
                await write();
                return _wix.Answer(path, body);
            };
            return;
        }

        var step = moment == "lease" ? StoreStep.Lease : StoreStep.Commit;
        var came = false;
        _one.Store.Before = async call =>
        {
            if (call.Step == step && !came)
            {
                came = true;
                await write();
            }

            return StoreFault.None;
        };
    }

    private Task SettleAsync() => SingleThreadSynchronizationContext.SettleAsync(() => _processes.Any(process => process.Store.IsBusy));

    private async Task PassAsync(TimeSpan time)
    {
        var step = TimeSpan.FromSeconds(Math.Max(1, time.TotalSeconds / 40));
        for (var passed = TimeSpan.Zero; passed < time; passed += step)
        {
            await SettleAsync();
            _clock.Advance(step);
        }

        await SettleAsync();
    }

    private async Task<T> LetTimePassAsync<T>(Task<T> work)
    {
        for (var steps = 0; !work.IsCompleted && steps < 1_000; steps++)
        {
            await SettleAsync();
            _clock.Advance(TimeSpan.FromMilliseconds(Math.Min(1_000, 50 + (10 * steps))));
        }

        return await work.WaitAsync(s_patience);
    }

    private sealed record Process(Core Core, FaultyStore Store);

    /// <summary>Holds the first calls of one kind, before they are carried out or before they are answered.</summary>
    private sealed class Gate
    {
        private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<Func<StoreFault>> _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _left;

        public Gate(Process process, StoreStep step, bool answering = false, int times = 1)
        {
            _left = times;
            if (answering)
            {
                process.Store.Answering = call => HoldAsync(call, step);
            }
            else
            {
                process.Store.Before = call => HoldAsync(call, step);
            }
        }

        public Task Reached => _reached.Task.WaitAsync(s_patience);

        public void Open(Func<StoreFault>? fault = null) => _open.SetResult(fault ?? (() => StoreFault.None));

        private async Task<StoreFault> HoldAsync(StoreCall call, StoreStep step)
        {
            if (call.Step != step || Interlocked.Decrement(ref _left) < 0)
            {
                return StoreFault.None;
            }

            _reached.TrySetResult();
            return (await _open.Task)();
        }
    }

    private sealed class ChangingSecret : ISecretSource<AppSecretVersion>
    {
        public string Current { get; set; } = "old";

        public string Newest { get; set; } = "old";

        public ValueTask<AppSecretVersion> GetAsync(CancellationToken cancellationToken) => new(new AppSecretVersion(Current, new AppSecret(Current)));

        public ValueTask<AppSecretVersion> GetNewestAsync(CancellationToken cancellationToken) => new(new AppSecretVersion(Newest, new AppSecret(Newest)));
    }

    private sealed class FailingKeys : IKeyRing
    {
        private readonly ProtectionKey _key = Core.Read().Tokens.ProtectionKey!;

        public bool IsAway { get; set; }

        public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) =>
            IsAway ? throw new SecretUnavailableException("away") : new(_key);

        public ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken) => new(id == _key.Id ? _key : null);
    }
}

public sealed class RefreshProtocolInMemoryTests : RefreshProtocolTests
{
    private protected override Task<IInstanceStore> CreateAsync() => Task.FromResult<IInstanceStore>(new MemoryInstanceStore());
}

[Collection(AzuriteFixture.Name)]
public sealed class RefreshProtocolInTablesTests(AzuriteFixture azurite) : RefreshProtocolTests
{
    private protected override async Task<IInstanceStore> CreateAsync() => (await azurite.CreateAsync()).Store;
}
