using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Instances;
using WixOAuth.Telemetry;
using WixOAuth.Tokens;

namespace WixOAuth.Maintenance;

internal sealed class MaintenanceMetrics(Instruments instruments, TokenMetrics tokens)
{
    private readonly Histogram<double> _sweeps = instruments.Durations("wixoauth.sweep.duration", "Sweeps.");
    private readonly Histogram<double> _backups = instruments.Durations("wixoauth.backup.duration", "Copies of the table.");
    private readonly Counter<long> _sweptInstances = instruments.Counter("wixoauth.sweep.instances", "{instance}", "Due instances that a sweep looked at.");
    private readonly Gauge<double> _dueLag = instruments.Meter.CreateGauge<double>("wixoauth.sweep.due_lag", "s", "How long the longest due instance of the last sweep had been due.");
    private readonly Gauge<int> _poisonShards = instruments.Gauge("wixoauth.sweep.poison_messages", "{message}", "Messages in the queue refresh-shards-poison.");
    private readonly Gauge<int> _onFallback = instruments.Gauge("wixoauth.instances.on_fallback", "{instance}", "Instances whose refresh token is out of use: rejected, so that client credentials serve them, or unreadable.");
    private readonly Gauge<int> _byGrant = instruments.Gauge("wixoauth.instances.by_grant", "{instance}", "Active instances by the grant of their access token.");
    private readonly Counter<long> _removedRows = instruments.Counter("wixoauth.housekeeping.removals", "{row}", "What housekeeping removed.");
    private readonly Gauge<int> _keyUses = instruments.Gauge("wixoauth.protection_key.instances", "{instance}", "Instances whose tokens need a version of the protection key.");

    public Activity? TraceSweep() => instruments.Trace("Sweep");

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

        tokens.SecretIsSuspect(summary.Suspect);
        _sweptInstances.Add(summary.Refreshed, Tags.OfOutcome("refreshed"));
        _sweptInstances.Add(summary.Skipped, Tags.OfOutcome("skipped"));
        _sweptInstances.Add(summary.Failed, Tags.OfOutcome("failed"));
    }

    public void BackedUp(bool succeeded, TimeSpan took) =>
        _backups.Record(took.TotalSeconds, Tags.OfOutcome(succeeded ? Instruments.Ok : "storage_unavailable"));

    public void PoisonShards(int messages) => _poisonShards.Record(messages);

    public void Counted(Overview overview)
    {
        _onFallback.Record(overview.OnFallback - overview.Unreadable, new KeyValuePair<string, object?>("refresh_token", "rejected"));
        _onFallback.Record(overview.Unreadable, new KeyValuePair<string, object?>("refresh_token", "unreadable"));
        foreach (var (grant, count) in overview.ByGrant)
        {
            _byGrant.Record(count, new KeyValuePair<string, object?>(Tags.Grant, SnakeCaseEnum.Of(grant)));
        }
    }

    public void Removed(string kind, int count) => _removedRows.Add(count, new KeyValuePair<string, object?>("kind", kind));

    public void CountedKeys(int onNewest, int onOlder)
    {
        _keyUses.Record(onNewest, new KeyValuePair<string, object?>("version", "newest"));
        _keyUses.Record(onOlder, new KeyValuePair<string, object?>("version", "older"));
    }
}
