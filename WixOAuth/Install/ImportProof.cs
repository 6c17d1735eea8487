using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>What came of trying an imported token at Wix.</summary>
internal abstract record ImportProofResult
{
    private ImportProofResult()
    {
    }

    /// <summary>It works, and belongs to the instance.</summary>
    public sealed record Proven(TokenAnswer.Granted Granted, RefreshToken? RefreshToken, AppInstance? Instance) : ImportProofResult;

    /// <summary>Wix refuses it, or it belongs to another instance or app.</summary>
    public sealed record Rejected : ImportProofResult;

    /// <summary>Wix gave no clear answer.</summary>
    public sealed record Unavailable(TimeSpan? RetryAfter) : ImportProofResult;
}

/// <summary>Uses an imported refresh token at Wix once, and asks whose it is.</summary>
internal sealed class ImportProof(TokenGrants grants, InstanceConfirmation confirmation, TokenProtector protector, ServiceSettings settings)
{
    /// <summary>Whether a site can be imported without a refresh token.</summary>
    public bool AllowsNoToken => settings.Wix.ClientCredentialsFallback;

    /// <summary>Tries the token; without one, the app's own credentials. Once the token is used nothing cancels it.</summary>
    /// <exception cref="SecretUnavailableException">The app secret cannot be read, or nothing may be sealed now; nothing was used.</exception>
    internal async Task<ImportProofResult> TryAsync(InstanceId id, RefreshToken? refreshToken, CancellationToken cancellationToken)
    {
        await protector.EnsureCanSealAsync(cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        var answer = await grants.TryAsync(id, refreshToken, CancellationToken.None);
        if (answer is not TokenAnswer.Granted granted)
        {
            return answer is TokenAnswer.Unavailable unavailable ? new ImportProofResult.Unavailable(unavailable.RetryAfter) : new ImportProofResult.Rejected();
        }

        var confirmed = await confirmation.ConfirmAsync(granted.AccessToken, id, CancellationToken.None);
        return confirmed.Outcome switch
        {
            ConfirmationOutcome.Confirmed => new ImportProofResult.Proven(
                granted, refreshToken is null ? null : granted.RefreshToken ?? refreshToken, confirmed.Instance),
            ConfirmationOutcome.Refused => new ImportProofResult.Rejected(),
            _ => new ImportProofResult.Unavailable(null),
        };
    }
}
