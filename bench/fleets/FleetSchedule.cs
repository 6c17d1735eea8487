using System.Globalization;

namespace WixOAuth.Fleets;

/// <summary>A fleet, and what goes wrong for it and when. The seed and the range of sizes decide all of it.</summary>
/// <param name="Seed">The seed.</param>
/// <param name="Sites">How many sites there are.</param>
/// <param name="Fallback">Whether client credentials are allowed.</param>
/// <param name="KeepsWarm">Whether every site is refreshed ahead; otherwise only those that are asked for, and each other one once a day.</param>
/// <param name="Rotates">Whether each refresh answers a new refresh token and voids the old one.</param>
/// <param name="Faults">What goes wrong, in the order of its beginning. Faults may overlap.</param>
internal sealed record FleetSchedule(int Seed, int Sites, bool Fallback, bool KeepsWarm, bool Rotates, IReadOnlyList<FleetFault> Faults)
{
    /// <summary>Larger fleets are not kept warm: a day of them would take minutes.</summary>
    private const int MostKeptWarm = 40;

    private const int MostFaults = 6;

    /// <summary>All faults begin within this time.</summary>
    private static readonly TimeSpan s_begins = TimeSpan.FromHours(8);

    private static readonly string[] s_answers =
        ["403", "401", "400", "404", "403 html", "401 empty", "429", "429 hour", "500", "503", "no connection", "silence", "answer lost"];

    public static FleetSchedule Of(int seed, int fewest, int most)
    {
        var random = new Random(unchecked((seed * 486_187_739) + most));
        var sites = random.Next(fewest, most + 1);
        var (fallback, keepsWarm, rotates) = (random.Next(4) > 0, sites <= MostKeptWarm && random.Next(3) > 0, random.Next(3) == 0);
        var onlyDeaths = random.Next(5) == 0;
        var faults = Enumerable.Range(0, random.Next(1, MostFaults + 1))
            .Select(_ => onlyDeaths ? Deaths(random) : Fault(random, rotates))
            .OrderBy(fault => fault.At);
        return new FleetSchedule(seed, sites, fallback, keepsWarm, rotates, [.. faults]);
    }

    /// <summary>Whether nothing else happens than that sites die.</summary>
    public bool HasOnlyDeaths => Faults.All(fault => fault is FleetFault.Deaths);

    /// <summary>Whether Wix rejects at random by every allowed grant: then chance may mark a healthy site.</summary>
    public bool RejectsAtRandom => Faults.OfType<FleetFault.Outage>().Any(outage => outage.RejectsFalsely && outage.Percent < 100 && (outage.EveryEndpoint || !Fallback));

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"seed {Seed}: {Sites} sites, {(Fallback ? "with" : "without")} fallback, {(KeepsWarm ? "kept warm" : "warm while in use")}{(Rotates ? ", rotating" : "")}: {string.Join("; ", Faults)}");

    private static FleetFault Fault(Random random, bool rotates)
    {
        var at = At(random);
        switch (random.Next(12))
        {
            case < 5:
                // An answer that is lost with the only refresh token that Wix takes loses it, whatever anybody does.
                var answer = s_answers[random.Next(s_answers.Length - (rotates ? 1 : 0))];
                return new FleetFault.Outage(at, Minutes(random, 150), answer, random.Next(2) == 0 ? 100 : random.Next(5, 96), random.Next(2) == 0);
            case < 7:
                return new FleetFault.WrongKey(at, Minutes(random, 120), random.Next(2) == 0);
            case < 9:
                var by = TimeSpan.FromMinutes(random.Next(1, 181) * (random.Next(2) == 0 ? 1 : -1));
                return new FleetFault.WrongClock(at, Minutes(random, 90), by, random.Next(2) == 0);
            case < 11:
                return Deaths(random);
            default:
                return new FleetFault.Restart(at);
        }
    }

    private static FleetFault.Deaths Deaths(Random random) => new(At(random), random.Next(1, 61));

    private static TimeSpan At(Random random) => TimeSpan.FromSeconds(random.Next((int)s_begins.TotalSeconds));

    private static TimeSpan Minutes(Random random, int most) => TimeSpan.FromMinutes(random.Next(1, most + 1));
}
