using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>The tokens of a stored instance: opens and seals them, and keeps the memory of this process in step.</summary>
internal sealed class InstanceTokens(TokenProtector protector, TokenMemory memory, TimeProvider time, ILogger<InstanceTokens> logger)
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    /// <summary>The access token of a row, which is remembered; null when there is none or it cannot be read.</summary>
    /// <exception cref="SecretUnavailableException">Whether a key opens it cannot be known now.</exception>
    public async Task<TokenResult.Token?> OpenAccessTokenAsync(Instance instance)
    {
        return instance is { AccessToken: { } text, AccessTokenIssuedAt: not null, AccessTokenExpiresOn: not null }
            && await protector.UnprotectAccessTokenAsync(instance.Id, instance.Generation, text, CancellationToken.None) is { } accessToken
                ? Remember(instance, accessToken)
                : null;
    }

    /// <summary>The refresh token of a row; null when there is none or no key opens it.</summary>
    /// <exception cref="SecretUnavailableException">Whether a key opens it cannot be known now.</exception>
    public async Task<RefreshToken?> OpenRefreshTokenAsync(Instance instance)
    {
        var refreshToken = await protector.OpenRefreshTokenAsync(instance, CancellationToken.None);
        if (refreshToken is null && instance.RefreshToken is { } text)
        {
            logger.Undecryptable(instance.Id, text.KeyId);
        }

        return refreshToken;
    }

    /// <summary>Whether this process has the protection keys that the stored tokens are sealed with. If not, it must not write any.</summary>
    /// <exception cref="SecretUnavailableException">The keys cannot be had.</exception>
    /// <exception cref="StorageUnavailableException">The key check cannot be read.</exception>
    public ValueTask<bool> CanSealAsync() => protector.CanSealAsync(CancellationToken.None);

    /// <summary>Seals what Wix granted; see <see cref="ProtectedTokens"/>.</summary>
    public ValueTask<ProtectedTokens> SealAsync(InstanceId id, long generation, TokenAnswer.Granted granted, RefreshToken? refreshToken) =>
        SealAsync(protector, id, generation, granted, refreshToken);

    // Not cancellable, since the tokens must be saved.
    internal static async ValueTask<ProtectedTokens> SealAsync(
        TokenProtector protector, InstanceId id, long generation, TokenAnswer.Granted granted, RefreshToken? refreshToken) => new(
            generation,
            await protector.ProtectAsync(id, TokenField.AccessToken, generation, granted.AccessToken, CancellationToken.None),
            refreshToken is null
                ? null
                : await protector.ProtectAsync(id, TokenField.RefreshToken, generation, refreshToken, CancellationToken.None),
            granted.IssuedAt,
            granted.ExpiresOn);

    /// <summary>Remembers the access token of a row that was just saved or read.</summary>
    public TokenResult.Token Remember(Instance instance, AccessToken accessToken) =>
        Remember(instance.Id, accessToken, instance.AccessTokenIssuedAt!.Value, instance.AccessTokenExpiresOn!.Value, instance.Generation);

    /// <summary>Remembers a token that could not be saved, as the one of <paramref name="generation"/>.</summary>
    public TokenResult.Token RememberUnsaved(InstanceId id, TokenAnswer.Granted granted, long generation) =>
        Remember(id, granted.AccessToken, granted.IssuedAt, granted.ExpiresOn, generation);

    /// <summary>The result when another writer committed first.</summary>
    public async Task<TokenResult> AdoptAsync(InstanceId id, StoredInstance? stored)
    {
        if (stored is null || stored.Instance.Status == InstanceStatus.Removed)
        {
            return Gone(id, stored);
        }

        logger.WinnerAdopted(id, stored.Instance.Generation);
        return (TokenResult?)await OpenAccessTokenAsync(stored.Instance) ?? new TokenResult.WixUnavailable(RetryAfter);
    }

    /// <summary>The answer for an instance that is unknown or removed, of which nothing is remembered any more.</summary>
    public TokenResult Gone(InstanceId id, StoredInstance? tombstone)
    {
        if (tombstone is null)
        {
            // No tombstone is kept: anybody can ask for ids that never existed.
            memory.Forget(id);
            return new TokenResult.Unknown();
        }

        memory.Forget(id, tombstone.Instance.Generation);
        return new TokenResult.Removed();
    }

    private TokenResult.Token Remember(InstanceId id, AccessToken accessToken, DateTimeOffset issuedAt, DateTimeOffset expiresOn, long generation)
    {
        var token = new TokenResult.Token(id, accessToken, issuedAt, expiresOn, generation, time.GetUtcNow());
        memory.Remember(token);
        return token;
    }
}
