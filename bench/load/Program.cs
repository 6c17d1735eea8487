using System.Globalization;
using WixOAuth.Load;
using WixOAuth.Local;
using WixOAuth.Processes;

if (args is ["empty", var url])
{
    await EmptyApi.RunAsync(url);
    return 0;
}

var only = new List<string>();
var (quick, sites) = (false, 100_000);
for (var i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--quick":
            quick = true;
            break;
        case "--only" when i + 1 < args.Length && Parts.All.ContainsKey(args[i + 1]):
            only.Add(args[++i]);
            break;
        case "--sites" when i + 1 < args.Length && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out sites) && sites >= 1_000:
            i++;
            break;
        default:
            await Console.Error.WriteLineAsync($"bench/load [--quick] [--only {string.Join('|', Parts.All.Keys)}]... [--sites <1000 or more>]");
            return 2;
    }
}

if (quick && !args.Contains("--sites"))
{
    sites = 10_000;
}

using var stop = new StopSignal();
try
{
    await using var around = await Surroundings.StartAsync(stop.Token);
    var run = new LoadRun(around, quick, sites, stop.Token);
    var measures = new List<Measure>();
    foreach (var (name, part) in Parts.All.Where(part => only.Count == 0 || only.Contains(part.Key)))
    {
        Console.WriteLine($"{name} ...");
        measures.AddRange(await part(run));
    }

    Console.WriteLine();
    Console.WriteLine("| what | goal | figure | | why |");
    Console.WriteLine("|---|---|---|---|---|");
    measures.ForEach(Console.WriteLine);
    return 0;
}
catch (OperationCanceledException) when (stop.Token.IsCancellationRequested)
{
    await Console.Error.WriteLineAsync("Stopped.");
    return 1;
}
