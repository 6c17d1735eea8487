using System.Diagnostics;
using System.Diagnostics.Metrics;
using WixOAuth.Instances;
using WixOAuth.Telemetry;

namespace WixOAuth.Tokens;

/// <summary>Where a token came from: this process, the row (perhaps refreshed by another process meanwhile), or a call to Wix that this caller may have shared.</summary>
internal enum TokenSource
{
    Memory,
    Storage,
    Refresh,
}

internal sealed class TokenMetrics(Instruments instruments)
{
    private const string SourceTag = "source";

    private static readonly string[] s_sources = [.. Enum.GetValues<TokenSource>().Select(SnakeCaseEnum.Of)];

    private readonly Counter<long> _requests = instruments.Counter("wixoauth.token.requests", "{request}", "Tokens asked for.");
    private readonly Histogram<double> _refreshes = instruments.Durations("wixoauth.refresh.duration", "From the lease to the end of a refresh.");
    private readonly Counter<long> _leaseWaits = instruments.Counter("wixoauth.lease.waits", "{wait}", "Waits for the refresh of another process.");
    private readonly Counter<long> _leaseTakeovers = instruments.Counter("wixoauth.lease.takeovers", "{lease}", "Leases taken over from an owner that did not come back.");
    private readonly Gauge<int> _secretSuspect = instruments.Gauge("wixoauth.app_secret.suspect", "1", "1 while the app secret is suspect: Wix rejected all sites that were asked.");
    private readonly Counter<long> _probes = instruments.Counter("wixoauth.app_secret.probes", "{probe}", "Probes of the app secret.");
    private readonly Counter<long> _falseRejections = instruments.Counter("wixoauth.false_rejections", "{rejection}", "Rejections by Wix that turned out to be false.");
    private readonly Counter<long> _refreshTokenFaults = instruments.Counter("wixoauth.refresh_token.faults", "{instance}", "Instances whose refresh token went out of use, or came back into use.");
    private readonly Counter<long> _lastUseWrites = instruments.Counter("wixoauth.last_use.writes", "{write}", "Last uses written down.");

    public Activity? Trace(string name, InstanceId id) => instruments.Trace(name)?.SetInstance(id);

    /// <summary>A token was handed out, or refused. Allocates nothing.</summary>
    public void Answered(TokenResult result, TokenSource source, Activity? activity = null)
    {
        var (outcome, from) = (WordOf(result), s_sources[(int)source]);
        if (activity is not null)
        {
            activity.SetTag(SourceTag, from).SetOutcome(outcome, failed: result is not TokenResult.Token);
        }

        _requests.Add(1, new(Tags.Outcome, outcome), new(SourceTag, from));
    }

    public void Cancelled() => _requests.Add(1, new(Tags.Outcome, "cancelled"), new(SourceTag, "none"));

    /// <summary>A refresh ended. <paramref name="grant"/> was tried last, and <paramref name="took"/> includes the commit.</summary>
    public void Refreshed(Activity? activity, Grant grant, TokenError? error, TimeSpan took)
    {
        var outcome = error is { } why ? SnakeCaseEnum.Of(why) : Instruments.Ok;
        activity.SetOutcome(outcome, failed: error is not null);
        activity?.SetTag(Tags.Grant, SnakeCaseEnum.Of(grant));
        _refreshes.Record(took.TotalSeconds, new(Tags.Outcome, outcome), new(Tags.Grant, SnakeCaseEnum.Of(grant)));
    }

    /// <summary>The lease of another process is waited for; once for each wait, however long.</summary>
    public void WaitsForLease() => _leaseWaits.Add(1);

    public void TookOverLease() => _leaseTakeovers.Add(1);

    public void Probed(SecretProof proof) => _probes.Add(1, Tags.OfOutcome(proof switch
    {
        SecretProof.Since or SecretProof.Recent => "proven",
        SecretProof.Suspect => "suspect",
        SecretProof.TooFewSites => "too_few_sites",
        _ => "unknown",
    }));

    public void SecretIsSuspect(bool suspect) => _secretSuspect.Record(suspect ? 1 : 0);

    public void RejectionWasFalse() => _falseRejections.Add(1);

    /// <summary>A refresh ended; counted where the refresh token went out of use or came back.</summary>
    public void RefreshTokenTried(RefreshTokenFault? before, RefreshTokenFault? after)
    {
        if (before?.Kind != after?.Kind)
        {
            _refreshTokenFaults.Add(1, Tags.OfOutcome(after is { } fault ? SnakeCaseEnum.Of(fault.Kind) : "recovered"));
        }
    }

    public void WroteLastUse(bool written) => _lastUseWrites.Add(1, Tags.OfOutcome(written ? Instruments.Ok : "storage_unavailable"));

    private static string WordOf(TokenResult result) => result switch
    {
        TokenResult.Token => Instruments.Ok,
        TokenResult.Unknown => "unknown_instance",
        TokenResult.Removed => "app_removed",
        TokenResult.ReinstallRequired => "reinstall_required",
        TokenResult.WixUnavailable => "wix_unavailable",
        _ => "storage_unavailable",
    };
}
