using System.Globalization;
using CsCheck;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>What goes wrong for a fleet, and when.</summary>
/// <param name="Sites">How many sites there are.</param>
/// <param name="Fallback">Whether client credentials are allowed.</param>
/// <param name="KeepsWarm">Whether every site is in use; otherwise each is idle, and refreshed once a day.</param>
/// <param name="Rotates">Whether each refresh answers a new refresh token and voids the old one.</param>
/// <param name="Faults">What goes wrong, one after the other.</param>
internal sealed record FleetSchedule(int Sites, bool Fallback, bool KeepsWarm, bool Rotates, IReadOnlyList<FleetFault> Faults)
{
    private static readonly string[] s_answers = ["403", "401", "400", "html 403", "empty 401", "429", "500", "no connection"];

    private static readonly Gen<FleetFault> Outages =
        from answer in Gen.Int[0, s_answers.Length - 1].Select(at => s_answers[at])
        from percent in Gen.Frequency((1, Gen.Const(100)), (1, Gen.Int[5, 95]))
        from everyEndpoint in Gen.Bool
        from minutes in Gen.Int[1, 150]
        select (FleetFault)new FleetFault.Outage(answer, percent, everyEndpoint, TimeSpan.FromMinutes(minutes));

    private static readonly Gen<FleetFault> Any = Gen.Frequency(
        (5, Outages),
        (2, Gen.Int[1, 90].Select(minutes => (FleetFault)new FleetFault.WrongKey(TimeSpan.FromMinutes(minutes)))),
        (2, Gen.Select(Gen.Int[-180, 180], Gen.Int[1, 60]).Select(clock => (FleetFault)new FleetFault.WrongClock(TimeSpan.FromMinutes(clock.Item1), TimeSpan.FromMinutes(clock.Item2)))),
        (2, Gen.Int[1, 40].Select(percent => (FleetFault)new FleetFault.Deaths(percent))),
        (1, Gen.Const((FleetFault)new FleetFault.Restart())),
        (1, Gen.Int[1, 120].Select(minutes => (FleetFault)new FleetFault.Nothing(TimeSpan.FromMinutes(minutes)))));

    private static readonly Gen<IReadOnlyList<FleetFault>> Mixed = Any.Array[1, 5].Select(faults => (IReadOnlyList<FleetFault>)faults);

    private static readonly Gen<IReadOnlyList<FleetFault>> OnlyDeaths = Gen.Int[1, 60].Array[1, 3].Select(percents =>
        (IReadOnlyList<FleetFault>)[.. percents.SelectMany(percent => new FleetFault[] { new FleetFault.Deaths(percent), new FleetFault.Nothing(TimeSpan.FromMinutes(percent * 3)) })]);

    /// <summary>Schedules for a fleet of some size.</summary>
    public static Gen<FleetSchedule> Of(int fewest, int most) =>
        from sites in Gen.Int[fewest, most]
        from fallback in Gen.Frequency((3, Gen.Const(true)), (1, Gen.Const(false)))
        from keepsWarm in most > 200 ? Gen.Const(false) : Gen.Frequency((2, Gen.Const(true)), (1, Gen.Const(false)))
        from rotates in Gen.Frequency((2, Gen.Const(false)), (1, Gen.Const(true)))
        from faults in Gen.Frequency((4, Mixed), (1, OnlyDeaths))
        select new FleetSchedule(sites, fallback, keepsWarm, rotates, faults);

    /// <summary>Whether only sites die.</summary>
    public bool HasOnlyDeaths => Faults.All(fault => fault is FleetFault.Deaths or FleetFault.Nothing);

    /// <summary>Whether Wix rejects at random by every allowed grant: then chance may mark a site.</summary>
    public bool RejectsAtRandom => Faults.OfType<FleetFault.Outage>().Any(outage =>
        outage.Percent < 100 && outage.Answer.Length == 3 && outage.Answer[0] == '4' && outage.Answer != "429" && (outage.EveryEndpoint || !Fallback));

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Sites} sites, {(Fallback ? "with" : "without")} fallback, {(KeepsWarm ? "in use" : "idle")}{(Rotates ? ", rotating" : "")}: {string.Join("; ", Faults)}");
}

/// <summary>One thing that goes wrong.</summary>
internal abstract record FleetFault
{
    private FleetFault()
    {
    }

    /// <summary>Wix, or what stands before it, fails some requests.</summary>
    /// <param name="Answer">How: a status with a JSON body, or with something else, or nothing.</param>
    /// <param name="Percent">Which part of the requests.</param>
    /// <param name="EveryEndpoint">Whether those for client credentials too.</param>
    /// <param name="Duration">For how long.</param>
    public sealed record Outage(string Answer, int Percent, bool EveryEndpoint, TimeSpan Duration) : FleetFault;

    /// <summary>The service is restarted with another protection key, and after a while with the right one.</summary>
    public sealed record WrongKey(TimeSpan Duration) : FleetFault;

    /// <summary>The service is restarted with a wrong clock, and after a while with the right one.</summary>
    public sealed record WrongClock(TimeSpan By, TimeSpan Duration) : FleetFault;

    /// <summary>Some sites remove the app, and no webhook tells of it.</summary>
    /// <param name="Percent">Which part of those that live.</param>
    public sealed record Deaths(int Percent) : FleetFault;

    /// <summary>The service is restarted.</summary>
    public sealed record Restart : FleetFault;

    /// <summary>All is well for a while.</summary>
    public sealed record Nothing(TimeSpan Duration) : FleetFault;
}
