using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// Asks Wix for tokens, with the app secret of the moment: when Wix says no and the secret turns out to have been
/// changed since, once more with the new one. Raises <see cref="SecretUnavailableException"/>.
/// </summary>
public sealed class TokenGrants(WixClient wix, ISecretSource<AppSecretVersion> appSecret, AppSecretTrust trust, ServiceSettings settings)
{
    /// <summary>Exchanges a code. A rejection here is no sign against the app secret: anybody can send a bad code.</summary>
    public async Task<TokenAnswer> ExchangeAsync(AuthorizationCode code, CancellationToken cancellationToken) =>
        (await AskAsync((secret, token) => wix.ExchangeCodeAsync(code, secret, token), cancellationToken)).Answer;

    /// <summary>Whether there is anything at all to have an access token by; where not, only a consent helps.</summary>
    public bool CanRenew(Instance instance) =>
        instance.RefreshToken is not null || instance.Grant == Grant.ClientCredentials || settings.Wix.ClientCredentialsFallback;

    /// <summary>
    /// Has an access token by the instance's own grant, and if Wix rejects that, by the app's own credentials where
    /// this is allowed.
    /// </summary>
    /// <param name="instance">Whose.</param>
    /// <param name="refreshToken">Its refresh token; null where it has none or it cannot be read.</param>
    /// <param name="isStillCurrent">Asked after a rejection: whether nobody else has had a token in the meantime.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <returns>Wix's answer, the grant that it was given for, and the version of the app secret that it was asked with.</returns>
    public async Task<(TokenAnswer Answer, Grant Grant, string SecretVersion)> RenewAsync(
        Instance instance, RefreshToken? refreshToken, Func<Task<bool>> isStillCurrent, CancellationToken cancellationToken)
    {
        var usesRefreshToken = instance.Grant == Grant.RefreshToken && refreshToken is not null;
        var grant = usesRefreshToken ? Grant.RefreshToken : Grant.ClientCredentials;
        if (!usesRefreshToken && !settings.Wix.ClientCredentialsFallback && instance.Grant == Grant.RefreshToken)
        {
            return (new TokenAnswer.Unavailable(TokenError.Undecryptable, null), grant, "");
        }

        var (answer, secretVersion) = usesRefreshToken
            ? await AskAsync((secret, token) => wix.RefreshAsync(refreshToken!, secret, token), cancellationToken, isStillCurrent)
            : await AskAsync((secret, token) => wix.MintAsync(instance.Id, secret, token), cancellationToken, isStillCurrent);

        if (answer is TokenAnswer.Rejected
            && usesRefreshToken
            && settings.Wix.ClientCredentialsFallback
            && await isStillCurrent()
            && await AskAsync((secret, token) => wix.MintAsync(instance.Id, secret, token), cancellationToken)
                is (TokenAnswer.Granted minted, { } version))
        {
            (answer, grant, secretVersion) = (minted, Grant.ClientCredentials, version);
        }

        trust.Saw(instance.Id, secretVersion, answer, wasRejected: instance.Failures is { Rejections: > 0 });
        return (answer, grant, secretVersion);
    }

    private async Task<(TokenAnswer Answer, string SecretVersion)> AskAsync(
        Func<AppSecret, CancellationToken, Task<TokenAnswer>> ask, CancellationToken cancellationToken, Func<Task<bool>>? isStillCurrent = null)
    {
        var secret = await appSecret.GetAsync(cancellationToken);
        var answer = await ask(secret.Value, cancellationToken);
        if (answer is not TokenAnswer.Rejected || (isStillCurrent is not null && !await isStillCurrent()))
        {
            return (answer, secret.Version);
        }

        var newest = await appSecret.GetNewestAsync(cancellationToken);
        return newest.Value.Equals(secret.Value)
            ? (answer, secret.Version)
            : (await ask(newest.Value, cancellationToken), newest.Version);
    }
}
