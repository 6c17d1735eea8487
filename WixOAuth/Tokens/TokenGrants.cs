using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// What Wix answered to one attempt to obtain an access token, and for which grant. <paramref name="EveryGrantRejected"/>
/// also says that no other attempt obtained a token meanwhile.
/// </summary>
internal sealed record GrantAnswer(TokenAnswer Answer, Grant Grant, string SecretVersion, bool RefreshTokenRejected, bool EveryGrantRejected);

/// <summary>
/// Requests tokens from Wix with the current app secret. When Wix rejects a request and the secret turns out to have
/// been changed since, it is sent once more with the new one. Raises <see cref="SecretUnavailableException"/>.
/// </summary>
internal sealed class TokenGrants(WixClient wix, ISecretSource<AppSecretVersion> appSecret, AppSecretLedger ledger, ServiceSettings settings)
{
    /// <summary>Exchanges a code. A rejection says nothing about the app secret: anybody can send a bad code.</summary>
    public async Task<TokenAnswer> ExchangeAsync(AuthorizationCode code, CancellationToken cancellationToken) =>
        (await AskAsync((secret, token) => wix.ExchangeCodeAsync(code, secret, token), isStillCurrent: null, cancellationToken)).Answer;

    public bool MayUseClientCredentials => settings.Wix.ClientCredentialsFallback;

    /// <summary>
    /// Tries an imported refresh token, or without one the app's own credentials. A rejection says nothing about the app
    /// secret: the import may be wrong.
    /// </summary>
    public async Task<TokenAnswer> TryAsync(InstanceId id, RefreshToken? refreshToken, CancellationToken cancellationToken) => (await AskAsync(
        (secret, token) => refreshToken is null ? wix.RequestClientCredentialsTokenAsync(id, secret, token) : wix.RefreshAsync(refreshToken, secret, token),
        isStillCurrent: null,
        cancellationToken)).Answer;

    /// <summary>Whether the settings allow any grant for an instance; where not, only a consent helps.</summary>
    public bool HasAllowedGrant(Instance instance) => instance.RefreshToken is not null || settings.Wix.ClientCredentialsFallback;

    /// <summary>Whether the refresh token of an instance went out of use and is to be tried again now; never where client credentials are preferred.</summary>
    public bool IsRefreshTokenDue(Instance instance, DateTimeOffset now) =>
        settings.Wix.PreferredGrant == Grant.RefreshToken && instance.RefreshTokenFault?.RetryAt <= now;

    /// <summary>
    /// The allowed grants of an instance, in the order in which they are tried. A refresh token that was rejected waits
    /// until it is due again, unless an operator asks (<paramref name="isForced"/>); if client credentials are rejected
    /// meanwhile, it is tried anyway.
    /// </summary>
    public IReadOnlyList<Grant> OrderFor(Instance instance, bool isReadable, bool isForced, DateTimeOffset now)
    {
        var refreshTokenFirst = settings.Wix.PreferredGrant == Grant.RefreshToken
            && (isForced || instance.RefreshTokenFault is not { Kind: RefreshTokenFaultKind.Rejected } fault || RejectionPolicy.IsDue(fault, now));
        return (isReadable, settings.Wix.ClientCredentialsFallback) switch
        {
            (true, true) => refreshTokenFirst ? [Grant.RefreshToken, Grant.ClientCredentials] : [Grant.ClientCredentials, Grant.RefreshToken],
            (true, false) => [Grant.RefreshToken],
            (false, true) => [Grant.ClientCredentials],
            _ => [],
        };
    }

    /// <summary>
    /// Requests an access token by one grant after the other, until one is not rejected or <paramref name="isStillCurrent"/>
    /// says that another attempt has obtained a token meanwhile.
    /// </summary>
    public async Task<GrantAnswer> RequestAsync(
        InstanceId id, IReadOnlyList<Grant> order, RefreshToken? refreshToken, Func<Task<bool>> isStillCurrent, CancellationToken cancellationToken)
    {
        TokenAnswer answer = new TokenAnswer.Rejected();
        var (grant, version, refreshTokenRejected) = (order[0], "", false);
        for (var i = 0; i < order.Count && answer is TokenAnswer.Rejected; i++)
        {
            grant = order[i];
            (answer, version) = grant == Grant.RefreshToken
                ? await AskAsync((secret, token) => wix.RefreshAsync(refreshToken!, secret, token), isStillCurrent, cancellationToken)
                : await AskAsync((secret, token) => wix.RequestClientCredentialsTokenAsync(id, secret, token), isStillCurrent, cancellationToken);
            if (answer is TokenAnswer.Rejected && !await isStillCurrent())
            {
                return new GrantAnswer(answer, grant, version, RefreshTokenRejected: false, EveryGrantRejected: false);
            }

            refreshTokenRejected |= answer is TokenAnswer.Rejected && grant == Grant.RefreshToken;
        }

        ledger.Record(id, answer);
        return new GrantAnswer(answer, grant, version, refreshTokenRejected, EveryGrantRejected: answer is TokenAnswer.Rejected);
    }

    private async Task<(TokenAnswer Answer, string SecretVersion)> AskAsync(
        Func<AppSecret, CancellationToken, Task<TokenAnswer>> ask, Func<Task<bool>>? isStillCurrent, CancellationToken cancellationToken)
    {
        var secret = await appSecret.GetAsync(cancellationToken);
        var answer = await ask(secret.Value, cancellationToken);
        if (answer is not TokenAnswer.Rejected)
        {
            return (answer, secret.Version);
        }

        var newest = await appSecret.GetNewestAsync(cancellationToken);
        return newest.Value.Equals(secret.Value) || (isStillCurrent is not null && !await isStillCurrent())
            ? (answer, secret.Version)
            : (await ask(newest.Value, cancellationToken), newest.Version);
    }
}
