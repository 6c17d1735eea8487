using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>Whether a token belongs to an instance of this app.</summary>
internal enum ConfirmationOutcome
{
    Confirmed,

    /// <summary>It belongs to another instance or app, or is not active: nothing may be saved.</summary>
    Refused,

    /// <summary>Wix does not say, or contradicts itself about the token: nothing may be saved, trying again may help.</summary>
    Unknown,
}

/// <summary>What Wix says of a token and its instance; null where it does not say. <c>IssuedAt</c> is by Wix's clock.</summary>
internal sealed record Confirmation(ConfirmationOutcome Outcome, AppInstance? Instance, DateTimeOffset? IssuedAt);

/// <summary>
/// Finds out whose a token is: the instance id of a redirect or an import is only a claim (wix-protocol §4). Asks
/// token-info (§8) and Get App Instance (§6); both have to agree where both answer.
/// </summary>
internal sealed class InstanceConfirmation(WixClient wix, ServiceSettings settings, TimeProvider time)
{
    /// <summary>How long after "inactive" token-info is asked once more: it may not know a token yet that was issued a moment ago.</summary>
    public static readonly TimeSpan PauseAfterInactive = TimeSpan.FromSeconds(1);

    public async Task<Confirmation> ConfirmAsync(AccessToken accessToken, InstanceId claimed, CancellationToken cancellationToken)
    {
        var askingInfo = AskTokenInfoAsync(accessToken, cancellationToken);
        var askingInstance = wix.GetAppInstanceAsync(accessToken, cancellationToken);
        var (info, instance) = (await askingInfo, await askingInstance);
        return new Confirmation(Decide(info, instance, claimed, settings.Wix.AppId), instance, info?.IssuedAt);
    }

    /// <summary>Decides by what was answered; null is no answer.</summary>
    internal static ConfirmationOutcome Decide(TokenInfo? info, AppInstance? instance, InstanceId claimed, string appId)
    {
        if ((info?.ClientId is { } app && !app.Equals(appId, StringComparison.OrdinalIgnoreCase))
            || (info?.InstanceId ?? claimed) != claimed
            || (instance?.InstanceId ?? claimed) != claimed)
        {
            return ConfirmationOutcome.Refused;
        }

        var isAnswered = instance?.InstanceId is not null;
        return info switch
        {
            // Get App Instance answers only for tokens that work: one of the two is wrong, and it is not known which.
            { Active: false } => isAnswered ? ConfirmationOutcome.Unknown : ConfirmationOutcome.Refused,
            { Active: true, ClientId: not null, InstanceId: not null } => ConfirmationOutcome.Confirmed,

            // Get App Instance names no app, but answers only for tokens of apps, and ours came for our own secret.
            _ => isAnswered ? ConfirmationOutcome.Confirmed : ConfirmationOutcome.Unknown,
        };
    }

    private async Task<TokenInfo?> AskTokenInfoAsync(AccessToken accessToken, CancellationToken cancellationToken)
    {
        var info = await wix.GetTokenInfoAsync(accessToken, cancellationToken);
        if (info is not { Active: false })
        {
            return info;
        }

        await Task.Delay(PauseAfterInactive, time, cancellationToken);
        return await wix.GetTokenInfoAsync(accessToken, cancellationToken) ?? info;
    }
}
