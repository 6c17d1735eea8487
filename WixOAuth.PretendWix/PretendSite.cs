namespace WixOAuth.PretendWix;

/// <summary>Where a site stands with the app.</summary>
public enum PretendSiteStatus
{
    /// <summary>Its owner never added the app.</summary>
    NotInstalled,

    /// <summary>Its owner agreed.</summary>
    Installed,

    /// <summary>Its owner removed the app.</summary>
    Removed,
}

/// <summary>A site as it stands at one moment.</summary>
/// <param name="InstanceId">The app instance: the same for the site's whole life, reinstalls included (wix-protocol §1).</param>
/// <param name="SiteId">The site.</param>
/// <param name="Name">Its name.</param>
/// <param name="Url">Its address.</param>
/// <param name="Status">Where it stands with the app.</param>
/// <param name="SetupComplete">Whether <c>APP_FINISHED_CONFIGURATION</c> came for this installation (wix-protocol §6).</param>
/// <param name="AppVersion">The version its owner agreed to.</param>
/// <param name="OriginInstanceId">The instance it was cloned from (wix-protocol §8).</param>
public sealed record PretendSite(
    Guid InstanceId,
    Guid SiteId,
    string Name,
    Uri Url,
    PretendSiteStatus Status,
    bool SetupComplete,
    string AppVersion,
    Guid? OriginInstanceId);

/// <summary>An installation made without a browser.</summary>
/// <param name="InstanceId">The app instance.</param>
/// <param name="SiteId">The site.</param>
/// <param name="AppUrlToken">The token that Wix would open the App URL with.</param>
/// <param name="Code">A code that was not yet redeemed.</param>
public sealed record PretendInstall(Guid InstanceId, Guid SiteId, string AppUrlToken, string Code);

/// <summary>A seeded instance with its refresh token, for filling a store.</summary>
/// <param name="InstanceId">The app instance.</param>
/// <param name="RefreshToken">Its refresh token.</param>
public sealed record PretendSeed(Guid InstanceId, string RefreshToken);
