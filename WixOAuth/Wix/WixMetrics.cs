using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Telemetry;

namespace WixOAuth.Wix;

internal sealed class WixMetrics(Instruments instruments)
{
    private const string EndpointTag = "wix.endpoint";

    private readonly Histogram<double> _calls = instruments.Durations("wixoauth.wix.call.duration", "Requests to Wix, each attempt by itself.");

    public Activity? Trace(string endpoint) => instruments.Trace("Wix " + endpoint, ActivityKind.Client);

    /// <summary>Records a call. <paramref name="endpoint"/> is its name here, never a URL.</summary>
    public void CalledWix(Activity? activity, string endpoint, string outcome, int? status, string? requestId, TimeSpan took)
    {
        activity?.SetTag(EndpointTag, endpoint).SetTag("http.response.status_code", status).SetTag("wix.request_id", requestId);
        activity.SetOutcome(outcome, failed: outcome != "success");
        _calls.Record(took.TotalSeconds, new(EndpointTag, endpoint), new(Tags.Outcome, outcome));
    }
}
