using System.Diagnostics;
using System.Globalization;
using WixOAuth.Fleets;

const string Usage = "bench/fleets [--sites <fewest>-<most>]... [--seed <number>] [--runs <number>]";
var (sizes, seed, runs) = (new List<(int Fewest, int Most)>(), 1, 1);
for (var i = 0; i < args.Length; i += 2)
{
    var value = i + 1 < args.Length ? args[i + 1] : "";
    switch (args[i])
    {
        case "--sites" when value.Split('-') is [var fewest, var most] && Number(fewest) is >= 1 and var from && Number(most) is { } to && to >= from:
            sizes.Add((from, to));
            break;
        case "--seed" when Number(value) is { } number:
            seed = number;
            break;
        case "--runs" when Number(value) is >= 1 and var number:
            runs = number;
            break;
        default:
            await Console.Error.WriteLineAsync(Usage);
            return 2;
    }
}

ThreadPool.GetMaxThreads(out var threads, out _);
if (threads != 1)
{
    await Console.Error.WriteLineAsync("Simulated time needs a thread pool of one thread, as this program's own runtimeconfig.json asks for.");
    return 2;
}

// On that one thread.
return await Task.Run(async () =>
{
    var (violations, sites, marked) = (0, 0, 0);
    foreach (var (fewest, most) in sizes.DefaultIfEmpty((1, 100)))
    {
        for (var number = seed; number < seed + runs; number++)
        {
            var (schedule, startedAt) = (FleetSchedule.Of(number, fewest, most), Stopwatch.GetTimestamp());
            Console.WriteLine(schedule);
            try
            {
                using var world = new FleetWorld(schedule);
                var result = await world.RunAsync();
                (sites, marked) = (sites + schedule.Sites, marked + result.MarkedByChance);
                Console.WriteLine($"  {result}");
                await Console.Error.WriteLineAsync($"  took {Stopwatch.GetElapsedTime(startedAt).TotalSeconds:F1} s");
            }
            catch (InvariantViolatedException violated)
            {
                violations++;
                Console.WriteLine($"  VIOLATED {violated.Message}");
                Console.WriteLine($"  again: dotnet run --project bench/fleets -- --sites {fewest}-{most} --seed {number}");
            }
        }
    }

    // Where a random outage makes it possible at all, at most one in 1,000.
    var isTooMany = marked * 1_000 > sites;
    Console.WriteLine($"{violations} violations; chance marked {marked} healthy sites of {sites}{(isTooMany ? ", which is more than one in 1,000: VIOLATED" : "")}");
    return violations == 0 && !isTooMany ? 0 : 1;
});

static int? Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;
