using WixOAuth.Settings;

namespace WixOAuth.Local;

/// <summary>What is printed after the addresses: which Wix this is, and what of the settings is probably a mistake.</summary>
internal static class StartNotes
{
    /// <summary>One line each; none holds a setting's value but addresses and the app id.</summary>
    public static IEnumerable<string> Of(LocalSettings settings, Uri? pretendWix, string apiUrl)
    {
        var service = ServiceSettings.Read(settings.Configuration);
        yield return pretendWix is null
            ? $"Wix:      {service.Wix.ApiUrl}, app {service.Wix.AppId}"
            : $"Wix:      a pretend one at {pretendWix}, since no Wix__AppId is given";
        foreach (var ignored in settings.File?.FindIgnored(service.Names) ?? [])
        {
            yield return $"Note:     {ignored}";
        }

        var (redirect, served) = (service.Wix.RedirectUrl, new Uri($"{apiUrl}/redirect"));
        if (redirect.IsLoopback && redirect.Port != served.Port)
        {
            yield return $"Note:     Wix__RedirectUrl is on port {redirect.Port}, but the service listens on port {served.Port}: installs will not come back to it.";
        }

        if (redirect.AbsolutePath != served.AbsolutePath)
        {
            yield return $"Note:     the path of Wix__RedirectUrl is not {served.AbsolutePath}: installs come back only if something in between rewrites it.";
        }
    }
}
