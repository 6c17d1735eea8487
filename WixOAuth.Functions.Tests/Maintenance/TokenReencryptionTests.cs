using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>Tokens come to be encrypted with the newest protection key, and none is lost on the way.</summary>
public sealed class TokenReencryptionTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly ProtectionKey _old = FixedKeys.NewKey();
    private readonly ProtectionKey _new = FixedKeys.NewKey();
    private readonly WatchedStore _store = new(new MemoryInstanceStore());
    private readonly Core _core;

    public TokenReencryptionTests() => _core = new Core(_store);

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task Tokens_under_an_older_key_are_encrypted_with_the_newest_and_nothing_else_changes()
    {
        var protector = new TokenProtector(new FixedKeys(_old, _new));
        var before = new List<Instance>();
        for (var number = 0; number < 50; number++)
        {
            before.Add(await AddAsync(number < 40 ? _old : _new));
        }

        var summary = await RunAsync(_old, _new);
        var reads = _store.CallsTo(nameof(IInstanceStore.FindAsync));
        var again = await RunAsync(_old, _new);

        // Those that need nothing are not read one by one.
        Assert.Equal(reads, _store.CallsTo(nameof(IInstanceStore.FindAsync)));
        Assert.Equal((_new.Id, 50, 40, true), (summary.Newest, summary.OnNewest, summary.Reencrypted, summary.IsComplete));
        Assert.Equal((50, 0), (again.OnNewest, again.Reencrypted));
        Assert.Empty(summary.OnOlder);
        foreach (var old in before)
        {
            var instance = await _core.ReadAsync(old.Id);
            Assert.Equal(old with { RefreshToken = instance.RefreshToken, AccessToken = instance.AccessToken }, instance);
            Assert.Equal((_new.Id, _new.Id), (instance.RefreshToken!.KeyId, instance.AccessToken!.KeyId));
            Assert.Equal($"refresh of {old.Id}", (await protector.UnprotectRefreshTokenAsync(old.Id, 1, instance.RefreshToken, None))?.Reveal());
            Assert.Equal($"access of {old.Id}", (await protector.UnprotectAccessTokenAsync(old.Id, 1, instance.AccessToken, None))?.Reveal());
        }

        Assert.StartsWith($"Protection key {_new.Id} is the newest: 50 instances need only it", _core.Logs.Of(417)[0], StringComparison.Ordinal);
        Assert.Empty(_core.Logs.Of(418));
    }

    [Fact]
    public async Task A_token_that_no_key_opens_is_kept_and_counted()
    {
        var gone = FixedKeys.NewKey();
        var (lost, kept) = (await AddAsync(gone), await AddAsync(_old));
        await AddAsync(gone);

        var summary = await RunAsync(_old, _new);

        Assert.Equal(lost, await _core.ReadAsync(lost.Id));
        Assert.Equal(_new.Id, (await _core.ReadAsync(kept.Id)).RefreshToken!.KeyId);
        Assert.Equal(new Dictionary<string, int> { [gone.Id] = 2 }, summary.OnOlder);
        Assert.StartsWith($"Protection key {gone.Id} is an older version that 2 instances need", Assert.Single(_core.Logs.Of(418)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_refresh_under_way_is_left_alone_until_its_lease_has_ended()
    {
        var instance = await AddAsync(_old);
        var stored = (await _store.FindAsync(instance.Id, None))!;
        var leased = (await _store.TryWriteAsync(stored, instance.Leased("somebody", _core.Clock.GetUtcNow() + TokenRefresher.LeaseTime), None))!;

        var during = await RunAsync(_old, _new);
        Assert.Equal(leased, await _store.FindAsync(instance.Id, None));
        _core.Clock.Advance(TokenRefresher.LeaseTime);
        var after = await RunAsync(_old, _new);

        Assert.Equal((1, 0), (during.OnOlder[_old.Id], during.Reencrypted));
        Assert.Equal(1, after.Reencrypted);
    }

    [Fact]
    public async Task Tokens_that_come_between_reading_and_writing_are_not_overwritten()
    {
        var instance = await AddAsync(_old);
        var raced = false;
        _store.Before = async (method, id) =>
        {
            if (method == nameof(IInstanceStore.TryWriteAsync) && !raced)
            {
                raced = true;
                var current = (await _store.FindAsync(instance.Id, None))!;
                await _store.TryWriteAsync(current, await SealAsync(current.Instance with { Generation = 2 }, _old, "newer"), None);
            }
        };

        var summary = await RunAsync(_old, _new);

        var now = await _core.ReadAsync(instance.Id);
        var opened = await new TokenProtector(new FixedKeys(_new)).UnprotectRefreshTokenAsync(now.Id, 2, now.RefreshToken!, None);
        Assert.Equal("newer", opened?.Reveal());
        Assert.Equal(1, summary.Reencrypted);
    }

    [Fact]
    public async Task An_instance_with_one_token_only_is_counted_too_and_one_without_is_not()
    {
        foreach (var key in new[] { _old, _new })
        {
            await WriteAsync(await AddAsync(key), instance => instance with { AccessToken = null });
            await WriteAsync(await AddAsync(key), instance => instance with { RefreshToken = null });
            await WriteAsync(await AddAsync(key), instance => instance with { AccessToken = null, RefreshToken = null });
        }

        var summary = await RunAsync(_old, _new);

        Assert.Equal((4, 2), (summary.OnNewest, summary.Reencrypted));
        Assert.Empty(summary.OnOlder);
    }

    [Fact]
    public async Task A_row_that_others_write_all_the_time_is_left_to_them_after_three_tries()
    {
        var instance = await AddAsync(_old);
        var busy = 0;
        _store.Before = async (method, _) =>
        {
            if (method == nameof(IInstanceStore.TryWriteAsync) && busy++ % 2 == 0)
            {
                await WriteAsync(instance, current => current with { UpdatedAt = current.UpdatedAt.AddSeconds(1) });
            }
        };

        var summary = await RunAsync(_old, _new);

        Assert.Equal(6, busy);
        Assert.Equal((0, 1), (summary.Reencrypted, summary.OnOlder[_old.Id]));
    }

    [Fact]
    public async Task An_unreadable_row_is_reported_and_counted_as_it_is()
    {
        var instance = await AddAsync(_old);
        _store.Before = (method, _) => method == nameof(IInstanceStore.FindAsync)
            ? throw new InvalidDataException("The row has no 'Generation'.")
            : Task.CompletedTask;

        Assert.Equal(1, (await RunAsync(_old, _new)).OnOlder[_old.Id]);
        Assert.Contains("The row has no 'Generation'.", Assert.Single(_core.Logs.Of(416)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_run_that_is_ended_says_that_it_saw_a_part_and_counts_nothing()
    {
        using var measured = new Measured(_core);
        await AddAsync(_old);
        await AddAsync(_old);
        using var ending = new CancellationTokenSource();
        _store.Before = (_, _) => ending.CancelAsync();

        var summary = await RunAsync([_old, _new], ending.Token);

        Assert.False(summary.IsComplete);
        Assert.StartsWith($"Protection key {_new.Id}: the run did not finish in time", Assert.Single(_core.Logs.Of(419)), StringComparison.Ordinal);
        Assert.Empty(measured.Of("wixoauth.protection_key.instances"));
        _store.Before = (_, _) => Task.CompletedTask;
        Assert.Equal(2, (await RunAsync(_old, _new)).OnNewest);
        Assert.Equal(new() { ["version=newest"] = 2, ["version=older"] = 0 }, measured.Of("wixoauth.protection_key.instances"));
    }

    private async Task WriteAsync(Instance instance, Func<Instance, Instance> change)
    {
        var stored = (await _store.FindAsync(instance.Id, None))!;
        Assert.NotNull(await _store.TryWriteAsync(stored, change(stored.Instance), None));
    }

    private Task<ReencryptionSummary> RunAsync(params ProtectionKey[] keys) => RunAsync(keys, None);

    private Task<ReencryptionSummary> RunAsync(ProtectionKey[] keys, CancellationToken cancellationToken)
    {
        var source = new FixedKeys(keys);
        var protector = new TokenProtector(source);
        var tokens = new InstanceTokens(protector, _core.Memory, _core.Clock, _core.Logs.For<InstanceTokens>());
        return new TokenReencryption(_store, source, protector, tokens, _core.Get<MaintenanceMetrics>(), _core.Clock, _core.Logs.For<TokenReencryption>())
            .RunAsync(cancellationToken);
    }

    private async Task<Instance> AddAsync(ProtectionKey key)
    {
        var instance = (await _core.InstallAsync(Core.NewId())).Instance;
        var stored = (await _store.FindAsync(instance.Id, None))!;
        return (await _store.TryWriteAsync(stored, await SealAsync(instance, key, $"refresh of {instance.Id}"), None))!.Instance;
    }

    private static async Task<Instance> SealAsync(Instance instance, ProtectionKey key, string refreshToken)
    {
        var protector = new TokenProtector(new FixedKeys(key));
        return instance with
        {
            RefreshToken = await protector.ProtectAsync(instance.Id, TokenField.RefreshToken, instance.Generation, new RefreshToken(refreshToken), None),
            AccessToken = await protector.ProtectAsync(instance.Id, TokenField.AccessToken, instance.Generation, new AccessToken($"access of {instance.Id}"), None),
        };
    }
}
