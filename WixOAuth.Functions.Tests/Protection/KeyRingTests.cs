using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.Secrets;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Functions.Tests.Protection;

/// <summary>The protection keys in Key Vault: rotation without a restart, outages, and ids that an attacker makes up.</summary>
public sealed class KeyRingTests : KeyVaultFixture
{
    private const string ListPath = $"/secrets/{KeyName}/versions";

    [Fact]
    public async Task The_newest_key_version_encrypts_and_every_enabled_version_decrypts()
    {
        var ids = Enumerable.Range(0, 5).Select(_ => AddKey()).ToList();
        var keys = Keys();

        Assert.Equal(ids[^1], (await keys.GetCurrentAsync(None)).Id);
        foreach (var id in ids)
        {
            Assert.Equal(id, (await keys.FindAsync(id, None))?.Id);
        }

        // Three pages of the list, and each value once.
        Assert.Equal(3 + 5, Vault.Calls.Count);
    }

    [Fact]
    public async Task A_row_from_before_a_rotation_opens_after_a_restart()
    {
        AddKey();
        var instance = new InstanceId(Guid.NewGuid());
        var row = await new TokenProtector(Keys()).ProtectAsync(instance, TokenField.RefreshToken, 3, new RefreshToken("a-token"), None);
        var newest = AddKey();
        var protector = new TokenProtector(Keys());

        var opened = await protector.UnprotectRefreshTokenAsync(instance, 3, row, None);
        var rewritten = await protector.ProtectAsync(instance, TokenField.RefreshToken, 4, opened!, None);

        Assert.Equal("a-token", opened!.Reveal());
        Assert.Equal(newest, rewritten.KeyId);
        Time.Advance(TimeSpan.FromDays(100));
        Assert.NotNull(await protector.UnprotectRefreshTokenAsync(instance, 3, row, None));
    }

    [Fact]
    public async Task A_new_version_is_picked_up_without_a_restart_and_the_old_one_stays_the_same_object()
    {
        var first = AddKey();
        var keys = Keys();
        var before = await keys.GetCurrentAsync(None);
        var second = AddKey();

        Time.Advance(TimeSpan.FromMinutes(15));

        Assert.Equal(second, (await keys.GetCurrentAsync(None)).Id);
        Assert.Same(before, await keys.FindAsync(first, None));
        Assert.Single(Vault.Calls, $"/secrets/{KeyName}/{first}");
    }

    [Fact]
    public async Task A_version_younger_than_two_minutes_opens_but_does_not_seal_where_there_is_an_older_one()
    {
        var first = AddKey();
        var second = Vault.Add(KeyName, NewValue(), createdOn: Time.GetUtcNow());
        var keys = Keys();

        Assert.Equal(first, (await keys.GetCurrentAsync(None)).Id);
        Assert.Equal(second, (await keys.FindAsync(second, None))?.Id);
        Time.Advance(KeyVaultKeyLoader.ActivationDelay);
        Assert.Equal(second, (await keys.GetNewestAsync(None)).Id);
    }

    [Fact]
    public async Task The_only_version_seals_however_young_it_is()
    {
        var only = Vault.Add(KeyName, NewValue(), createdOn: Time.GetUtcNow());

        Assert.Equal(only, (await Keys().GetCurrentAsync(None)).Id);
    }

    [Fact]
    public async Task Of_versions_that_are_all_young_the_oldest_seals_which_other_processes_know_best()
    {
        var first = Vault.Add(KeyName, NewValue(), createdOn: Time.GetUtcNow());
        Time.Advance(TimeSpan.FromSeconds(30));
        Vault.Add(KeyName, NewValue(), createdOn: Time.GetUtcNow());

        Assert.Equal(first, (await Keys().GetCurrentAsync(None)).Id);
    }

    [Fact]
    public async Task A_key_that_another_process_seals_with_is_always_found()
    {
        // The other process may seal as soon as the version is active; ours loaded its keys less than a minute before.
        AddKey();
        var second = Vault.Add(KeyName, NewValue(), createdOn: Time.GetUtcNow());
        Time.Advance(KeyVaultKeyLoader.ActivationDelay - KeyVaultSource<ProtectionKeys>.NewestInterval + TimeSpan.FromSeconds(1));
        var ours = Keys();
        await ours.GetCurrentAsync(None);
        Time.Advance(KeyVaultSource<ProtectionKeys>.NewestInterval - TimeSpan.FromSeconds(1));

        var theirs = await Keys().GetCurrentAsync(None);

        Assert.Equal(second, theirs.Id);
        Assert.NotNull(await ours.FindAsync(second, None));
    }

