using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Events;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Tokens;
using WixOAuth.Webhooks;
using WixOAuth.Wix;

namespace WixOAuth;

/// <summary>Where a token that was asked for came from.</summary>
public enum TokenSource
{
    /// <summary>This process's memory: no I/O.</summary>
    Memory,

    /// <summary>The stored row, or a row that another process refreshed meanwhile.</summary>
    Storage,

    /// <summary>A call to Wix, made for this caller or one it waited with.</summary>
    Refresh,
}

/// <summary>
/// Everything that is measured and traced, under the name <c>WixOAuth</c>; docs/metrics.md tells what each is for.
/// Tags hold words of a fixed set: never an instance, a customer or a secret. Traces name the instance, in
/// <c>wix.instance_id</c>, and never a URL.
/// </summary>
public sealed class Telemetry : IDisposable
{
    /// <summary>The name of the meter and of the activity source.</summary>
    public const string Name = "WixOAuth";

    private const string OutcomeTag = "outcome";
    private const string GrantTag = "wix.grant";
    private const string EndpointTag = "wix.endpoint";
    private const string SourceTag = "source";
    private const string Ok = "ok";

    private static readonly string[] s_sources = [.. Enum.GetValues<TokenSource>().Select(Words.Of)];

    private readonly Counter<long> _tokenRequests;
    private readonly Histogram<double> _refreshes;
    private readonly Counter<long> _leaseWaits;
    private readonly Counter<long> _leaseTakeovers;
    private readonly Histogram<double> _wixCalls;
    private readonly Histogram<double> _sweeps;
    private readonly Counter<long> _sweptInstances;
    private readonly Gauge<double> _dueLag;
    private readonly Gauge<int> _poisonShards;
    private readonly Gauge<int> _secretSuspect;
    private readonly Counter<long> _probes;
    private readonly Counter<long> _falseRejections;
    private readonly Counter<long> _refreshTokenFaults;
    private readonly Gauge<int> _onFallback;
    private readonly Gauge<int> _byGrant;
    private readonly Counter<long> _installs;
    private readonly Histogram<double> _redirects;
    private readonly Histogram<double> _webhooks;
    private readonly Counter<long> _setupEvents;
    private readonly Counter<long> _lastUseWrites;
    private readonly Counter<long> _removedRows;
    private readonly Gauge<int> _keyUses;
    private readonly Counter<long> _eventAttempts;
    private readonly Gauge<int> _storedEvents;
    private readonly Histogram<double> _backups;
    private Func<bool>? _isThrottled;

