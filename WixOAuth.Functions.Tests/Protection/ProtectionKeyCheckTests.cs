using Moq;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Protection;

/// <summary>Whether this process has the keys of the stored tokens, and what it must not do while it has others.</summary>
public sealed class ProtectionKeyCheckTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly ProtectionKey _right = FixedKeys.NewKey();
    private readonly ProtectionKey _wrong = FixedKeys.NewKey();
    private readonly MemoryInstanceStore _store = new();
    private readonly Core _core;

    public ProtectionKeyCheckTests() => _core = new Core();

    private IKeyCheckStore Checks => _store;

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task An_empty_table_gets_the_row_of_the_first_process_and_the_other_key_is_refused()
    {
        using var first = New(_right);
        using var second = New(_wrong);

        Assert.True(await first.IsPassedAsync(None));
        Assert.False(await second.IsPassedAsync(None));

        Assert.Equal(_right.Id, (await Checks.FindKeyCheckAsync(None))?.Check?.KeyId);
        Assert.Contains($"Needed: {_right.Id}; present: {_wrong.Id}.", Assert.Single(_core.Logs.Of(109)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Only_one_of_two_keys_is_accepted_on_an_empty_table()
    {
        for (var round = 0; round < 50; round++)
        {
            var store = new MemoryInstanceStore();
            using var one = New(store, new FixedKeys(_right));
            using var other = New(store, new FixedKeys(_wrong));

            var passed = await Task.WhenAll(Task.Run(() => one.IsPassedAsync(None).AsTask()), Task.Run(() => other.IsPassedAsync(None).AsTask()));

            Assert.Single(passed, isPassed => isPassed);
        }
    }

    [Fact]
    public async Task A_key_of_the_same_id_that_is_another_key_is_refused()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);

        using var impostor = New(FixedKeys.NewKey(_right.Id));

        Assert.False(await impostor.IsPassedAsync(None));
    }

    [Fact]
    public async Task While_the_check_fails_nothing_is_sealed_and_what_opens_still_opens()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        var id = Core.NewId();
        var stray = await new TokenProtector(new FixedKeys(_wrong)).ProtectAsync(id, TokenField.RefreshToken, 1, new RefreshToken("stray"), None);
        using var second = New(_wrong);
        var protector = new TokenProtector(new FixedKeys(_wrong), second);

        Assert.False(await protector.CanSealAsync(None));
        await Assert.ThrowsAsync<SecretUnavailableException>(() => protector.EnsureCanSealAsync(None).AsTask());
        await Assert.ThrowsAsync<SecretUnavailableException>(
            () => protector.ProtectAsync(id, TokenField.RefreshToken, 1, new RefreshToken("a-token"), None).AsTask());
        Assert.Equal("stray", (await protector.UnprotectRefreshTokenAsync(id, 1, stray, None))?.Reveal());
    }

    [Fact]
    public async Task The_result_of_a_spent_refresh_token_survives_a_key_check_that_fails_meanwhile()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        var keys = new ChangingKeys(_right);
        using var check = New(_store, keys);
        var protector = new TokenProtector(keys, check);
        Assert.True(await protector.CanSealAsync(None));

        // The vault changes, and the hourly check finds out, while Wix is being asked.
        keys.Now = [_wrong];
        await check.StartAsync(None);
        await _core.Logs.WaitForAsync(109);

        // It logs before it remembers the result: the end waits for both.
        await check.StopAsync(None);
        var id = Core.NewId();
        var text = await protector.ProtectAsync(id, TokenField.RefreshToken, 1, new RefreshToken("next"), None);

        Assert.Equal(_right.Id, text.KeyId);
        Assert.Equal("next", (await new TokenProtector(new FixedKeys(_right)).UnprotectRefreshTokenAsync(id, 1, text, None))?.Reveal());

        // What has not begun does not begin.
        Assert.False(await protector.CanSealAsync(None));
        await Assert.ThrowsAsync<SecretUnavailableException>(() => protector.EnsureCanSealAsync(None).AsTask());
    }

    [Fact]
    public async Task A_table_without_the_row_gets_it_once_a_stored_token_opened()
    {
        await AddAsync(_wrong);
        await AddAsync(_right);

        using var check = New(_right);

        Assert.True(await check.IsPassedAsync(None));
        Assert.Equal(_right.Id, (await Checks.FindKeyCheckAsync(None))?.Check?.KeyId);
    }

    [Fact]
    public async Task A_table_without_the_row_whose_tokens_do_not_open_gets_none()
    {
        await AddAsync(_right);

        using var check = New(_wrong);

        Assert.False(await check.IsPassedAsync(None));
        Assert.Null(await Checks.FindKeyCheckAsync(None));
        Assert.Contains($"Needed: {_right.Id};", Assert.Single(_core.Logs.Of(109)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Rows_without_tokens_prove_nothing_and_need_no_key()
    {
        var stored = (await _store.FindAsync(await AddAsync(_wrong), None))!;
        await _store.TryWriteAsync(stored, stored.Instance with { RefreshToken = null, AccessToken = null }, None);

        using var check = New(_right);

        Assert.True(await check.IsPassedAsync(None));
    }

    [Fact]
    public async Task A_token_behind_any_number_of_tombstones_is_found()
    {
        for (var number = 0; number < 5_001; number++)
        {
            // Before any other in the store's order.
            var id = new InstanceId(Guid.ParseExact($"00000000-0000-4000-8000-{number:x12}", "D"));
            await _store.TryWriteAsync(previous: null, Instance.Forget(before: null, id, _core.Clock.GetUtcNow()), None);
        }

        await AddAsync(_right);

        using var check = New(_wrong);

        Assert.False(await check.IsPassedAsync(None));
        Assert.Null(await Checks.FindKeyCheckAsync(None));
    }

    [Fact]
    public async Task A_refresh_token_that_was_kept_while_the_generation_grew_proves_the_key()
    {
        var stored = (await _store.FindAsync(await AddAsync(_right), None))!;
        var instance = stored.Instance;
        await _store.TryWriteAsync(
            stored,
            instance with { Generation = instance.Generation + 3, RefreshTokenGeneration = instance.Generation, AccessToken = null },
            None);

        using var check = New(_right);

        Assert.True(await check.IsPassedAsync(None));
    }

    [Fact]
    public async Task A_row_that_an_operator_emptied_takes_the_key_of_the_next_process()
    {
        await AddAsync(_wrong);
        var store = new Mock<IKeyCheckStore>();
        store.Setup(each => each.FindKeyCheckAsync(It.IsAny<CancellationToken>())).ReturnsAsync(new StoredKeyCheck(null, "1"));
        store.Setup(each => each.TryWriteKeyCheckAsync(It.IsAny<StoredKeyCheck?>(), It.IsAny<ProtectedText>(), It.IsAny<CancellationToken>())).ReturnsAsync(true);

        using var check = new ProtectionKeyCheck(store.Object, _store, new FixedKeys(_right), _core.Clock, _core.Logs.For<ProtectionKeyCheck>());

        Assert.True(await check.IsPassedAsync(None));
        store.Verify(each => each.TryWriteKeyCheckAsync(It.Is<StoredKeyCheck?>(row => row!.ETag == "1"), It.Is<ProtectedText>(text => text.KeyId == _right.Id), It.IsAny<CancellationToken>()), Times.Once);
    }

    [Fact]
    public async Task A_failed_check_is_repeated_within_a_minute_when_it_is_needed()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        var keys = new ChangingKeys(_wrong);
        using var check = New(_store, keys);
        Assert.False(await check.IsPassedAsync(None));
        keys.Now = [_wrong, _right];

        Assert.False(await check.IsPassedAsync(None));
        _core.Clock.Advance(ProtectionKeyCheck.RecheckInterval);

        Assert.True(await check.IsPassedAsync(None));
    }

    [Fact]
    public async Task A_failed_check_is_repeated_hourly_when_it_is_not_needed()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        var keys = new ChangingKeys(_wrong);
        using var check = New(_store, keys);
        await check.StartAsync(None);
        await _core.Logs.WaitForAsync(109);
        keys.Now = [_wrong, _right];

        for (var healed = _core.Logs.WaitForAsync(110); !healed.IsCompleted; await Task.Yield())
        {
            _core.Clock.Advance(ProtectionKeyCheck.Interval);
        }

        Assert.True(await check.IsPassedAsync(None));
        await check.StopAsync(None);
    }

    [Fact]
    public async Task A_token_that_opens_ends_a_failed_check_too()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        var id = await AddAsync(_right);
        var keys = new ChangingKeys(_wrong);
        using var check = New(_store, keys);
        var protector = new TokenProtector(keys, check);
        await check.IsPassedAsync(None);
        keys.Now = [_wrong, _right];
        _core.Clock.Advance(ProtectionKeyCheck.RecheckInterval);

        var instance = (await _store.FindAsync(id, None))!.Instance;
        Assert.NotNull(await protector.UnprotectRefreshTokenAsync(id, instance.Generation, instance.RefreshToken!, None));

        await _core.Logs.WaitForAsync(110);
        Assert.True(await protector.CanSealAsync(None));
    }

    [Fact]
    public async Task A_failing_check_is_one_critical_line_however_often_it_is_made()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        using var check = New(_wrong);
        for (var minute = 0; minute < 200; minute++)
        {
            Assert.False(await check.IsPassedAsync(None));
            _core.Clock.Advance(ProtectionKeyCheck.RecheckInterval);
        }

        Assert.Single(_core.Logs.Of(109));
    }

    [Fact]
    public async Task A_check_that_cannot_run_is_neither_passed_nor_failed()
    {
        var isDown = true;
        var store = new Mock<IKeyCheckStore>();
        store.Setup(each => each.FindKeyCheckAsync(It.IsAny<CancellationToken>()))
            .Returns(() => isDown ? throw new StorageUnavailableException("The storage is down.") : Checks.FindKeyCheckAsync(None));
        store.Setup(each => each.TryWriteKeyCheckAsync(It.IsAny<StoredKeyCheck?>(), It.IsAny<ProtectedText>(), It.IsAny<CancellationToken>())).ReturnsAsync(true);
        using var check = new ProtectionKeyCheck(store.Object, _store, new FixedKeys(_right), _core.Clock, _core.Logs.For<ProtectionKeyCheck>());

        await Assert.ThrowsAsync<StorageUnavailableException>(() => check.IsPassedAsync(None).AsTask());
        Assert.Empty(_core.Logs.Of(109));
        isDown = false;
        Assert.True(await check.IsPassedAsync(None));
    }

    [Fact]
    public async Task A_needed_key_that_cannot_be_read_now_is_not_a_wrong_key()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        var keys = new ChangingKeys(_wrong) { Failure = new SecretUnavailableException("Key Vault answered HTTP 429.") };
        using var check = New(_store, keys);

        await Assert.ThrowsAsync<SecretUnavailableException>(() => check.IsPassedAsync(None).AsTask());
        Assert.Empty(_core.Logs.Of(109));
        keys.Now = [_wrong, _right];

        Assert.True(await check.IsPassedAsync(None));
    }

    [Fact]
    public async Task A_needed_key_that_is_disabled_is_a_wrong_key()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        using var check = New(_store, new ChangingKeys(_wrong) { Failure = new SecretUnusableException("It is disabled.") });

        Assert.False(await check.IsPassedAsync(None));
        Assert.Single(_core.Logs.Of(109));
    }

    [Fact]
    public async Task Reencryption_seals_the_key_check_with_the_newest_key()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        await AddAsync(_right);
        var newest = FixedKeys.NewKey();
        var keys = new FixedKeys(_right, newest);
        using var check = New(_store, keys);
        var protector = new TokenProtector(keys, check);

        var summary = await NewReencryption(keys, protector).RunAsync(None);

        Assert.Equal((1, 1), (summary.OnNewest, summary.Reencrypted));
        Assert.Empty(summary.OnOlder);
        Assert.Equal(newest.Id, (await Checks.FindKeyCheckAsync(None))?.Check?.KeyId);
        using var restarted = New(newest);
        Assert.True(await restarted.IsPassedAsync(None));
    }

    [Fact]
    public async Task Reencryption_with_the_wrong_keys_changes_nothing()
    {
        using var first = New(_right);
        await first.IsPassedAsync(None);
        var before = await _store.FindAsync(await AddAsync(_right), None);
        var keys = new FixedKeys(_wrong);
        using var check = New(_store, keys);

        await Assert.ThrowsAsync<SecretUnavailableException>(() => NewReencryption(keys, new TokenProtector(keys, check)).RunAsync(None));

        Assert.Equal(before, await _store.FindAsync(before!.Instance.Id, None));
        Assert.Equal(_right.Id, (await Checks.FindKeyCheckAsync(None))?.Check?.KeyId);
    }

    private ProtectionKeyCheck New(ProtectionKey key) => New(_store, new FixedKeys(key));

    private ProtectionKeyCheck New(MemoryInstanceStore store, IKeyRing keys) =>
        new(store, store, keys, _core.Clock, _core.Logs.For<ProtectionKeyCheck>());

    private async Task<InstanceId> AddAsync(ProtectionKey key)
    {
        var instance = (await _core.InstallAsync(Core.NewId())).Instance;
        var protector = new TokenProtector(new FixedKeys(key));
        await _store.TryWriteAsync(
            previous: null,
            instance with
            {
                RefreshToken = await protector.ProtectAsync(instance.Id, TokenField.RefreshToken, instance.Generation, new RefreshToken("refresh"), None),
                AccessToken = await protector.ProtectAsync(instance.Id, TokenField.AccessToken, instance.Generation, new AccessToken("access"), None),
            },
            None);
        return instance.Id;
    }

    private TokenReencryption NewReencryption(IKeyRing keys, TokenProtector protector) => new(
        _store,
        keys,
        protector,
        new InstanceTokens(protector, _core.Memory, _core.Clock, _core.Logs.For<InstanceTokens>()),
        _core.Get<MaintenanceMetrics>(),
        _core.Clock,
        _core.Logs.For<TokenReencryption>());

    private sealed class ChangingKeys(params ProtectionKey[] keys) : IKeyRing
    {
        public ProtectionKey[] Now { get; set; } = keys;

        /// <summary>Why a key that is not there cannot be found; null where it does not exist.</summary>
        public SecretUnavailableException? Failure { get; set; }

        public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) => new(Now[0]);

        public ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken) =>
            Array.Find(Now, key => key.Id == id) is { } key ? new(key) : Failure is null ? default : throw Failure;
    }
}