    [Fact]
    public async Task However_many_ids_are_made_up_the_keys_are_loaded_once_a_minute_and_genuine_ones_open()
    {
        var old = AddKey();
        var newest = AddKey();
        var keys = Keys();
        await keys.GetCurrentAsync(None);
        for (var minute = 0; minute < 3; minute++)
        {
            for (var i = 0; i < 50; i++)
            {
                Assert.Null(await keys.FindAsync(NewId(), None));
                Assert.Equal(newest, (await keys.FindAsync(newest, None))?.Id);
                Assert.Equal(old, (await keys.FindAsync(old, None))?.Id);
            }

            Time.Advance(TimeSpan.FromMinutes(1));
        }

        Assert.Equal(3, Vault.Calls.Count(path => path == ListPath));
        Assert.Empty(Logs.Lines(LogLevel.Warning));
    }

    [Fact]
    public async Task An_unknown_version_that_appears_is_found_within_a_minute()
    {
        AddKey();
        var keys = Keys();
        var id = NewId();
        Assert.Null(await keys.FindAsync(id, None));
        Vault.Add(KeyName, NewValue(), id);

        Time.Advance(TimeSpan.FromMinutes(1));

        Assert.Equal(id, (await keys.FindAsync(id, None))?.Id);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0")]
    [InlineData("0123456789ABCDEF0123456789ABCDEF")]
    [InlineData("0123456789abcdef0123456789abcdeg")]
    [InlineData("../../keys/0123456789abcdef01234")]
    public async Task A_text_that_cannot_be_an_id_does_not_reach_the_vault(string id)
    {
        AddKey();

        Assert.Null(await Keys().FindAsync(id, None));
        Assert.Empty(Vault.Calls);
    }

    [Fact]
    public async Task Fifty_rows_share_one_load_and_a_caller_that_cancels_does_not_end_it()
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
        Assert.Equal(3, Vault.Calls.Count);
    }

