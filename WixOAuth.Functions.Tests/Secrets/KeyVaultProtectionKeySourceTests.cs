using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Secrets;

public sealed class KeyVaultProtectionKeySourceTests : KeyVaultFixture
{
    [Fact]
    public async Task The_newest_version_is_the_current_key_and_needs_no_lookup()
    {
        AddKey();
        var newest = AddKey();
        var keys = Keys();

        var current = await keys.GetCurrentAsync(None);

        Assert.Equal(newest, current.Id);
        Assert.Same(current, await keys.FindAsync(newest, None));
        Assert.Same(current, await keys.FindClaimedAsync(newest, None));
        Assert.Single(Vault.Calls);
    }

    [Fact]
    public async Task A_row_from_before_a_rotation_opens_by_its_named_version_after_a_restart()
    {
        AddKey();
        var instance = new InstanceId(Guid.NewGuid());
        var row = await new TokenProtector(Keys()).ProtectAsync(instance, TokenField.RefreshToken, 3, new RefreshToken("a-token"), None);
        var newest = AddKey();
        var restarted = Keys();
        var protector = new TokenProtector(restarted);

        var opened = await protector.UnprotectRefreshTokenAsync(instance, 3, row, None);
        var rewritten = await protector.ProtectAsync(instance, TokenField.RefreshToken, 4, opened!, None);

        Assert.Equal("a-token", opened!.Reveal());
        Assert.Equal(newest, rewritten.KeyId);
        Time.Advance(TimeSpan.FromDays(100));
        Assert.NotNull(await protector.UnprotectRefreshTokenAsync(instance, 3, row, None));
        Assert.Single(Vault.Calls, $"/secrets/{KeyName}/{row.KeyId}");
    }

    [Fact]
    public async Task A_new_version_is_picked_up_without_a_restart_and_the_old_one_stays()
    {
        var first = AddKey();
        var keys = Keys();
        await keys.GetCurrentAsync(None);
        var second = AddKey();

        Time.Advance(TimeSpan.FromMinutes(15));

        Assert.Equal(second, (await keys.GetCurrentAsync(None)).Id);
        Assert.Equal(first, (await keys.FindAsync(first, None))?.Id);
        Assert.Equal(2, Vault.Calls.Count);
    }

    [Fact]
    public async Task The_same_key_stays_the_same_object_when_it_is_read_anew()
    {
        AddKey();
        var keys = Keys();
        var first = await keys.GetCurrentAsync(None);

        Time.Advance(TimeSpan.FromMinutes(15));

        Assert.Same(first, await keys.GetCurrentAsync(None));
        Assert.Equal(2, Vault.Calls.Count);
    }

