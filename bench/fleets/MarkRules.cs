using WixOAuth.Instances;
using WixOAuth.Scale;
using WixOAuth.Tokens;

namespace WixOAuth.Fleets;

/// <summary>Which sites may be marked when, and must be.</summary>
internal sealed class MarkRules(FleetSchedule schedule, SimulatedTime time, FleetWix wix)
{
    private const int FewestRejections = 6;
    private static readonly TimeSpan s_shortestRejectedFor = TimeSpan.FromHours(2);
    private static readonly TimeSpan s_shortestRejectedForByTime = TimeSpan.FromHours(48);
    private static readonly TimeSpan s_markedWithin = TimeSpan.FromHours(27);
    private static readonly TimeSpan s_markedByTimeWithin = TimeSpan.FromHours(50);

    /// <summary>So long what is due may take to be done, and to be looked at.</summary>
    private static readonly TimeSpan s_slack = TimeSpan.FromMinutes(20);

    private static readonly TimeSpan s_moment = TimeSpan.FromSeconds(5);
    private TimeSpan _trouble;

    private bool IsDecidedByTime => schedule.Sites <= RejectionPolicy.TooFewSites;

    /// <summary>Something else than a death went on for so long.</summary>
    public void Troubled(TimeSpan during) => _trouble += during;

    public void Died(FleetSite site) => site.Death = (time.GetUtcNow(), _trouble);

    /// <summary>When a dead site has to be marked; null for a healthy one.</summary>
    public DateTimeOffset? Deadline(FleetSite site) =>
        site.Death is var (at, before) ? at + (IsDecidedByTime ? s_markedByTimeWithin : s_markedWithin) + (_trouble - before) : null;

    /// <summary>A row was written.</summary>
    public void Wrote(FleetSite site, Instance instance)
    {
        if (instance.Status != InstanceStatus.ReinstallRequired)
        {
            Require(instance.Status == InstanceStatus.Active, FleetRule.HealthyIsNotMarked, site, $"it is {instance.Status}");
            site.MarkedAt = null;
        }
        else if (site.MarkedAt is null)
        {
            site.MarkedAt = time.GetUtcNow();
            Marked(site, instance);
        }
    }

    /// <summary>Looks whether a site is marked in time, and tried again after that.</summary>
    public void Look(FleetSite site, Instance instance)
    {
        var now = time.GetUtcNow();
        if (wix.RecordOf(site.Id).AskedAt is { } askedAt && askedAt != site.Tried.At)
        {
            site.Tried = (askedAt, _trouble);
        }

        if (site.MarkedAt is { } markedAt)
        {
            var due = NextTry(markedAt, site.Tried.At);
            Require(now <= due + s_slack + (_trouble - site.Tried.TroubleBefore), FleetRule.MarkedIsTried, site, $"marked {Ago(markedAt)}, tried {Ago(site.Tried.At)}");
        }
        else
        {
            Require(!(now > Deadline(site)), FleetRule.DeadIsMarked, site, $"it died {Ago(site.Death?.At)}: {instance.CountedRejections}, {instance.Failures}");
        }
    }

    private static DateTimeOffset NextTry(DateTimeOffset markedAt, DateTimeOffset triedAt) =>
        triedAt - markedAt < TimeSpan.FromHours(1) - s_moment ? markedAt.AddHours(1)
        : triedAt - markedAt < TimeSpan.FromHours(5) - s_moment ? markedAt.AddHours(5)
        : triedAt.AddHours(24);

    private void Marked(FleetSite site, Instance instance)
    {
        var (now, rejections) = (time.GetUtcNow(), wix.RejectionsOf(site.Id));
        var since = wix.RecordOf(site.Id).RejectedSince ?? now;
        var during = schedule.During(since, now).ToList();

        // By a clock that is wrong meanwhile the time is another one.
        var isTimed = !during.Exists(fault => fault is FleetFault.WrongClock);
        var shortest = !isTimed ? TimeSpan.Zero : IsDecidedByTime ? s_shortestRejectedForByTime : s_shortestRejectedFor;
        Require(
            rejections >= FewestRejections && now - since >= shortest,
            FleetRule.MarkTakesTime,
            site,
            $"marked after {rejections} rejections of each grant over {now - since:hh\\:mm\\:ss}: {instance.CountedRejections}");
        if (!site.IsHealthy)
        {
            return;
        }

        var outages = during.OfType<FleetFault.Outage>().Where(outage => outage.Rejects).ToList();
        if (!outages.Exists(outage => outage.Scope == OutageScope.Sites && wix.Hits(outage, site.Id)))
        {
            site.WasMarkedByChance = true;
            Require(
                outages.Exists(outage => outage.RejectsAtRandom),
                FleetRule.HealthyIsNotMarked,
                site,
                $"rejected {Ago(since)} for the first time: {instance.CountedRejections}, {instance.Failures}");
        }
    }

    private string Ago(DateTimeOffset? at) => $"{time.GetUtcNow() - at:d\\.hh\\:mm\\:ss} ago";

    private void Require(bool holds, string rule, FleetSite site, string details)
    {
        if (!holds)
        {
            throw new InvariantViolatedException(rule, time.GetUtcNow(), site.Id, details);
        }
    }
}
