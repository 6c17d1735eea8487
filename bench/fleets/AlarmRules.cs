using WixOAuth.Scale;

namespace WixOAuth.Fleets;

/// <summary>When a critical line is right, and when there must be one.</summary>
internal sealed class AlarmRules(FleetSchedule schedule, SimulatedTime time, LogCounts logs)
{
    /// <summary>An outage that ends sooner need not be noticed.</summary>
    private static readonly TimeSpan s_noticedWithin = TimeSpan.FromMinutes(30);

    /// <summary>So long the end of what went wrong before may confuse.</summary>
    private static readonly TimeSpan s_aftermath = TimeSpan.FromMinutes(10);

    /// <summary>How many sites have to live, so that there are some to ask though others are marked.</summary>
    private const int FewestSites = 10;

    private int _seen;

    /// <summary>Looks at the lines that are new.</summary>
    public void Look()
    {
        for (; _seen < logs.Critical.Count; _seen++)
        {
            var (at, line) = logs.Critical[_seen];
            Require(schedule.During(at - s_aftermath, at).Any(fault => fault.MayAlarm), FleetRule.NoFalseAlarm, line);
        }
    }

    /// <summary>An outage is over.</summary>
    public void Ended(FleetFault.Outage outage, int healthySites)
    {
        var begin = FleetSchedule.Start + outage.At;
        if (outage.RejectsAll
            && outage.Duration >= s_noticedWithin
            && healthySites >= FewestSites
            && schedule.During(begin - s_aftermath, time.GetUtcNow()).Count() == 1)
        {
            Require(logs.Critical.Exists(each => each.At >= begin), FleetRule.Alarm, $"none since {outage}");
        }
    }

    private void Require(bool holds, string rule, string details)
    {
        if (!holds)
        {
            throw new InvariantViolatedException(rule, time.GetUtcNow(), id: null, details);
        }
    }
}