    [Fact]
    public async Task An_unknown_version_is_remembered_for_a_minute_only()
    {
        AddKey();
        var keys = Keys();
        var id = NewId();

        Assert.Null(await keys.FindAsync(id, None));
        Assert.Null(await keys.FindAsync(id, None));
        Assert.Single(Vault.Calls);
        Assert.Single(Logs.Lines(LogLevel.Warning));
        Vault.Add(KeyName, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)), id);
        Time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal(id, (await keys.FindAsync(id, None))?.Id);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("0123456789ABCDEF0123456789ABCDEF")]
    [InlineData("0123456789abcdef0123456789abcdeg")]
    [InlineData("../../keys/0123456789abcdef01234")]
    public async Task What_no_version_can_be_called_is_not_asked_for(string id)
    {
        AddKey();
        var keys = Keys();

        Assert.Null(await keys.FindAsync(id, None));
        Assert.Null(await keys.FindClaimedAsync(id, None));
        Assert.Empty(Vault.Calls);
    }

    [Fact]
    public async Task Unknown_ids_of_rows_are_limited_and_then_unavailable_rather_than_missing()
    {
        AddKey();
        var old = AddKey();
        AddKey();
        var keys = Keys();
        for (var i = 0; i < KeyVaultProtectionKeySource.LookupLimit; i++)
        {
            Assert.Null(await keys.FindAsync(NewId(), None));
        }

        await RefusedAsync(() => keys.FindAsync(old, None).AsTask());
        var refusal = await RefusedAsync(() => keys.FindAsync(old, None).AsTask());
        Assert.StartsWith($"Version {old} of the secret 'token-protection-key' is not looked up now", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(KeyVaultProtectionKeySource.LookupLimit, Vault.Calls.Count);
        Assert.Single(Logs.Lines(LogLevel.Warning), line => line.Contains("More unknown versions", StringComparison.Ordinal));
        Time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal(old, (await keys.FindAsync(old, None))?.Id);
    }

    [Fact]
    public async Task Made_up_ids_from_browsers_neither_fail_nor_keep_a_key_from_our_rows()
    {
        var old = AddKey();
        var newest = AddKey();
        var keys = Keys();
        for (var i = 0; i < 3 * KeyVaultProtectionKeySource.LookupLimit; i++)
        {
            Assert.Null(await keys.FindClaimedAsync(NewId(), None));
        }

        Assert.Equal(1 + KeyVaultProtectionKeySource.LookupLimit, Vault.Calls.Count);
        Assert.Equal(newest, (await keys.FindClaimedAsync(newest, None))?.Id);
        Assert.Null(await keys.FindClaimedAsync(old, None));
        Assert.Equal(old, (await keys.FindAsync(old, None))?.Id);
        Assert.Equal(old, (await keys.FindClaimedAsync(old, None))?.Id);
    }

    [Fact]
    public async Task Versions_that_were_not_found_are_remembered_no_longer_than_that_counts()
    {
        AddKey();
        var keys = Keys();
        for (var i = 0; i < 5; i++)
        {
            await keys.FindAsync(NewId(), None);
        }

        Assert.Equal(5, keys.MissCount);
        Time.Advance(KeyVaultProtectionKeySource.MissInterval);
        await keys.FindAsync(NewId(), None);
        Assert.Equal(1, keys.MissCount);
    }

    [Fact]
    public async Task However_many_versions_there_are_only_so_many_are_kept()
    {
        var first = AddKey();
        var keys = Keys();
        await keys.FindAsync(first, None);
        for (var i = 1; i <= KeyVaultProtectionKeySource.MaxKnown; i++)
        {
            if (i % KeyVaultProtectionKeySource.LookupLimit == 0)
            {
                Time.Advance(TimeSpan.FromMinutes(1));
            }

            await keys.FindAsync(AddKey(), None);
        }

        var asked = Vault.Calls.Count;
        Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(first, (await keys.FindAsync(first, None))?.Id);
        Assert.Equal(asked + 1, Vault.Calls.Count);
    }

    [Fact]
    public async Task Fifty_rows_of_one_unknown_key_share_one_lookup_and_none_can_end_it()
    {
        var old = AddKey();
        AddKey();
        var keys = Keys();
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Vault.Gate = gate.Task;
        using var leaving = new CancellationTokenSource();

        var leader = keys.FindAsync(old, leaving.Token).AsTask();
        await Vault.Arrived.Task;
        var followers = Enumerable.Range(0, 50).Select(_ => keys.FindAsync(old, None).AsTask()).ToList();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leader);
        gate.SetResult();

        Assert.All(await Task.WhenAll(followers), key => Assert.Equal(old, key?.Id));
        Assert.Single(Vault.Calls);
    }

    [Theory]
    [InlineData("")]
    [InlineData("not base64 at all")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public async Task A_malformed_key_is_told_what_it_should_be(string value)
    {
        var version = AddKey(value);

        var current = await RefusedAsync(() => Keys().GetCurrentAsync(None).AsTask());
        var named = await RefusedAsync(() => Keys().FindAsync(version, None).AsTask());

        Assert.All([current, named], exception => Assert.Equal(
            $"Version {version} of the secret 'token-protection-key' in Key Vault is malformed: it should be base64 of 32 random bytes.",
            exception.Message));
    }

    [Fact]
    public async Task A_malformed_new_version_leaves_the_good_one_in_use()
    {
        var good = AddKey();
        var keys = Keys();
        await keys.GetCurrentAsync(None);
        AddKey("not base64 at all");

        Time.Advance(TimeSpan.FromMinutes(15));

        Assert.Equal(good, (await keys.GetCurrentAsync(None)).Id);
        Assert.Contains("malformed", Assert.Single(Logs.Lines(LogLevel.Error)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disabled_version_is_unavailable_not_missing()
    {
        var old = AddKey();
        AddKey();
        Vault.Disable(KeyName, old);

        var exception = await RefusedAsync(() => Keys().FindAsync(old, None).AsTask());

        Assert.Contains("HTTP 403", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"Version {old} of the protection key cannot be had.", Assert.Single(Logs.Lines(LogLevel.Error)), StringComparison.Ordinal);
        Assert.Contains(old, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_the_vault_is_down_known_keys_open_and_unknown_ones_are_unavailable()
    {
        var old = AddKey();
        var newest = AddKey();
        var keys = Keys();
        await keys.GetCurrentAsync(None);
        Vault.Fault = () => KeyVaultServer.Error(500, "InternalServerError", "Something broke.");

        Assert.NotNull(await keys.FindAsync(newest, None));
        await RefusedAsync(() => keys.FindAsync(old, None).AsTask());
        Vault.Fault = null;

        Assert.Equal(old, (await keys.FindAsync(old, None))?.Id);
    }

    private static string NewId() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
}
