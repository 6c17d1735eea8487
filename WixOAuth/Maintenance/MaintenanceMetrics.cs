using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Instances;
using WixOAuth.Telemetry;
using WixOAuth.Tokens;

namespace WixOAuth.Maintenance;

/// <summary>What is measured of the timers' work: the sweep, housekeeping, re-encryption and backup.</summary>
internal sealed class MaintenanceMetrics
{
    private readonly Instruments _instruments;
    private readonly TokenMetrics _tokens;
    private readonly Histogram<double> _sweeps;
    private readonly Histogram<double> _backups;
    private readonly Counter<long> _sweptInstances;
    private readonly Gauge<double> _dueLag;
    private readonly Gauge<int> _poisonShards;
    private readonly Gauge<int> _onFallback;
    private readonly Gauge<int> _byGrant;
    private readonly Counter<long> _removedRows;
    private readonly Gauge<int> _keyUses;

    public MaintenanceMetrics(Instruments instruments, TokenMetrics tokens)
    {
        (_instruments, _tokens) = (instruments, tokens);
        _sweeps = instruments.Durations("wixoauth.sweep.duration", "Sweeps.");
        _backups = instruments.Durations("wixoauth.backup.duration", "Copies of the table.");
        _sweptInstances = instruments.Counter("wixoauth.sweep.instances", "{instance}", "Due instances that a sweep looked at.");
        _dueLag = instruments.Meter.CreateGauge<double>("wixoauth.sweep.due_lag", "s", "How long the longest due instance of the last sweep had been due.");
        _poisonShards = instruments.Gauge("wixoauth.sweep.poison_messages", "{message}", "Messages in the queue refresh-shards-poison.");
        _onFallback = instruments.Gauge("wixoauth.instances.on_fallback", "{instance}", "Instances served by client credentials because of their refresh token.");
        _byGrant = instruments.Gauge("wixoauth.instances.by_grant", "{instance}", "Active instances by the grant of their access token.");
        _removedRows = instruments.Counter("wixoauth.housekeeping.removals", "{row}", "What housekeeping removed.");
        _keyUses = instruments.Gauge("wixoauth.protection_key.instances", "{instance}", "Instances whose tokens need a version of the protection key.");
    }

    /// <summary>Starts the activity of a sweep; null when nobody listens.</summary>
    public Activity? TraceSweep() => _instruments.Trace("Sweep");

    /// <summary>Reports the end of a sweep.</summary>
    /// <param name="activity">Its trace.</param>
    /// <param name="summary">What it did.</param>
    /// <param name="failure">Why it could not read all due instances; null when it could.</param>
    /// <param name="shard">The shard that it swept; null for all.</param>
    public void Swept(Activity? activity, SweepSummary summary, Exception? failure = null, InstanceShard? shard = null)
    {
        var outcome = failure switch { null => Instruments.Ok, StorageUnavailableException => "storage_unavailable", _ => "unexpected" };
        activity.SetOutcome(outcome, failed: failure is not null);
        activity?.SetTag("wixoauth.due", summary.Due).SetTag("wixoauth.refreshed", summary.Refreshed).SetTag("wixoauth.failed", summary.Failed);
        _sweeps.Record(summary.Duration.TotalSeconds, new(Tags.Outcome, outcome), new("shard", shard?.ToString() ?? "all"));
        if (failure is null)
        {
            _dueLag.Record(summary.DueLag.TotalSeconds);
        }

        _tokens.SecretIsSuspect(summary.Suspect);
        _sweptInstances.Add(summary.Refreshed, Tags.OfOutcome("refreshed"));
        _sweptInstances.Add(summary.Skipped, Tags.OfOutcome("skipped"));
        _sweptInstances.Add(summary.Failed, Tags.OfOutcome("failed"));
    }

    /// <summary>A copy of the table was finished, or failed.</summary>
    public void BackedUp(bool succeeded, TimeSpan took) =>
        _backups.Record(took.TotalSeconds, Tags.OfOutcome(succeeded ? Instruments.Ok : "storage_unavailable"));

    /// <summary>The messages in the poison queue of the shards were counted.</summary>
    public void PoisonShards(int messages) => _poisonShards.Record(messages);

    /// <summary>All instances were counted.</summary>
    public void Counted(Overview overview)
    {
        _onFallback.Record(overview.OnFallback - overview.Unreadable, new KeyValuePair<string, object?>("refresh_token", "rejected"));
        _onFallback.Record(overview.Unreadable, new KeyValuePair<string, object?>("refresh_token", "unreadable"));
        foreach (var (grant, count) in overview.ByGrant)
        {
            _byGrant.Record(count, new KeyValuePair<string, object?>(Tags.Grant, SnakeCaseEnum.Of(grant)));
        }
    }

    /// <summary>Rows were removed.</summary>
    public void Removed(string kind, int count) => _removedRows.Add(count, new KeyValuePair<string, object?>("kind", kind));

    /// <summary>The instances that need each version of the protection key were counted.</summary>
    public void CountedKeys(int onNewest, int onOlder)
    {
        _keyUses.Record(onNewest, new KeyValuePair<string, object?>("version", "newest"));
        _keyUses.Record(onOlder, new KeyValuePair<string, object?>("version", "older"));
    }
}
