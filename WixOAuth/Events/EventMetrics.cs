using System.Diagnostics.Metrics;
using WixOAuth.Instances;
using WixOAuth.Telemetry;

namespace WixOAuth.Events;

internal sealed class EventMetrics(Instruments instruments)
{
    private readonly Counter<long> _attempts = instruments.Counter("wixoauth.event.deliveries", "{attempt}", "Attempts to deliver an event to the receiver.");
    private readonly Gauge<int> _stored = instruments.Gauge("wixoauth.event.stored", "{event}", "Events that wait for their delivery, or are parked.");

    internal void SentEvent(SendOutcome outcome) => _attempts.Add(1, Tags.OfOutcome(SnakeCaseEnum.Of(outcome)));

    /// <summary>Stored events were counted: <c>waiting</c> or <c>parked</c>.</summary>
    internal void CountedEvents(string state, int count) => _stored.Record(count, new KeyValuePair<string, object?>("state", state));
}
