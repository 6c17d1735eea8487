using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace WixOAuth.Telemetry;

/// <summary>
/// The meter and the activity source of the service, both named <c>WixOAuth</c>. The metrics are defined in the folders that
/// they are about (<c>TokenMetrics</c>, <c>WixMetrics</c>, …); docs/metrics.md describes them. Tags hold words of a fixed set:
/// never an instance, a customer or a secret. Traces name the instance, in <c>wix.instance_id</c>, and never a URL.
/// </summary>
internal sealed class Instruments(IMeterFactory meters) : IDisposable
{
    public const string Name = "WixOAuth";

    internal const string Ok = "ok";

    public ActivitySource Source { get; } = new(Name);

    internal Meter Meter { get; } = meters.Create(Name);

    /// <summary>Starts an activity; null when nobody listens.</summary>
    internal Activity? Trace(string name, ActivityKind kind = ActivityKind.Internal) => Source.StartActivity(name, kind);

    internal Counter<long> Counter(string name, string unit, string description) => Meter.CreateCounter<long>(name, unit, description);

    internal Gauge<int> Gauge(string name, string unit, string description) => Meter.CreateGauge<int>(name, unit, description);

    internal Histogram<double> Durations(string name, string description) => Meter.CreateHistogram(
        name, "s", description, advice: new InstrumentAdvice<double>
        {
            HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45, 60],
        });

    public void Dispose() => Source.Dispose();
}
