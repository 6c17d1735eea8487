using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Install;

internal static class InstallerUrls
{
    /// <summary>The consent page (wix-protocol §3).</summary>
    public static BrowserUrl Consent(WixOptions wix, InstallToken? token, string state) => new(
        $"{Root(wix)}/install?"
        + (token is null ? "" : $"token={Uri.EscapeDataString(token.Reveal())}&")
        + $"appId={Uri.EscapeDataString(wix.AppId)}"
        + $"&redirectUrl={Uri.EscapeDataString(wix.RedirectUrl.OriginalString)}"
        + $"&state={state}");

    /// <summary>The page that closes the install's window (wix-protocol §7).</summary>
    public static BrowserUrl CloseWindow(WixOptions wix, AccessToken accessToken) =>
        new($"{Root(wix)}/close-window?access_token={Uri.EscapeDataString(accessToken.Reveal())}");

    private static string Root(WixOptions wix) => wix.InstallerUrl.AbsoluteUri.TrimEnd('/');
}
