using System.Globalization;
using WixOAuth.Crash;
using WixOAuth.Local;

var options = new CrashOptions();
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
        default:
            await Console.Error.WriteLineAsync(
                "bench/crash [--rounds <kills at random points>] [--step-rounds <kills at each step, for each kind of site>] [--outages <of the storage>] [--processes <3 or more>]");
            return 2;
    }
}

using var stop = new StopSignal();
try
{
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
    Say($"{history.Calls.Count(call => call.Outcome == WixOutcome.Accepted)} tokens given by Wix, {history.Calls.Count(call => call.Outcome == WixOutcome.Unavailable)} calls answered by 503");
    Say($"{history.Asks.Count} times GetToken: {string.Join(", ", history.Asks.CountBy(ask => ask.Status).OrderBy(status => status.Key).Select(status => $"{status.Value} × {(status.Key == 0 ? "broken" : status.Key)}"))}");
    Say($"{findings.LeftLeases} leases left by the killed, {findings.UnsavedTokens} tokens that Wix had given them and they had not saved");
    Say($"{findings.LostByStrictWix} sites whose refresh token was lost so, of a Wix that voids the old one at once; each is served by client credentials");
    Say($"longest wait for a token {findings.LongestWait.TotalSeconds:F1} s, of that beyond every lease and pause {findings.LongestBeyond.TotalSeconds:F1} s");
    foreach (var violation in findings.Violations.Take(50))
    {
        Say($"VIOLATION {violation.Rule}: {violation.Text} ({violation.Site}, {violation.At:HH:mm:ss.fff})");
    }

    foreach (var site in findings.Violations.Select(violation => violation.Site).OfType<Guid>().Distinct().Take(3))
    {
        Say($"The story of {site}:");
        Story.Of(history, site).ToList().ForEach(Say);
    }

    if (findings.Violations.Count > 50)
    {
        Say($"... and {findings.Violations.Count - 50} more");
    }

    static void Say(string line) => Console.WriteLine(line);
}
