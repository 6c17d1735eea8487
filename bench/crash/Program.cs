using System.Globalization;
using WixOAuth.Crash;
using WixOAuth.Local;

var options = new CrashOptions();
string? earlier = null;
for (var i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--rounds" when Number(i + 1) is { } rounds:
            options = options with { RandomKills = rounds };
            i++;
            break;
        case "--step-rounds" when Number(i + 1) is { } rounds:
            options = options with { StepRounds = rounds };
            i++;
            break;
        case "--outages" when Number(i + 1) is { } outages:
            options = options with { Outages = outages };
            i++;
            break;
        case "--processes" when Number(i + 1) is { } processes and >= 3:
            options = options with { Processes = processes };
            i++;
            break;
        case "--with" when i + 1 < args.Length:
            earlier = Path.GetFullPath(args[++i]);
            break;
        case "--busy":
            options = options with { Tolerance = new Tolerance(TimeSpan.FromMinutes(3), TimeSpan.FromSeconds(20)) };
            break;
        default:
            await Console.Error.WriteLineAsync(
                "bench/crash [--rounds <kills at random points>] [--step-rounds <kills at each step, for each kind of site>] [--outages <of the storage>] [--processes <3 or more>] [--busy, where the machine does other work too] | --with <WixOAuth.Local.dll of an earlier build>");
            return 2;
    }
}

using var stop = new StopSignal();
try
{
    if (earlier is not null)
    {
        var problems = await SideBySide.RunAsync(earlier, Console.WriteLine, stop.Token);
        Console.WriteLine(problems.Count == 0 ? "Both builds work on one table." : $"{problems.Count} problems.");
        return problems.Count == 0 ? 0 : 1;
    }

    var report = await CrashRun.RunAsync(options, Console.WriteLine, stop.Token);
    Print(report);
    return report.IsGood ? 0 : 1;
}
catch (OperationCanceledException) when (stop.Token.IsCancellationRequested)
{
    await Console.Error.WriteLineAsync("Stopped.");
    return 1;
}

int? Number(int at) => at < args.Length && int.TryParse(args[at], NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

static void Print(CrashReport report)
{
    var (findings, history) = (report.Findings, report.History);
    Console.WriteLine();
    Console.WriteLine("| killed when | rounds | killed | violations |");
    Console.WriteLine("|---|---|---|---|");
    foreach (var step in report.Steps)
    {
        Console.WriteLine($"| {step.Name} | {step.Rounds} | {step.Kills} | {step.Violations} |");
    }

    Console.WriteLine();
    Say($"{report.Took.TotalMinutes:F1} min, {history.Kills.Count} kills, {history.Outages.Count} outages of the storage");
    Say($"the storage was away for {string.Join(", ", history.Outages.Select(outage => $"{(outage.Until - outage.From).TotalSeconds:F1} s"))}");
    Say($"{history.Calls.Count(call => call.Outcome == WixOutcome.Accepted)} tokens given by Wix, {history.Calls.Count(call => call.Outcome == WixOutcome.Unavailable)} calls answered by 503 or by a page of HTML");
    Say($"{history.Storms.Count} times some seconds of HTML with 401 or 403, {history.Storms.Count(storm => storm.EveryEndpoint)} of them for every grant");
    Say($"{history.WrongKeys.Count} processes with a wrong protection key, {history.WrongKeys.Sum(wrong => (wrong.Until - wrong.From).TotalSeconds):F0} s in all; {history.WrongKeys.Count(wrong => wrong.IsTold)} had logged it when they were killed");
    var events = history.Writes.Where(write => write.Landed).SelectMany(write => write.Events ?? []).ToList();
    Say($"{events.Count} events ({string.Join(", ", events.CountBy(each => each.Type).OrderBy(type => type.Key).Select(type => $"{type.Value} × {type.Key}"))}); {history.Arrivals.Count} arrivals, {history.Arrivals.Count(arrival => !arrival.IsAccepted)} of them failed by the receiver; {history.Arrivals.Where(arrival => arrival.IsAccepted).GroupBy(arrival => arrival.Id).Count(copies => copies.Count() > 1)} events were accepted more than once");
    Say($"{history.Asks.Count} times GetToken: {string.Join(", ", history.Asks.CountBy(ask => ask.Status).OrderBy(status => status.Key).Select(status => $"{status.Value} × {(status.Key == 0 ? "broken" : status.Key)}"))}");
    Say($"{findings.LeftLeases} leases left by the killed, {findings.UnsavedTokens} tokens that Wix had given them and they had not saved");
    Say($"{history.Unheard.Count} answers of Wix came too late for their process");
    Say($"{findings.LostByStrictWix} sites whose refresh token was lost so, of a Wix that voids the old one; each is served by client credentials");
    Say($"longest wait for a token {findings.LongestWait.TotalSeconds:F1} s, of that beyond every lease and pause {findings.LongestBeyond.TotalSeconds:F1} s");
    foreach (var rule in findings.Violations.GroupBy(violation => violation.Rule))
    {
        Say($"{rule.Count()} × {rule.Key}");
        foreach (var violation in rule.Take(20))
        {
            Say($"VIOLATION {violation.Text} ({violation.Site}, {violation.At:HH:mm:ss.fff})");
        }
    }

    foreach (var site in findings.Violations.Select(violation => violation.Site).OfType<Guid>().Distinct().Take(3))
    {
        Say($"The story of {site}:");
        Story.Of(history, site).ToList().ForEach(Say);
    }

    static void Say(string line) => Console.WriteLine(line);
}
