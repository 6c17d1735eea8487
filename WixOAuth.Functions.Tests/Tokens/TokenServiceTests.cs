using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class TokenServiceTests : IDisposable
{
    private static readonly InstanceId Id = Core.NewId();
    private readonly Core _core = new(settings: ("Wix__ClientCredentialsFallback", "false"));
    private int _refreshes;

    public TokenServiceTests() => _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens($"access-{Interlocked.Increment(ref _refreshes) + 1}", "refresh-1"));

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task A_fresh_token_is_read_once_and_then_served_from_memory()
    {
        var store = new WatchedStore(new MemoryInstanceStore());
        using var core = new Core(store);
        await core.InstallAsync(Id);

        var first = Assert.IsType<TokenResult.Token>(await core.GetAsync(Id));
        Assert.Equal("access-1", first.AccessToken.Reveal());
        var second = core.Tokens.GetTokenAsync(Id, TokenRequirements.Default, CancellationToken.None);

        Assert.True(second.IsCompletedSuccessfully);
        Assert.Equal(1, store.CallsTo(nameof(store.FindAsync)));
        Assert.Empty(core.Wix.Calls);
    }

    [Fact]
    public async Task A_stale_token_is_refreshed_before_it_is_handed_out()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromSeconds(271));

        var token = Assert.IsType<TokenResult.Token>(await _core.GetAsync(Id));

        Assert.Equal("access-2", token.AccessToken.Reveal());
        Assert.Equal(_core.Clock.GetUtcNow() + TimeSpan.FromMinutes(5), token.ExpiresOn);
        var instance = await _core.ReadAsync(Id);
        Assert.Equal((2, null, null), (instance.Generation, instance.Lease, instance.Failures));
        Assert.Equal("refresh-1", await _core.RefreshTokenOfAsync(Id));
        Assert.Equal("refresh-1", _core.Wix.Calls.Single().Body!.Value.GetProperty("refresh_token").GetString());
    }

    [Theory]
    [InlineData(30, 269, false)]
    [InlineData(30, 270, false)]
    [InlineData(30, 271, true)]
    [InlineData(240, 59, false)]
    [InlineData(240, 60, false)]
    [InlineData(240, 61, true)]
    [InlineData(0, 299, false)]
    [InlineData(0, 300, true)]
    [InlineData(0, 301, true)]
    public async Task The_token_lives_as_long_as_the_caller_demands(int minTtl, int age, bool refreshed)
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromSeconds(age));

        Assert.Equal(refreshed ? "access-2" : "access-1", await TokenAsync(TokenRequirements.LivingFor(TimeSpan.FromSeconds(minTtl))));
    }

    [Fact]
    public async Task No_more_than_four_fifths_of_a_life_is_demanded()
    {
        await _core.InstallAsync(Id, lifetime: TimeSpan.FromSeconds(10));
        _core.Clock.Advance(TimeSpan.FromSeconds(1.9));
        Assert.Equal("access-1", await TokenAsync(TokenRequirements.LivingFor(TimeSpan.FromSeconds(240))));

        _core.Clock.Advance(TimeSpan.FromSeconds(0.2));
        Assert.Equal("access-2", await TokenAsync(TokenRequirements.LivingFor(TimeSpan.FromSeconds(240))));
    }

    [Fact]
    public async Task A_token_near_its_end_is_served_while_the_next_one_is_fetched()
    {
        await _core.InstallAsync(Id);
        await TokenAsync();
        _core.Clock.Advance(TimeSpan.FromSeconds(200));
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _core.Wix.Answer = async (_, _, _) =>
        {
            await gate.Task;
            return StubWix.Tokens("access-2");
        };

        Assert.Equal("access-1", await TokenAsync());
        Assert.Equal("access-1", await TokenAsync());
        gate.SetResult();
        await _core.Background.WhenIdleAsync(CancellationToken.None);

        Assert.Equal("access-2", await TokenAsync());
        Assert.Single(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_rejected_token_is_refreshed_once_however_many_callers_report_it()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromSeconds(20));
        var rejected = TokenRequirements.LivingFor(TokenRequirements.DefaultMinTtl, new AccessToken("access-1").Fingerprint());

        var tokens = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Task.Run(() => TokenAsync(rejected))));

        Assert.All(tokens, token => Assert.Equal("access-2", token));
        Assert.Single(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_rejection_of_another_or_a_young_token_refreshes_nothing()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromSeconds(8));
        Assert.Equal("access-1", await TokenAsync(TokenRequirements.LivingFor(TimeSpan.Zero, new AccessToken("access-1").Fingerprint())));

        _core.Clock.Advance(TimeSpan.FromSeconds(8));
        Assert.Equal("access-1", await TokenAsync(TokenRequirements.LivingFor(TimeSpan.Zero, new AccessToken("access-0").Fingerprint())));
        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_token_is_old_enough_to_be_rejected_after_3_percent_of_its_life()
    {
        await _core.InstallAsync(Id);
        var rejected = TokenRequirements.LivingFor(TimeSpan.Zero, new AccessToken("access-1").Fingerprint());
        _core.Clock.Advance(TimeSpan.FromSeconds(9) - TimeSpan.FromTicks(1));
        Assert.Equal("access-1", await TokenAsync(rejected));

        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal("access-2", await TokenAsync(rejected));
    }

    [Fact]
    public async Task Many_callers_of_a_stale_site_cause_one_refresh()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));

        var tokens = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Task.Run(() => TokenAsync())));

        Assert.All(tokens, token => Assert.Equal("access-2", token));
        Assert.Single(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_token_from_memory_allocates_no_more_than_the_key_of_the_cache()
    {
        await _core.InstallAsync(Id);
        await _core.GetAsync(Id);
        await _core.Background.WhenIdleAsync(CancellationToken.None);
        await AskAsync(100);

        // Answers from memory are not awaited in fact, so all of it is on this thread.
        var before = GC.GetAllocatedBytesForCurrentThread();
        await AskAsync(1_000);

        Assert.InRange((GC.GetAllocatedBytesForCurrentThread() - before) / 1_000, 1, 40);

        async ValueTask AskAsync(int times)
        {
            for (var i = 0; i < times; i++)
            {
                await _core.Tokens.GetTokenAsync(Id, TokenRequirements.Default, CancellationToken.None);
            }
        }
    }

    [Fact]
    public async Task A_stop_waits_for_the_refresh_of_a_caller_that_has_left()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(5));
        var (asked, answer) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), new TaskCompletionSource<HttpResponseMessage>(TaskCreationOptions.RunContinuationsAsynchronously));
        _core.Wix.Answer = (_, _, _) =>
        {
            asked.TrySetResult();
            return answer.Task;
        };
        using var leaving = new CancellationTokenSource();
        var caller = _core.Tokens.GetTokenAsync(Id, TokenRequirements.Default, leaving.Token).AsTask();
        await asked.Task;
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => caller);

        var stopping = _core.Background.StoppedAsync(CancellationToken.None);
        Assert.False(stopping.IsCompleted);
        answer.SetResult(StubWix.Tokens("access-2", "refresh-2"));
        await stopping;

        Assert.Equal("refresh-2", await _core.RefreshTokenOfAsync(Id));
    }

    [Fact]
    public async Task A_returned_refresh_token_replaces_the_old_one_and_a_missing_one_does_not()
    {
        await _core.InstallAsync(Id);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("a", _core.Wix.Calls.Count == 1 ? "refresh-2" : null));

        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        await TokenAsync();
        Assert.Equal("refresh-2", await _core.RefreshTokenOfAsync(Id));

        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        await TokenAsync();
        Assert.Equal("refresh-2", await _core.RefreshTokenOfAsync(Id));
        Assert.Equal(3, (await _core.ReadAsync(Id)).Generation);
    }

    [Fact]
    public async Task Unknown_and_removed_instances_are_distinguished_and_never_requested()
    {
        var removed = await _core.InstallAsync(Id);
        await _core.Store.TryWriteAsync(
            removed,
            removed.Instance with { Status = InstanceStatus.Removed, AccessToken = null, RefreshToken = null, DueAt = null, Generation = 2 },
            CancellationToken.None);

        Assert.IsType<TokenResult.Removed>(await _core.GetAsync(Id));
        Assert.IsType<TokenResult.Removed>(await _core.GetAsync(Id, TokenRequirements.New));
        Assert.IsType<TokenResult.Unknown>(await _core.GetAsync(Core.NewId()));
        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task While_Wix_is_away_the_old_token_is_served_as_long_as_it_lives_and_then_a_pause_is_named()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromSeconds(220));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, "77"));

        Assert.Equal("access-1", await TokenAsync());
        await _core.Background.WhenIdleAsync(CancellationToken.None);
        var failure = (await _core.ReadAsync(Id)).Failures!;
        Assert.Equal((1, 0, TokenError.WixUnavailable), (failure.Count, failure.Rejections, failure.LastError));
        Assert.Equal("access-1", await TokenAsync());

        _core.Clock.Advance(TimeSpan.FromSeconds(58));
        var calls = _core.Wix.Calls.Count;
        var unavailable = Assert.IsType<TokenResult.WixUnavailable>(await _core.GetAsync(Id));
        Assert.Equal(2, unavailable.RetryAfter.TotalSeconds);
        Assert.Equal(calls, _core.Wix.Calls.Count);

        _core.Clock.Advance(TimeSpan.FromSeconds(2));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("access-2"));
        Assert.Equal("access-2", await TokenAsync());
        Assert.Null((await _core.ReadAsync(Id)).Failures);
    }

    [Fact]
    public async Task No_caller_gets_a_token_with_less_life_than_required_even_while_Wix_is_down()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromSeconds(200));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(500));

        Assert.IsType<TokenResult.WixUnavailable>(await _core.Clock.RunAsync(_core.GetAsync(Id, TokenRequirements.LivingFor(TimeSpan.FromSeconds(120)))));
        Assert.Equal("access-1", await TokenAsync());
    }

    [Fact]
    public async Task A_lease_of_another_process_is_waited_for_and_its_token_adopted()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        using var other = new Core(_core.Store, _core.Clock);
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        other.Wix.Answer = async (_, _, _) =>
        {
            asked.SetResult();
            await gate.Task;
            return StubWix.Tokens("of-another");
        };
        var theirs = other.GetAsync(Id);
        await asked.Task;

        var ours = _core.GetAsync(Id);
        _core.Clock.Advance(TimeSpan.FromSeconds(5));
        Assert.False(ours.IsCompleted);
        gate.SetResult();
        await theirs;

        var token = Assert.IsType<TokenResult.Token>(await _core.Clock.RunAsync(ours));
        Assert.Equal("of-another", token.AccessToken.Reveal());
        Assert.Empty(_core.Wix.Calls);
    }

    [Fact]
    public async Task A_reinstall_makes_a_marked_site_well_again()
    {
        var stored = await _core.InstallAsync(Id);
        await _core.Store.TryWriteAsync(stored, stored.Instance.Failed(TokenError.Rejected, null, _core.Clock.GetUtcNow(), _core.Clock.GetUtcNow()).Marked(_core.Clock.GetUtcNow()), CancellationToken.None);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.IsType<TokenResult.ReinstallRequired>(await _core.GetAsync(Id));

        await ConsentAsync("new", "refresh-new");

        Assert.Equal("new", await TokenAsync());
    }

    [Fact]
    public async Task An_operator_gets_a_new_token_whatever_the_old_one_is_like()
    {
        await _core.InstallAsync(Id);
        await TokenAsync();

        Assert.Equal("access-2", await TokenAsync(TokenRequirements.New));
        Assert.Equal("access-2", await TokenAsync());
    }

    [Fact]
    public async Task A_changed_secret_is_read_again_and_tried_once()
    {
        var secrets = new RotatingSecret("old") { Newest = "old" };
        using var core = new Core(appSecret: secrets);
        await core.InstallAsync(Id);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        secrets.Newest = "new";
        core.Wix.Answer = (path, body, _) => Task.FromResult(
            path == "/oauth/access" && body!.Value.GetProperty("client_secret").GetString() == "new" ? StubWix.Tokens("a") : StubWix.Status(401));

        Assert.IsType<TokenResult.Token>(await core.GetAsync(Id));
        Assert.Equal(["old", "new"], core.Wix.Calls.Select(call => call.Body!.Value.GetProperty("client_secret").GetString()));
        Assert.Equal(Grant.RefreshToken, (await core.ReadAsync(Id)).Grant);
    }

    [Fact]
    public async Task A_token_is_refreshed_ahead_from_the_moment_it_is_due()
    {
        var stored = await _core.InstallAsync(Id);
        await TokenAsync();
        var aheadAt = stored.Instance.DueAt!.Value;
        _core.Clock.SetUtcNow(aheadAt.AddTicks(-1));
        Assert.Equal("access-1", await TokenAsync());
        await _core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.Empty(_core.Wix.Calls);

        _core.Clock.SetUtcNow(aheadAt);
        Assert.Equal("access-1", await TokenAsync());
        await _core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.Equal("access-2", await TokenAsync());
    }

    [Fact]
    public async Task During_a_pause_of_Wix_the_storage_is_not_read_for_each_caller()
    {
        var store = new FaultyStore(new MemoryInstanceStore());
        using var core = new Core(store, settings: ("Wix__ClientCredentialsFallback", "false"));
        var stored = await core.InstallAsync(Id);
        await core.GetAsync(Id);
        core.Clock.SetUtcNow(stored.Instance.DueAt!.Value);
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, "60"));
        await core.GetAsync(Id);
        await core.Background.WhenIdleAsync(CancellationToken.None);
        var reads = 0;
        store.Before = call =>
        {
            reads += call.Step == StoreStep.Read ? 1 : 0;
            return Task.FromResult(StoreFault.None);
        };

        for (var second = 0; second < 59; second++)
        {
            core.Clock.Advance(TimeSpan.FromSeconds(1));
            Assert.IsType<TokenResult.Token>(await core.GetAsync(Id));
        }

        await core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.Equal(0, reads);
        core.Clock.Advance(TimeSpan.FromSeconds(2));
        Assert.IsType<TokenResult.Token>(await core.GetAsync(Id));
        await core.Background.WhenIdleAsync(CancellationToken.None);
        Assert.NotEqual(0, reads);
    }

    [Fact]
    public async Task The_result_of_a_refresh_is_logged_and_counted()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        await TokenAsync();
        Assert.Contains("refreshed to generation 2 using RefreshToken", Assert.Single(_core.Logs.Of(401)), StringComparison.Ordinal);
        Assert.Empty(_core.Logs.Of(402));
        Assert.Empty(_core.Logs.Of(404));
        Assert.Empty(_core.Logs.Of(405));
        Assert.Empty(_core.Logs.Of(406));
        Assert.Empty(_core.Logs.Of(427));
        Assert.Equal((1, 0), await CountedLastAsync());

        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, "77"));
        await _core.GetAsync(Id);
        Assert.Contains("no token from Wix (WixUnavailable, failure 1), now Active", Assert.Single(_core.Logs.Of(402)), StringComparison.Ordinal);
        Assert.Equal((0, 1), await CountedLastAsync());

        async Task<(int Succeeded, int Failed)> CountedLastAsync() =>
            (await _core.History.ReadAsync(CancellationToken.None))[^1] is var count ? (count.Succeeded, count.Failed) : default;
    }

    [Fact]
    public async Task The_reason_for_a_missing_token_is_logged()
    {
        var store = new FaultyStore(new MemoryInstanceStore());
        using var core = new Core(store, settings: ("Wix__ClientCredentialsFallback", "false"));
        await core.InstallAsync(Id);
        store.FailAll();
        Assert.IsType<TokenResult.StorageUnavailable>(await core.GetAsync(Id));
        Assert.Single(core.Logs.Of(407));

        store.Before = _ => throw new InvalidDataException("The row has no 'Generation'.");
        Assert.IsType<TokenResult.StorageUnavailable>(await core.GetAsync(Id));
        Assert.Contains("The row has no 'Generation'.", Assert.Single(core.Logs.Of(411)), StringComparison.Ordinal);

        store.FailNone();
        var stored = (await store.FindAsync(Id, CancellationToken.None))!;
        await store.TryWriteAsync(stored, stored.Instance with { RefreshToken = stored.Instance.RefreshToken! with { KeyId = new string('0', 32) } }, CancellationToken.None);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        Assert.IsType<TokenResult.WixUnavailable>(await core.GetAsync(Id));
        Assert.Contains(new string('0', 32), Assert.Single(core.Logs.Of(406)), StringComparison.Ordinal);

        using var keyless = new Core(store, core.Clock, keys: new NoKeys());
        Assert.IsType<TokenResult.StorageUnavailable>(await keyless.GetAsync(Id));
        Assert.Single(keyless.Logs.Of(408));
    }

    [Fact]
    public async Task A_lease_that_the_storage_never_takes_is_tried_twice()
    {
        var store = new FaultyStore(new MemoryInstanceStore());
        using var core = new Core(store);
        await core.InstallAsync(Id);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        var leases = 0;
        store.Before = call =>
        {
            leases += call.Step == StoreStep.Lease ? 1 : 0;
            return Task.FromResult(call.Step == StoreStep.Lease ? StoreFault.Refused : StoreFault.None);
        };

        Assert.IsType<TokenResult.StorageUnavailable>(await core.GetAsync(Id).WaitAsync(TimeSpan.FromMinutes(3)));
        Assert.Equal(2, leases);
        Assert.Empty(core.Wix.Calls);
    }

    [Fact]
    public async Task Tokens_that_cannot_be_saved_are_served_as_the_next_generation_and_tried_again_until_they_are_saved()
    {
        var store = new FaultyStore(new MemoryInstanceStore());
        using var core = new Core(store, settings: ("Wix__ClientCredentialsFallback", "false"));
        core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("access-2", expiresIn: 14_400));
        await core.InstallAsync(Id);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        store.Before = call => Task.FromResult(call.Step == StoreStep.Commit ? StoreFault.Refused : StoreFault.None);

        var token = Assert.IsType<TokenResult.Token>(await core.Clock.RunAsync(core.GetAsync(Id)));

        Assert.Equal(("access-2", 2), (token.AccessToken.Reveal(), token.Generation));
        Assert.Single(core.Logs.Of(403));
        await PassAsync(TimeSpan.FromMinutes(10));
        var often = core.Logs.Of(403).Count;
        await PassAsync(TimeSpan.FromMinutes(10));
        Assert.InRange(core.Logs.Of(403).Count - often, often / 4, often * 3 / 4);

        store.FailNone();
        await PassAsync(TimeSpan.FromSeconds(31));
        Assert.Equal(2, (await core.ReadAsync(Id)).Generation);
        Assert.True(core.Background.WhenIdleAsync(CancellationToken.None).IsCompleted);

        Task PassAsync(TimeSpan time) => core.RunAsync(
            async () =>
            {
                await Task.Delay(time, core.Clock);
                return true;
            },
            step: TimeSpan.FromSeconds(1));
    }

    private async Task ConsentAsync(string access, string refresh)
    {
        var stored = (await _core.Store.FindAsync(Id, CancellationToken.None))!;
        var now = _core.Clock.GetUtcNow();
        var granted = new WixOAuth.Wix.TokenAnswer.Granted(new AccessToken(access), new RefreshToken(refresh), now, now + TimeSpan.FromMinutes(5));
        var generation = Instance.NextGeneration(stored.Instance);
        var tokens = await _core.InstanceTokens.SealAsync(Id, generation, granted, granted.RefreshToken);
        Assert.NotNull(await _core.Store.TryWriteAsync(
            stored, Instance.Consented(stored.Instance, Id, new Consent(null, null, null, null, false), tokens, "consent", now), CancellationToken.None));
    }

    private async Task<string> TokenAsync(TokenRequirements? requirements = null) =>
        Assert.IsType<TokenResult.Token>(await _core.GetAsync(Id, requirements)).AccessToken.Reveal();

    private sealed class NoKeys : IKeyRing
    {
        public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) => throw new SecretUnavailableException("The secret is not available.");

        public ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken) => throw new SecretUnavailableException("The secret is not available.");
    }

    private sealed class RotatingSecret(string first) : ISecretSource<AppSecretVersion>
    {
        public required string Newest { get; set; }

        public ValueTask<AppSecretVersion> GetAsync(CancellationToken cancellationToken) => new(new AppSecretVersion(first, new AppSecret(first)));

        public ValueTask<AppSecretVersion> GetNewestAsync(CancellationToken cancellationToken) => new(new AppSecretVersion(Newest, new AppSecret(Newest)));
    }
}
