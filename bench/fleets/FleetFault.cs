using System.Globalization;

namespace WixOAuth.Fleets;

/// <summary>What an outage fails a share of.</summary>
internal enum OutageScope
{
    /// <summary>Of the requests, at random.</summary>
    Requests,

    /// <summary>Of the sites: the same ones for as long as it lasts, as if they had died.</summary>
    Sites,
}

/// <summary>One thing that goes wrong.</summary>
/// <param name="At">When it begins, counted from the start of the run.</param>
/// <param name="Duration">How long it lasts; zero for what happens at once.</param>
internal abstract record FleetFault(TimeSpan At, TimeSpan Duration)
{
    public TimeSpan End => At + Duration;

    /// <summary>Within what time of its end every healthy site is served again.</summary>
    public virtual TimeSpan ServedWithin => TimeSpan.FromMinutes(10);

    /// <summary>Whether it may call for an operator.</summary>
    public virtual bool MayAlarm => false;

    /// <summary>Wix, or a proxy in front of it, fails some requests.</summary>
    /// <param name="At">When it begins.</param>
    /// <param name="Duration">How long it lasts.</param>
    /// <param name="Answer">The status, and what is unusual about the answer; or how there is none.</param>
    /// <param name="Percent">The share of the requests, or of the sites.</param>
    /// <param name="Scope">Of which of them.</param>
    /// <param name="EveryEndpoint">Whether requests for client credentials fail too.</param>
    public sealed record Outage(TimeSpan At, TimeSpan Duration, string Answer, int Percent, OutageScope Scope, bool EveryEndpoint) : FleetFault(At, Duration)
    {
        /// <summary>Whether Wix answers with rejections, which say nothing about a site.</summary>
        public bool Rejects => Answer is "400" or "401" or "403" or "404";

        /// <summary>Whether no site gets a token.</summary>
        public bool RejectsAll => Rejects && EveryEndpoint && Scope == OutageScope.Requests && Percent == 100;

        /// <summary>Whether rejections come at random: then chance may make a healthy site look dead.</summary>
        public bool RejectsAtRandom => Rejects && Scope == OutageScope.Requests && Percent < 100;

        // Without rejections nothing is held back for longer than two minutes and a half.
        public override TimeSpan ServedWithin => Rejects ? base.ServedWithin : TimeSpan.FromMinutes(4);

        public override bool MayAlarm => Rejects;

        public override string ToString() =>
            Say(this, $"{Percent} % {(Scope == OutageScope.Sites ? "of the sites " : "")}{Answer}{(EveryEndpoint ? "" : " for refresh tokens only")}");
    }

    /// <summary>A process runs with another protection key.</summary>
    /// <param name="At">When it begins.</param>
    /// <param name="Duration">How long it lasts.</param>
    /// <param name="Beside">Whether it runs beside the one with the right key, instead of in its place.</param>
    public sealed record WrongKey(TimeSpan At, TimeSpan Duration, bool Beside) : FleetFault(At, Duration)
    {
        public override bool MayAlarm => true;

        public override string ToString() => Say(this, $"wrong key{(Beside ? " in a second process" : "")}");
    }

    /// <summary>The clock of a process is wrong.</summary>
    /// <param name="At">When it begins.</param>
    /// <param name="Duration">How long it lasts.</param>
    /// <param name="By">How far it is ahead; negative for behind.</param>
    /// <param name="Beside">Whether a second process has it, instead of the clock of the first jumping.</param>
    public sealed record WrongClock(TimeSpan At, TimeSpan Duration, TimeSpan By, bool Beside) : FleetFault(At, Duration)
    {
        public override string ToString() => Say(this, $"clock {By.TotalMinutes.ToString("+0;-0", CultureInfo.InvariantCulture)} min{(Beside ? " in a second process" : "")}");
    }

    /// <summary>Some sites remove the app, and no webhook tells of it.</summary>
    /// <param name="At">When.</param>
    /// <param name="Percent">The share of those that are left.</param>
    public sealed record Deaths(TimeSpan At, int Percent) : FleetFault(At, TimeSpan.Zero)
    {
        public override string ToString() => Say(this, $"{Percent} % of the sites die");
    }

    /// <summary>Owners consent anew while their sites are refreshed: no fault, but the tokens from before are void.</summary>
    /// <param name="At">When.</param>
    /// <param name="Percent">The share of the sites that live.</param>
    public sealed record Consents(TimeSpan At, int Percent) : FleetFault(At, TimeSpan.Zero)
    {
        public override string ToString() => Say(this, $"{Percent} % of the owners consent anew");
    }

    /// <summary>The service is restarted: all that it knew is forgotten.</summary>
    /// <param name="At">When.</param>
    public sealed record Restart(TimeSpan At) : FleetFault(At, TimeSpan.Zero)
    {
        public override string ToString() => Say(this, "restart");
    }

    private static string Say(FleetFault fault, string what) => string.Create(
        CultureInfo.InvariantCulture,
        $"{(int)fault.At.TotalHours:00}:{fault.At:mm\\:ss} {what}{(fault.Duration > TimeSpan.Zero ? $" for {fault.Duration.TotalMinutes:0} min" : "")}");
}
