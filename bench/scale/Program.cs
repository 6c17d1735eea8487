using System.Globalization;
using System.Text.Json;
using WixOAuth.Instances;
using WixOAuth.Scale;

const string Usage =
    "bench/scale [--sites <number>]... [--idle-after <hh:mm:ss>] [--concurrency <number>] [--instances <1 to 16>] [--grant <RefreshToken or ClientCredentials>] [--seed <number>] [--json] [--hours <number> --call-every <hh:mm:ss>]";
var (scales, idleAfter, concurrency, instances, seed, asJson) = (new List<int>(), TimeSpan.FromHours(1), 64, 1, 1, false);
var grant = Grant.RefreshToken;
(int? hours, TimeSpan? callEvery) = (null, null);
for (var i = 0; i < args.Length; i++)
{
    var value = i + 1 < args.Length ? args[i + 1] : "";
    switch (args[i])
    {
        case "--sites" when Number(value) is >= 1 and <= 10_000_000:
            scales.Add(Number(value)!.Value);
            break;
        case "--idle-after" when Span(value) > TimeSpan.Zero:
            idleAfter = Span(value)!.Value;
            break;
        case "--concurrency" when Number(value) is >= 1 and <= 1024:
            concurrency = Number(value)!.Value;
            break;
        case "--instances" when Number(value) is >= 1 and <= 16:
            instances = Number(value)!.Value;
            break;
        case "--grant" when Enum.TryParse(value, out grant) && Enum.IsDefined(grant):
            break;
        case "--seed" when Number(value) is not null:
            seed = Number(value)!.Value;
            break;
        case "--hours" when Number(value) is >= 1 and <= 24:
            hours = Number(value);
            break;
        case "--call-every" when Span(value) >= TimeSpan.Zero:
            callEvery = Span(value);
            break;
        case "--json":
            asJson = true;
            continue;
        default:
            await Console.Error.WriteLineAsync(Usage);
            return 2;
    }

    i++;
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
    var results = new List<Result>();
    foreach (var sites in scales.DefaultIfEmpty().SelectMany(sites => sites == 0 ? [1_000, 10_000, 100_000, 300_000, 1_000_000] : new[] { sites }))
    {
        var scale = Scale.Of(sites);
        if (hours is { } some)
        {
            scale = scale with { Windows = 1, Length = TimeSpan.FromHours(some) };
        }

        var result = await scale.RunAsync(seed, idleAfter, concurrency, callEvery is { } every ? SiteUse.Steady(every) : null, instances, grant);
        results.Add(result);
        await Console.Error.WriteLineAsync($"{Format.Of(sites, "N0")} sites took {Format.Of(result.Took.TotalSeconds, "F0")} s");
        if (asJson)
        {
            Console.WriteLine(JsonSerializer.Serialize(result.Counted));
        }
    }

    if (!asJson)
    {
        Report.Windows(results);
        Report.Work(results);
        Report.Sweeps(results);
        Report.Costs(results);
        Report.FanOut(concurrency);
        if (scales.Count == 0)
        {
            var choices = new List<(TimeSpan, Result)>();
            foreach (var choice in new List<double> { 5, 15, 60, 240 }.Select(TimeSpan.FromMinutes))
            {
                choices.Add((choice, await Scale.Of(10_000).RunAsync(seed, choice, concurrency)));
            }

            Report.IdleAfter(choices);
        }
    }

    return 0;
});

static int? Number(string text) => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

static TimeSpan? Span(string text) => TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out var span) ? span : null;