    /// <summary>Makes the instruments, once for each service provider.</summary>
    public Telemetry(IMeterFactory meters)
    {
        ArgumentNullException.ThrowIfNull(meters);
        var meter = meters.Create(Name);
        _tokenRequests = meter.CreateCounter<long>("wixoauth.token.requests", "{request}", "Tokens asked for.");
        _refreshes = Seconds(meter, "wixoauth.refresh.duration", "From the lease to the end of a refresh.");
        _leaseWaits = meter.CreateCounter<long>("wixoauth.lease.waits", "{wait}", "Waits for the refresh of another process.");
        _leaseTakeovers = meter.CreateCounter<long>("wixoauth.lease.takeovers", "{lease}", "Leases taken over from an owner that did not come back.");
        _wixCalls = Seconds(meter, "wixoauth.wix.call.duration", "Requests to Wix, each attempt by itself.");
        _sweeps = Seconds(meter, "wixoauth.sweep.duration", "Sweeps.");
        _sweptInstances = meter.CreateCounter<long>("wixoauth.sweep.instances", "{instance}", "Due instances that a sweep looked at.");
        _poisonShards = meter.CreateGauge<int>("wixoauth.sweep.poison_messages", "{message}", "Messages in the queue refresh-shards-poison.");
        _dueLag = meter.CreateGauge<double>("wixoauth.sweep.due_lag", "s", "How long the longest due instance of the last sweep had been due.");
        _secretSuspect = meter.CreateGauge<int>("wixoauth.app_secret.suspect", "1", "1 while the app secret is suspect: Wix rejected all sites that were asked.");
        _probes = meter.CreateCounter<long>("wixoauth.app_secret.probes", "{probe}", "Probes of the app secret.");
        _falseRejections = meter.CreateCounter<long>("wixoauth.false_rejections", "{rejection}", "Rejections by Wix that turned out to be false.");
        _refreshTokenFaults = meter.CreateCounter<long>("wixoauth.refresh_token.faults", "{instance}", "Instances whose refresh token went out of use, or came back into use.");
        _onFallback = meter.CreateGauge<int>("wixoauth.instances.on_fallback", "{instance}", "Instances served by client credentials because of their refresh token.");
        _byGrant = meter.CreateGauge<int>("wixoauth.instances.by_grant", "{instance}", "Active instances by the grant of their access token.");
        _installs = meter.CreateCounter<long>("wixoauth.install.requests", "{request}", "Browsers at the App URL.");
        _redirects = Seconds(meter, "wixoauth.redirect.duration", "Browsers at the Redirect URL.");
        _webhooks = Seconds(meter, "wixoauth.webhook.duration", "Deliveries of webhooks.");
        _setupEvents = meter.CreateCounter<long>("wixoauth.setup_event.deliveries", "{event}", "Set-up events sent to Wix.");
        _lastUseWrites = meter.CreateCounter<long>("wixoauth.last_use.writes", "{write}", "Last uses written down.");
        _removedRows = meter.CreateCounter<long>("wixoauth.housekeeping.removals", "{row}", "What housekeeping removed.");
        _keyUses = meter.CreateGauge<int>("wixoauth.protection_key.instances", "{instance}", "Instances whose tokens need a version of the protection key.");
        _backups = Seconds(meter, "wixoauth.backup.duration", "Copies of the table.");

        _eventAttempts = meter.CreateCounter<long>("wixoauth.event.deliveries", "{attempt}", "Attempts to deliver an event to the receiver.");
        _storedEvents = meter.CreateGauge<int>("wixoauth.event.stored", "{event}", "Events that wait for their delivery, or are parked.");
        meter.CreateObservableGauge(
            "wixoauth.wix.throttled", () => _isThrottled?.Invoke() == true ? 1 : 0, "1", "1 while the circuit to Wix is open and refreshes pause.");

        static Histogram<double> Seconds(Meter meter, string name, string description) => meter.CreateHistogram(
            name, "s", description, advice: new InstrumentAdvice<double>
            {
                HistogramBucketBoundaries = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45, 60],
            });
    }

    /// <summary>Where the activities come from.</summary>
    public ActivitySource Source { get; } = new(Name);

    /// <summary>Begins an activity of an instance; null when nobody listens.</summary>
    public Activity? Trace(string name, InstanceId id) => Source.StartActivity(name)?.SetInstance(id);

    /// <summary>Begins an activity of no one instance; null when nobody listens.</summary>
    public Activity? Trace(string name, ActivityKind kind = ActivityKind.Internal) => Source.StartActivity(name, kind);

    /// <summary>A token was handed out, or refused. Allocates nothing.</summary>
    public void Answered(TokenResult result, TokenSource source, Activity? activity = null)
    {
        var (outcome, from) = (WordOf(result), s_sources[(int)source]);
        if (activity is not null)
        {
            End(activity.SetTag(SourceTag, from), outcome, failed: result is not TokenResult.Token);
        }

        _tokenRequests.Add(1, new(OutcomeTag, outcome), new(SourceTag, from));
    }

    /// <summary>A caller left before it had an answer.</summary>
    public void Left() => _tokenRequests.Add(1, new(OutcomeTag, "cancelled"), new(SourceTag, "none"));

    /// <summary>A refresh ended.</summary>
    /// <param name="activity">Its trace.</param>
    /// <param name="grant">What it was tried with last.</param>
    /// <param name="error">Why it failed; null when it did not.</param>
    /// <param name="took">How long it took, its commit included.</param>
    public void Refreshed(Activity? activity, Grant grant, TokenError? error, TimeSpan took)
    {
        var outcome = error is { } why ? Words.Of(why) : Ok;
        End(activity, outcome, failed: error is not null);
        activity?.SetTag(GrantTag, Words.Of(grant));
        _refreshes.Record(took.TotalSeconds, new(OutcomeTag, outcome), new(GrantTag, Words.Of(grant)));
    }

    /// <summary>The lease of another process is waited for; once for each wait, however long.</summary>
    public void WaitsForLease() => _leaseWaits.Add(1);

    /// <summary>A lease was taken over.</summary>
    public void TookOverLease() => _leaseTakeovers.Add(1);

    /// <summary>A probe of the app secret ended.</summary>
    public void Probed(SecretProof proof) => _probes.Add(1, new KeyValuePair<string, object?>(OutcomeTag, proof switch
    {
        SecretProof.Since or SecretProof.Recent => "proven",
        SecretProof.Suspect => "suspect",
        SecretProof.TooFewSites => "too_few_sites",
        _ => "unknown",
    }));

    /// <summary>A rejection by Wix turned out to be false.</summary>
    public void RejectionWasFalse() => _falseRejections.Add(1);

    /// <summary>A refresh ended; counted where the refresh token went out of use or came back.</summary>
    public void RefreshTokenTried(RefreshTokenFault? before, RefreshTokenFault? after)
    {
        if (before?.Kind != after?.Kind)
        {
            _refreshTokenFaults.Add(1, new KeyValuePair<string, object?>(OutcomeTag, after is { } fault ? Words.Of(fault.Kind) : "recovered"));
        }
    }

    /// <summary>All instances were counted.</summary>
    public void Counted(Overview overview)
    {
        ArgumentNullException.ThrowIfNull(overview);
        _onFallback.Record(overview.OnFallback - overview.Unreadable, new KeyValuePair<string, object?>("refresh_token", "rejected"));
        _onFallback.Record(overview.Unreadable, new KeyValuePair<string, object?>("refresh_token", "unreadable"));
        foreach (var (grant, count) in overview.ByGrant)
        {
            _byGrant.Record(count, new KeyValuePair<string, object?>(GrantTag, Words.Of(grant)));
        }
    }

    /// <summary>Sets what the gauge of the circuit to Wix reads.</summary>
    public void ObserveThrottling(Func<bool> isThrottled) => _isThrottled = isThrottled;

    /// <summary>A request to Wix ended.</summary>
    /// <param name="activity">Its trace.</param>
    /// <param name="endpoint">What was asked: a name of ours, never a URL.</param>
    /// <param name="outcome">How Wix answered.</param>
    /// <param name="status">The status of the answer, if one came.</param>
    /// <param name="requestId">Wix's own id of the request, if one came.</param>
    /// <param name="took">How long it took.</param>
    public void CalledWix(Activity? activity, string endpoint, string outcome, int? status, string? requestId, TimeSpan took)
    {
        activity?.SetTag(EndpointTag, endpoint).SetTag("http.response.status_code", status).SetTag("wix.request_id", requestId);
        End(activity, outcome, failed: outcome != "success");
        _wixCalls.Record(took.TotalSeconds, new(EndpointTag, endpoint), new(OutcomeTag, outcome));
    }

    /// <summary>Reports the end of a sweep.</summary>
    /// <param name="activity">Its trace.</param>
    /// <param name="summary">What it did.</param>
    /// <param name="failure">Why it could not read all due instances; null when it could.</param>
    /// <param name="shard">The shard that it swept; null for all.</param>
    public void Swept(Activity? activity, SweepSummary summary, Exception? failure = null, InstanceShard? shard = null)
    {
        ArgumentNullException.ThrowIfNull(summary);
        var outcome = failure switch { null => Ok, StorageUnavailableException => "storage_unavailable", _ => "unexpected" };
        End(activity, outcome, failed: failure is not null);
        activity?.SetTag("wixoauth.due", summary.Due).SetTag("wixoauth.refreshed", summary.Refreshed).SetTag("wixoauth.failed", summary.Failed);
        _sweeps.Record(summary.Duration.TotalSeconds, new(OutcomeTag, outcome), new("shard", shard?.ToString() ?? "all"));
        if (failure is null)
        {
            _dueLag.Record(summary.DueLag.TotalSeconds);
        }

        _secretSuspect.Record(summary.Suspect ? 1 : 0);
        _sweptInstances.Add(summary.Refreshed, new KeyValuePair<string, object?>(OutcomeTag, "refreshed"));
        _sweptInstances.Add(summary.Skipped, new KeyValuePair<string, object?>(OutcomeTag, "skipped"));
        _sweptInstances.Add(summary.Failed, new KeyValuePair<string, object?>(OutcomeTag, "failed"));
    }

    /// <summary>How many messages of the shards' queue were tried too often.</summary>
    public void PoisonShards(int messages) => _poisonShards.Record(messages);

    /// <summary>The app secret came into doubt, or is out of it.</summary>
    public void SecretIsSuspect(bool suspect) => _secretSuspect.Record(suspect ? 1 : 0);

    /// <summary>A browser was answered at the App URL.</summary>
    public void InstallBegun(InstallResult step) => _installs.Add(1, new KeyValuePair<string, object?>(OutcomeTag, WordOf(step)));

    /// <summary>A browser was answered at the Redirect URL.</summary>
    public void RedirectEnded(Activity? activity, InstallResult step, TimeSpan took)
    {
        End(activity, WordOf(step), failed: step is InstallResult.Stopped);
        _redirects.Record(took.TotalSeconds, new KeyValuePair<string, object?>(OutcomeTag, WordOf(step)));
    }

    /// <summary>A webhook was answered.</summary>
    /// <param name="activity">Its trace.</param>
    /// <param name="outcome">How it ended.</param>
    /// <param name="took">How long Wix was kept waiting.</param>
    public void WebhookEnded(Activity? activity, WebhookOutcome outcome, TimeSpan took)
    {
        var word = Words.Of(outcome);
        End(activity, word, failed: outcome is not (WebhookOutcome.Applied or WebhookOutcome.NotUsed));
        _webhooks.Record(took.TotalSeconds, new KeyValuePair<string, object?>(OutcomeTag, word));
    }

    /// <summary>Wix was told that a set-up is complete, or could not be.</summary>
    public void SentSetupEvent(Delivery delivery) => _setupEvents.Add(1, new KeyValuePair<string, object?>(OutcomeTag, Words.Of(delivery)));

    /// <summary>Last uses were written down, or could not be.</summary>
    public void WroteLastUse(bool written) => _lastUseWrites.Add(1, new KeyValuePair<string, object?>(OutcomeTag, written ? Ok : "storage_unavailable"));

    /// <summary>Housekeeping removed something.</summary>
    public void Removed(string kind, int count) => _removedRows.Add(count, new KeyValuePair<string, object?>("kind", kind));

    /// <summary>An attempt to deliver an event ended.</summary>
    internal void SentEvent(SendOutcome outcome) => _eventAttempts.Add(1, new KeyValuePair<string, object?>(OutcomeTag, Words.Of(outcome)));

    /// <summary>Stored events were counted.</summary>
    /// <param name="state"><c>waiting</c> or <c>parked</c>.</param>
    /// <param name="count">How many.</param>
    internal void CountedEvents(string state, int count) => _storedEvents.Record(count, new KeyValuePair<string, object?>("state", state));

    /// <summary>It was counted which versions of the protection key are needed.</summary>
    public void CountedKeys(int onNewest, int onOlder)
    {
        _keyUses.Record(onNewest, new KeyValuePair<string, object?>("version", "newest"));
        _keyUses.Record(onOlder, new KeyValuePair<string, object?>("version", "older"));
    }

    /// <summary>A copy of the table was finished, or failed.</summary>
    public void BackedUp(bool succeeded, TimeSpan took) =>
        _backups.Record(took.TotalSeconds, new KeyValuePair<string, object?>(OutcomeTag, succeeded ? Ok : "storage_unavailable"));

    /// <inheritdoc />
    public void Dispose() => Source.Dispose();

    private static void End(Activity? activity, string outcome, bool failed)
    {
        activity?.SetTag(OutcomeTag, outcome);
        if (failed)
        {
            activity?.SetTag("error.type", outcome).SetStatus(ActivityStatusCode.Error);
        }
    }

    private static string WordOf(TokenResult result) => result switch
    {
        TokenResult.Token => Ok,
        TokenResult.Unknown => "unknown_instance",
        TokenResult.Removed => "app_removed",
        TokenResult.ReinstallRequired => "reinstall_required",
        TokenResult.WixUnavailable => "wix_unavailable",
        _ => "storage_unavailable",
    };

    private static string WordOf(InstallResult step) => step switch
    {
        InstallResult.Stopped stopped => Words.Of(stopped.Problem),
        InstallResult.Consent => "consent",
        InstallResult.Confirm => "confirm",
        InstallResult.UsedHere => Words.Of(InstallProblem.BadLink),
        InstallResult.CloseWindow => "close_window",
        _ => "connected",
    };
}

internal static class ActivityTags
{
    /// <summary>Says whose an activity is.</summary>
    public static Activity SetInstance(this Activity activity, InstanceId id) => activity.SetTag("wix.instance_id", id.ToString());
}
