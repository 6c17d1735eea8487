using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Telemetry;

namespace WixOAuth.Wix;

internal sealed class WixMetrics
{
    private const string EndpointTag = "wix.endpoint";

    private readonly Instruments _instruments;
    private readonly Histogram<double> _calls;
    private Func<bool>? _isThrottled;

    public WixMetrics(Instruments instruments)
    {
        _instruments = instruments;
        _calls = instruments.Durations("wixoauth.wix.call.duration", "Requests to Wix, each attempt by itself.");
        instruments.Meter.CreateObservableGauge(
            "wixoauth.wix.throttled", () => _isThrottled?.Invoke() == true ? 1 : 0, "1", "1 while the circuit to Wix is open and refreshes pause.");
    }

    public Activity? Trace(string endpoint) => _instruments.Trace("Wix " + endpoint, ActivityKind.Client);

    public void ObserveThrottling(Func<bool> isThrottled) => _isThrottled = isThrottled;

    /// <summary>Records a call. <paramref name="endpoint"/> is its name here, never a URL.</summary>
    public void CalledWix(Activity? activity, string endpoint, string outcome, int? status, string? requestId, TimeSpan took)
    {
        activity?.SetTag(EndpointTag, endpoint).SetTag("http.response.status_code", status).SetTag("wix.request_id", requestId);
        activity.SetOutcome(outcome, failed: outcome != "success");
        _calls.Record(took.TotalSeconds, new(EndpointTag, endpoint), new(Tags.Outcome, outcome));
    }
}
