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
    /// <summary>When a run starts.</summary>
    public static readonly DateTimeOffset Start = new(2026, 5, 4, 3, 2, 1, TimeSpan.Zero);

    /// <summary>Larger fleets are not kept warm: a day of them would take minutes.</summary>
    private const int MostKeptWarm = 40;

    /// <summary>Of four seeds in a row one has only deaths, and one no fallback.</summary>
    public static FleetSchedule Of(int seed, int fewest, int most)
    {
        var random = new Random(unchecked((seed * 486_187_739) + most));
        var sites = random.Next(fewest, most + 1);
        var (onlyDeaths, fallback) = (seed % 4 == 0, seed % 4 != 3);
        var (keepsWarm, rotates) = (sites <= MostKeptWarm && random.Next(3) > 0, random.Next(3) == 0);
        var faults = onlyDeaths ? FaultDeck.OnlyDeaths(random) : FaultDeck.OneOfEach(random, rotates);
        return new FleetSchedule(seed, sites, fallback, keepsWarm, rotates, [.. faults.OrderBy(fault => fault.At)]);
    }

    /// <summary>What went wrong at any time between two.</summary>
    public IEnumerable<FleetFault> During(DateTimeOffset from, DateTimeOffset to) =>
        Faults.Where(fault => Start + fault.At <= to && Start + fault.End >= from);

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"seed {Seed}: {Sites} sites, {(Fallback ? "with" : "without")} fallback, {(KeepsWarm ? "kept warm" : "warm while in use")}{(Rotates ? ", rotating" : "")}: {string.Join("; ", Faults)}");
}
