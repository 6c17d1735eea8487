using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

internal static class TokenSealing
{
    /// <summary>Seals the tokens that Wix granted, for one generation of an instance. Not cancellable, since they must be saved.</summary>
    public static async ValueTask<ProtectedTokens> ProtectAsync(
        this TokenProtector protector, InstanceId id, long generation, TokenAnswer.Granted granted, RefreshToken? refreshToken) => new(
            generation,
            await protector.ProtectAsync(id, TokenField.AccessToken, generation, granted.AccessToken, CancellationToken.None),
            refreshToken is null
                ? null
                : await protector.ProtectAsync(id, TokenField.RefreshToken, generation, refreshToken, CancellationToken.None),
            granted.IssuedAt,
            granted.ExpiresOn);
}
