namespace WixOAuth.Fleets;

/// <summary>
/// Faults, one of each kind: a run says nothing about a kind that does not occur in it. What is random about a fault stays
/// within what shows something: rejections that last long enough to mark a site, or just not.
/// </summary>
internal static class FaultDeck
{
    private static readonly string[] s_rejections = ["403", "401", "400", "404"];
    private static readonly string[] s_throttles = ["429", "429 hour"];
    private static readonly string[] s_noAnswers = ["403 html", "401 empty", "500", "503", "no connection", "silence", "answer lost"];

    /// <summary>One fault of each kind in random order, at random times: most after a rest from the one before, some during it.</summary>
    /// <param name="random">Where chance comes from.</param>
    /// <param name="rotates">Whether each refresh answers a new refresh token and voids the old one.</param>
    public static IEnumerable<FleetFault> OneOfEach(Random random, bool rotates)
    {
        FleetFault[] faults =
        [
            Rejections(random, 150, 240, 100, OutageScope.Requests, everyEndpoint: true),
            Rejections(random, 60, 150, random.Next(20, 96), OutageScope.Requests, everyEndpoint: true),
            Rejections(random, 60, 240, All(random), OutageScope.Requests, everyEndpoint: false),
            Rejections(random, 30, 110, random.Next(10, 41), OutageScope.Sites, everyEndpoint: true),
            Rejections(random, 180, 300, random.Next(10, 41), OutageScope.Sites, everyEndpoint: true),
            new FleetFault.Outage(default, Minutes(random, 5, 60), Any(random, s_throttles), All(random), OutageScope.Requests, random.Next(2) == 0),

            // An answer that is lost with the only refresh token that Wix takes loses it, whatever anybody does.
            new FleetFault.Outage(
                default, Minutes(random, 5, 90), Any(random, rotates ? s_noAnswers[..^1] : s_noAnswers), All(random), OutageScope.Requests, random.Next(2) == 0),
            new FleetFault.WrongKey(default, Minutes(random, 5, 60), Beside: false),
            new FleetFault.WrongKey(default, Minutes(random, 5, 60), Beside: true),
            new FleetFault.WrongClock(default, Minutes(random, 5, 60), By(random), Beside: false),
            new FleetFault.WrongClock(default, Minutes(random, 5, 60), By(random), Beside: true),

            // By less than a token lives: then what such a process has written is believed, unless the clocks are compared.
            new FleetFault.WrongClock(default, Minutes(random, 20, 60), Minutes(random, 1, 5), random.Next(2) == 0),
            new FleetFault.Deaths(default, random.Next(5, 51)),
            new FleetFault.Consents(default, random.Next(30, 91)),
            new FleetFault.Restart(default),
        ];
        random.Shuffle(faults);
        return Placed(random, faults);
    }

    /// <summary>Deaths and nothing else, of up to 60 % of the sites at once.</summary>
    public static IEnumerable<FleetFault> OnlyDeaths(Random random) =>
        Placed(random, [.. Enumerable.Range(0, random.Next(1, 5)).Select(_ => new FleetFault.Deaths(default, random.Next(5, 61)))]);

    private static IEnumerable<FleetFault> Placed(Random random, FleetFault[] faults)
    {
        var (begin, end) = (TimeSpan.Zero, TimeSpan.Zero);
        foreach (var fault in faults)
        {
            begin = end > TimeSpan.Zero && random.Next(4) == 0 ? begin + ((end - begin) * random.NextDouble()) : end + Seconds(random, 5, 60);
            yield return fault with { At = begin };

            // An hour shows whether what was marked heals.
            var rest = fault is FleetFault.Outage { Scope: OutageScope.Sites } ? TimeSpan.FromMinutes(65) : TimeSpan.Zero;
            end = Later(end, begin + fault.Duration + rest);
        }
    }

    private static FleetFault.Outage Rejections(Random random, int fewest, int most, int percent, OutageScope scope, bool everyEndpoint) =>
        new(default, Minutes(random, fewest, most), Any(random, s_rejections), percent, scope, everyEndpoint);

    private static TimeSpan By(Random random) => random.Next(3) switch
    {
        0 => Minutes(random, 6, 20),
        1 => Minutes(random, 1, 180),
        _ => -Minutes(random, 1, 180),
    };

    private static int All(Random random) => random.Next(2) == 0 ? 100 : random.Next(5, 96);

    private static string Any(Random random, string[] answers) => answers[random.Next(answers.Length)];

    private static TimeSpan Minutes(Random random, int fewest, int most) => TimeSpan.FromMinutes(random.Next(fewest, most + 1));

    private static TimeSpan Seconds(Random random, int fewestMinutes, int mostMinutes) => TimeSpan.FromSeconds(random.Next(fewestMinutes * 60, mostMinutes * 60));

    private static TimeSpan Later(TimeSpan one, TimeSpan other) => one > other ? one : other;
}
