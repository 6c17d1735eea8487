using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Instances;
using WixOAuth.Telemetry;
using WixOAuth.Wix;

namespace WixOAuth.Install;

internal sealed class InstallMetrics(Instruments instruments)
{
    private readonly Counter<long> _installs = instruments.Counter("wixoauth.install.requests", "{request}", "Browsers at the App URL.");
    private readonly Histogram<double> _redirects = instruments.Durations("wixoauth.redirect.duration", "Browsers at the Redirect URL.");
    private readonly Counter<long> _setupEvents = instruments.Counter("wixoauth.setup_event.deliveries", "{event}", "Set-up events sent to Wix.");

    public Activity? TraceRedirect() => instruments.Trace("Redirect");

    public void InstallBegun(InstallResult result) => _installs.Add(1, Tags.OfOutcome(WordOf(result)));

    public void RedirectEnded(Activity? activity, InstallResult result, TimeSpan took)
    {
        activity.SetOutcome(WordOf(result), failed: result is InstallResult.Stopped);
        _redirects.Record(took.TotalSeconds, Tags.OfOutcome(WordOf(result)));
    }

    public void SentSetupEvent(WixResponseKind delivery) =>
        _setupEvents.Add(1, Tags.OfOutcome(delivery == WixResponseKind.Success ? "accepted" : SnakeCaseEnum.Of(delivery)));

    private static string WordOf(InstallResult result) => result switch
    {
        InstallResult.Stopped { IsRepeated: true } => "repeated",
        InstallResult.Stopped stopped => SnakeCaseEnum.Of(stopped.Problem),
        InstallResult.Consent => "consent",
        InstallResult.Confirm => "confirm",
        InstallResult.UsedHere => SnakeCaseEnum.Of(InstallProblem.BadLink),
        InstallResult.CloseWindow => "close_window",
        _ => "connected",
    };
}
