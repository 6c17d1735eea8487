using WixOAuth.Functions.Tests.Protection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>How stored tokens are opened, and what is remembered of an instance whose row has changed.</summary>
public sealed class InstanceTokensTests : IDisposable
{
    private static readonly InstanceId Id = Core.NewId();

    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    // A version that does not know RefreshTokenGeneration drops it from the row.
    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(257, true)]
    [InlineData(258, false)]
    public async Task A_refresh_token_that_was_sealed_for_an_earlier_generation_is_found_up_to_256_back(int generation, bool isFound)
    {
        var instance = (await _core.InstallAsync(Id)).Instance with { Generation = generation, RefreshTokenGeneration = null };

        Assert.Equal(isFound ? "refresh-1" : null, (await _core.InstanceTokens.OpenRefreshTokenAsync(instance))?.Reveal());
        Assert.Equal(isFound ? 0 : 1, _core.Logs.Of(406).Count);
    }

    // A later version then notes the generation of a row that an earlier version wrote.
    [Theory]
    [InlineData(1, true)]
    [InlineData(257, true)]
    [InlineData(258, false)]
    public async Task A_refresh_token_is_found_up_to_256_generations_before_the_one_that_the_row_says(int generation, bool isFound)
    {
        var instance = (await _core.InstallAsync(Id)).Instance with { Generation = 500, RefreshTokenGeneration = generation };

        Assert.Equal(isFound ? "refresh-1" : null, (await _core.InstanceTokens.OpenRefreshTokenAsync(instance))?.Reveal());
    }

    [Fact]
    public async Task A_row_without_a_refresh_token_has_none_to_search()
    {
        var instance = (await _core.InstallAsync(Id)).Instance with { RefreshToken = null };

        Assert.Null(await _core.InstanceTokens.OpenRefreshTokenAsync(instance));
        Assert.Empty(_core.Logs.Of(406));
    }

    [Fact]
    public async Task Tokens_whose_key_is_disabled_do_not_open_and_where_keys_may_not_be_listed_nothing_is_concluded()
    {
        var (key, disabled) = (FixedKeys.NewKey(), FixedKeys.NewKey());
        using var sealing = new Core(keys: new FixedKeys(disabled));
        var instance = (await sealing.InstallAsync(Id)).Instance;
        using var without = new Core(keys: Core.KeyRingOf(key, disabled));
        using var unlisted = new Core(keys: Core.KeyRingOf(key, disabled, areAll: false));

        Assert.Null(await without.InstanceTokens.OpenAccessTokenAsync(instance));
        Assert.Null(await without.InstanceTokens.OpenRefreshTokenAsync(instance));
        Assert.Contains(disabled.Id, Assert.Single(without.Logs.Of(406)), StringComparison.Ordinal);
        await Assert.ThrowsAnyAsync<SecretUnavailableException>(() => unlisted.InstanceTokens.OpenAccessTokenAsync(instance));
        await Assert.ThrowsAnyAsync<SecretUnavailableException>(() => unlisted.InstanceTokens.OpenRefreshTokenAsync(instance));
    }

    [Fact]
    public async Task The_token_of_another_writer_is_adopted_and_logged()
    {
        var stored = await _core.InstallAsync(Id);

        var adopted = Assert.IsType<TokenResult.Token>(await _core.InstanceTokens.AdoptAsync(Id, stored));

        Assert.Equal("access-1", adopted.AccessToken.Reveal());
        Assert.Equal("access-1", _core.Memory.Find(Id, _core.Clock.GetUtcNow())?.AccessToken.Reveal());
        Assert.Single(_core.Logs.Of(404));
    }

    [Fact]
    public async Task A_row_of_another_writer_without_an_access_token_is_asked_for_again_in_five_seconds()
    {
        var stored = await _core.InstallAsync(Id);

        Assert.Equal(
            new TokenResult.WixUnavailable(TimeSpan.FromSeconds(5)),
            await _core.InstanceTokens.AdoptAsync(Id, stored with { Instance = stored.Instance with { AccessToken = null } }));
    }

    [Fact]
    public async Task Nothing_is_remembered_of_an_instance_that_is_gone()
    {
        var stored = await _core.InstallAsync(Id);
        await _core.GetAsync(Id);
        var tombstone = stored with { Instance = stored.Instance with { Status = InstanceStatus.Removed, Generation = 2 } };

        Assert.Equal(new TokenResult.Removed(), await _core.InstanceTokens.AdoptAsync(Id, tombstone));

        Assert.Null(_core.Memory.Find(Id, _core.Clock.GetUtcNow()));
        Assert.Equal(new TokenResult.Unknown(), await _core.InstanceTokens.AdoptAsync(Core.NewId(), stored: null));
    }
}
