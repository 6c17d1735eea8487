using System.Globalization;

namespace WixOAuth.Fleets;

/// <summary>One thing that goes wrong.</summary>
/// <param name="At">When it begins, counted from the start of the run.</param>
/// <param name="Duration">How long it lasts; zero for what happens at once.</param>
internal abstract record FleetFault(TimeSpan At, TimeSpan Duration)
{
    /// <summary>Whether Wix answers with rejections that say nothing about a site.</summary>
    public virtual bool RejectsFalsely => false;

    /// <summary>Wix, or a proxy in front of it, fails some requests.</summary>
    /// <param name="At">When it begins.</param>
    /// <param name="Duration">How long it lasts.</param>
    /// <param name="Answer">The status, and what is unusual about the answer; or how there is none.</param>
    /// <param name="Percent">The share of the requests.</param>
    /// <param name="EveryEndpoint">Whether requests for client credentials fail too.</param>
    public sealed record Outage(TimeSpan At, TimeSpan Duration, string Answer, int Percent, bool EveryEndpoint) : FleetFault(At, Duration)
    {
        public override bool RejectsFalsely => Answer is "400" or "401" or "403" or "404";

        public override string ToString() => Say(this, $"{Percent} % {Answer}{(EveryEndpoint ? "" : " for refresh tokens only")}");
    }

    /// <summary>A process runs with another protection key.</summary>
    /// <param name="At">When it begins.</param>
    /// <param name="Duration">How long it lasts.</param>
    /// <param name="Beside">Whether it runs beside the one with the right key, instead of in its place.</param>
    public sealed record WrongKey(TimeSpan At, TimeSpan Duration, bool Beside) : FleetFault(At, Duration)
    {
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

    /// <summary>The service is restarted: all that it knew is forgotten.</summary>
    /// <param name="At">When.</param>
    public sealed record Restart(TimeSpan At) : FleetFault(At, TimeSpan.Zero)
    {
        public override string ToString() => Say(this, "restart");
    }

    private static string Say(FleetFault fault, string what) => string.Create(
        CultureInfo.InvariantCulture,
        $"{fault.At:hh\\:mm\\:ss} {what}{(fault.Duration > TimeSpan.Zero ? $" for {fault.Duration.TotalMinutes:0} min" : "")}");
}
