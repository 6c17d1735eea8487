using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Telemetry;

namespace WixOAuth.Wix;

/// <summary>What is measured of calls to Wix.</summary>
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

    /// <summary>Starts the activity of a call; null when nobody listens.</summary>
    public Activity? Trace(string endpoint) => _instruments.Trace("Wix " + endpoint, ActivityKind.Client);

    /// <summary>Sets what the gauge of the circuit to Wix reads.</summary>
    public void ObserveThrottling(Func<bool> isThrottled) => _isThrottled = isThrottled;

    /// <summary>A request to Wix ended.</summary>
    /// <param name="activity">Its trace.</param>
    /// <param name="endpoint">The endpoint's name here, never a URL.</param>
    /// <param name="outcome">How Wix answered.</param>
    /// <param name="status">The status of the answer, if one came.</param>
    /// <param name="requestId">Wix's own id of the request, if one came.</param>
    /// <param name="took">How long it took.</param>
    public void CalledWix(Activity? activity, string endpoint, string outcome, int? status, string? requestId, TimeSpan took)
    {
        activity?.SetTag(EndpointTag, endpoint).SetTag("http.response.status_code", status).SetTag("wix.request_id", requestId);
        activity.SetOutcome(outcome, failed: outcome != "success");
        _calls.Record(took.TotalSeconds, new(EndpointTag, endpoint), new(Tags.Outcome, outcome));
    }
}
