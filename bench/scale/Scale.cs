using System.Diagnostics;
using WixOAuth.Instances;
using WixOAuth.Maintenance;

namespace WixOAuth.Scale;

/// <summary>How many sites, and over how long they are looked at.</summary>
/// <param name="Sites">How many are installed.</param>
/// <param name="Windows">How many windows, spread evenly over a day.</param>
/// <param name="Length">How long each is.</param>
/// <param name="WarmUp">How long the world runs before each.</param>
internal sealed record Scale(int Sites, int Windows, TimeSpan Length, TimeSpan WarmUp)
{
    private static readonly DateTimeOffset s_day = new(2026, 5, 4, 0, 0, 0, TimeSpan.Zero);

    /// <summary>As long as time allows. Any length is a multiple of the four minutes in which a warm site comes round.</summary>
    public static Scale Of(int sites) => sites switch
    {
        <= 2_000 => new(sites, 1, TimeSpan.FromHours(24), TimeSpan.FromMinutes(60)),
        <= 20_000 => new(sites, 4, TimeSpan.FromMinutes(60), TimeSpan.FromMinutes(12)),
        <= 100_000 => new(sites, 4, TimeSpan.FromMinutes(12), TimeSpan.FromMinutes(8)),
        <= 400_000 => new(sites, 4, TimeSpan.FromMinutes(8), TimeSpan.FromMinutes(12)),

        // Where the sweep falls behind, it takes a while until it is as far behind as it will be.
        _ => new(sites, 4, TimeSpan.FromMinutes(4), TimeSpan.FromMinutes(16)),
    };

    public async Task<Result> RunAsync(int seed, TimeSpan idleAfter, int concurrency, Func<int, SiteUse>? useOf = null, int instances = 1, Grant grant = Grant.RefreshToken)
    {
        var (sum, sweeps, warm) = (new Counts(), new List<SweepSummary>(), new List<int>());
        var startedAt = Stopwatch.GetTimestamp();
        for (var number = 0; number < Windows; number++)
        {
            // Of four windows each is centred on its hour, one on the busiest.
            var start = Windows == 1 ? s_day : s_day.AddHours(2 + (24.0 / Windows * number)) - (Length / 2);
            using var world = new World(new Window(start, WarmUp, Length), idleAfter, concurrency, instances, grant);
            var observed = await world.RunAsync(Sites, seed, useOf ?? SiteUse.Realistic(Sites, seed));
            sum = sum.With(observed.Counts, (one, other) => one + other);
            sweeps.AddRange(observed.Sweeps);
            warm.Add(observed.Warm);
        }

        var part = Length * Windows / TimeSpan.FromDays(1);
        return new Result(this, sum, sum.With(sum, (one, _) => one / part), sweeps, warm, Stopwatch.GetElapsedTime(startedAt));
    }
}

/// <summary>What came of it.</summary>
/// <param name="Scale">What was looked at.</param>
/// <param name="Counted">As counted.</param>
/// <param name="Day">As of a whole day.</param>
/// <param name="Sweeps">Each sweep that was counted.</param>
/// <param name="Warm">How many sites were warm at the beginning of each window.</param>
/// <param name="Took">How long the simulation took.</param>
internal sealed record Result(Scale Scale, Counts Counted, Counts Day, IReadOnlyList<SweepSummary> Sweeps, IReadOnlyList<int> Warm, TimeSpan Took);
