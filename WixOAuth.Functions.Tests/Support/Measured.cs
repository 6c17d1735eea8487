using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Telemetry;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>The metrics and traces of one <see cref="Core"/> only.</summary>
internal sealed class Measured : IDisposable
{
    private readonly MeterListener _meters = new();
    private readonly ActivityListener _activities;

    public Measured(Core core)
    {
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Scope == core.Meters)
            {
                Instruments.Add(instrument);
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _meters.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Note(instrument, value, tags));
        _meters.SetMeasurementEventCallback<int>((instrument, value, tags, _) => Note(instrument, value, tags));
        _meters.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Note(instrument, value, tags));
        _meters.Start();
        _activities = new ActivityListener
        {
            ShouldListenTo = source => source == core.Get<Instruments>().Source,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = Activities.Enqueue,
        };
        ActivitySource.AddActivityListener(_activities);
    }

    public ConcurrentBag<Instrument> Instruments { get; } = [];

    public ConcurrentQueue<(string Name, double Value, IReadOnlyDictionary<string, string?> Tags)> Values { get; } = new();

    public ConcurrentQueue<Activity> Activities { get; } = new();

    /// <summary>The measurements of an instrument, as <c>tag=value …</c>, and what they come to.</summary>
    public Dictionary<string, double> Of(string name) => Values.Where(value => value.Name == name)
        .GroupBy(value => string.Join(' ', value.Tags.OrderBy(tag => tag.Key, StringComparer.Ordinal).Select(tag => $"{tag.Key}={tag.Value}")))
        .ToDictionary(group => group.Key, group => group.Sum(value => value.Value));

    /// <summary>How often an instrument was used with each set of tags.</summary>
    public Dictionary<string, int> CountsOf(string name) => Values.Where(value => value.Name == name)
        .GroupBy(value => string.Join(' ', value.Tags.OrderBy(tag => tag.Key, StringComparer.Ordinal).Select(tag => $"{tag.Key}={tag.Value}")))
        .ToDictionary(group => group.Key, group => group.Count());

    /// <summary>The present value of an observable instrument.</summary>
    public double Observe(string name)
    {
        _meters.RecordObservableInstruments();
        return Values.Last(value => value.Name == name).Value;
    }

    public void Dispose()
    {
        _meters.Dispose();
        _activities.Dispose();
    }

    private void Note(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        Values.Enqueue((instrument.Name, value, tags.ToArray().ToDictionary(tag => tag.Key, tag => tag.Value?.ToString())));
}
