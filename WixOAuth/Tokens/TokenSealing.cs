using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

internal static class TokenSealing
{
    /// <summary>Encrypts what Wix granted for one generation of an instance. Not cancellable: what was granted has to be saved.</summary>
    public static async ValueTask<ProtectedTokens> ProtectAsync(
        this TokenProtector protector, InstanceId id, long generation, TokenAnswer.Granted granted, RefreshToken? refreshToken) => new(
            generation,
            await protector.ProtectAsync(id, TokenField.AccessToken, generation, granted.AccessToken, CancellationToken.None),
            refreshToken is null
                ? null
                : await protector.ProtectAsync(id, TokenField.RefreshToken, generation, refreshToken, CancellationToken.None),
            granted.IssuedAt,
            granted.Bounded().ExpiresOn);
}
