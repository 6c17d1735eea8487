namespace WixOAuth.Scale;

/// <summary>When one site is asked for. Given by the seed and the site's number alone.</summary>
internal abstract class SiteUse
{
    /// <summary>The first call after that; null when there is none for long.</summary>
    public abstract DateTimeOffset? NextCall(DateTimeOffset after);

    /// <summary>
    /// The use that <see cref="Model"/> describes: some sites are in use, by Zipf's law, as a Poisson process whose rate
    /// goes up and down with the day.
    /// </summary>
    public static Func<int, SiteUse> Realistic(int sites, int seed)
    {
        var inUse = (int)Math.Round(sites * Model.PartInUse);
        var sum = Enumerable.Range(1, inUse).Sum(rank => Math.Pow(rank, -Model.ZipfExponent));
        return number => number < inUse
            ? new Diurnal(Model.CallsPerDay * inUse * Math.Pow(number + 1, -Model.ZipfExponent) / sum, new Random(HashCode(seed, number)))
            : new Never();
    }

    /// <summary>Each site is called at the same distance, for figures that can be worked out by hand.</summary>
    public static Func<int, SiteUse> Steady(TimeSpan every) => _ => every > TimeSpan.Zero ? new Regular(every) : new Never();

    // HashCode.Combine differs from process to process.
    private static int HashCode(int seed, int number) => unchecked((seed * 486_187_739) + (number * 16_777_619));

    private sealed class Never : SiteUse
    {
        public override DateTimeOffset? NextCall(DateTimeOffset after) => null;
    }

    private sealed class Regular(TimeSpan every) : SiteUse
    {
        // Half a minute off the minute, where no sweep runs.
        public override DateTimeOffset? NextCall(DateTimeOffset after) =>
            new DateTimeOffset(((((after - Offset).UtcTicks / every.Ticks) + 1) * every.Ticks), TimeSpan.Zero) + Offset;

        private static readonly TimeSpan Offset = TimeSpan.FromSeconds(30);
    }

    private sealed class Diurnal(double callsPerDay, Random random) : SiteUse
    {
        public override DateTimeOffset? NextCall(DateTimeOffset after)
        {
            // Thinning (Lewis and Shedler): points at the highest rate, of which each stays with the rate of its time.
            var highest = callsPerDay * (1 + Model.DiurnalSwing);
            for (var at = after; ;)
            {
                at += TimeSpan.FromDays(Math.Min(30, -Math.Log(1 - random.NextDouble()) / highest));
                var angle = 2 * Math.PI * (at.TimeOfDay.TotalHours - Model.BusiestHour) / 24;
                if (random.NextDouble() * (1 + Model.DiurnalSwing) < 1 + (Model.DiurnalSwing * Math.Cos(angle)))
                {
                    return at;
                }
            }
        }
    }
}