    [Theory]
    [InlineData("")]
    [InlineData("not base64 at all")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public async Task A_malformed_key_is_reported_with_what_it_should_be(string value)
    {
        var expected = $"Version {AddKey(value)} of the secret 'token-protection-key' in Key Vault is malformed: it should be base64 of 32 random bytes.";
        var malformed = expected.Split(' ')[1];

        var current = await RefusedAsync(() => Keys().GetCurrentAsync(None).AsTask());
        AddKey();
        var named = await RefusedAsync(() => Keys().FindAsync(malformed, None).AsTask());

        Assert.All([current, named], exception => Assert.Equal(expected, exception.Message));
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
    public async Task A_malformed_newest_version_does_not_stop_a_process_that_starts_after_it()
    {
        var good = AddKey();
        var malformed = AddKey("not base64 at all");
        var keys = Keys();

        Assert.Equal(good, (await keys.GetCurrentAsync(None)).Id);
        Assert.Equal(good, (await keys.FindAsync(good, None))?.Id);
        Assert.Contains("malformed", Assert.Single(Logs.Lines(LogLevel.Error)), StringComparison.Ordinal);
        await RefusedAsync(() => keys.FindAsync(malformed, None).AsTask());
    }

    [Fact]
    public async Task A_newest_version_that_could_not_be_read_at_the_start_stops_nothing_and_is_read_again_soon()
    {
        var old = AddKey();
        var newest = AddKey();
        Vault.ThrottledVersion = newest;
        var keys = Keys();

        Assert.Equal(old, (await keys.GetCurrentAsync(None)).Id);
        Assert.Contains("HTTP 429", Assert.Single(Logs.Lines(LogLevel.Error)), StringComparison.Ordinal);
        await RefusedAsync(() => keys.FindAsync(newest, None).AsTask());
        Vault.ThrottledVersion = null;
        Time.Advance(KeyVaultSource<ProtectionKeys>.FirstRetryInterval);

        Assert.Equal(newest, (await keys.FindAsync(newest, None))?.Id);
        Assert.Equal(newest, (await keys.GetCurrentAsync(None)).Id);
    }

    [Fact]
    public async Task A_disabled_version_is_unavailable_rather_than_missing_until_it_is_enabled_again()
    {
        var old = AddKey();
        var newest = AddKey();
        Vault.Disable(KeyName, old);
        var keys = Keys();

        for (var i = 0; i < 20; i++)
        {
            var exception = await RefusedAsync(() => keys.FindAsync(old, None).AsTask());
            Assert.Equal($"Version {old} of the secret 'token-protection-key' in Key Vault is disabled.", exception.Message);
        }

        // Once for each load of the keys, and only when it is needed.
        Assert.StartsWith($"Protection key {old} is needed and cannot be used", Assert.Single(Logs.Lines(LogLevel.Error)), StringComparison.Ordinal);
        Assert.Equal(newest, (await keys.GetCurrentAsync(None)).Id);
        Vault.Enable(KeyName, old);
        Time.Advance(TimeSpan.FromMinutes(1));
        Assert.Equal(old, (await keys.FindAsync(old, None))?.Id);
    }

    [Fact]
    public async Task A_version_that_is_disabled_while_the_process_runs_stays_known_to_it()
    {
        var old = AddKey();
        AddKey();
        var keys = Keys();
        await keys.GetCurrentAsync(None);
        Vault.Disable(KeyName, old);

        Time.Advance(TimeSpan.FromDays(1));

        Assert.Equal(old, (await keys.FindAsync(old, None))?.Id);
    }

    [Fact]
    public async Task While_the_vault_is_down_known_keys_open_and_unknown_ones_are_unavailable()
    {
        var old = AddKey();
        var newest = AddKey();
        var keys = Keys();
        await keys.GetCurrentAsync(None);
        var id = NewId();
        Vault.Add(KeyName, NewValue(), id);
        Vault.Fault = () => KeyVaultServer.Error(500, "InternalServerError", "Something broke.");
        Time.Advance(TimeSpan.FromHours(1));

        Assert.NotNull(await keys.FindAsync(newest, None));
        Assert.NotNull(await keys.FindAsync(old, None));
        await RefusedAsync(() => keys.FindAsync(id, None).AsTask());
        Vault.Fault = null;
        Time.Advance(KeyVaultSource<ProtectionKeys>.RetryInterval);

        Assert.Equal(id, (await keys.FindAsync(id, None))?.Id);
    }

    [Fact]
    public async Task Without_the_right_to_list_versions_the_newest_works_and_others_are_unavailable()
    {
        var old = AddKey();
        var newest = AddKey();
        Vault.RefusesLists = true;
        var keys = Keys();

        Assert.Equal(newest, (await keys.GetCurrentAsync(None)).Id);
        await RefusedAsync(() => keys.FindAsync(old, None).AsTask());
        Assert.Contains("cannot be listed", Assert.Single(Logs.Lines(LogLevel.Error)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_the_right_to_list_versions_a_young_version_does_not_seal_while_an_older_one_is_known()
    {
        var first = AddKey();
        Vault.RefusesLists = true;
        var keys = Keys();
        await keys.GetCurrentAsync(None);
        var second = Vault.Add(KeyName, NewValue(), createdOn: Time.GetUtcNow());

        Time.Advance(KeyVaultSource<ProtectionKeys>.NewestInterval);

        Assert.Equal(first, (await keys.GetNewestAsync(None)).Id);
        Assert.Equal(second, (await keys.FindAsync(second, None))?.Id);
        Time.Advance(KeyVaultKeyLoader.ActivationDelay);
        Assert.Equal(second, (await keys.GetNewestAsync(None)).Id);
    }

    [Fact]
    public async Task A_secret_without_an_enabled_version_is_unavailable()
    {
        await RefusedAsync(() => Keys().GetCurrentAsync(None).AsTask());
        Vault.Disable(KeyName, AddKey());

        var exception = await RefusedAsync(() => Keys().GetCurrentAsync(None).AsTask());

        Assert.StartsWith("There is no enabled version of a secret 'token-protection-key' in Key Vault", exception.Message, StringComparison.Ordinal);
    }

    private static string NewId() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    private static string NewValue() => Convert.ToBase64String(RandomNumberGenerator.GetBytes(ProtectionKey.Length));
}
