using WixOAuth.Instances;
using WixOAuth.Maintenance;

namespace WixOAuth.Scale;

/// <summary>The tables of docs/scale.md.</summary>
internal static class Report
{
    public static void Work(IReadOnlyList<Result> results) => Table(
        "What a day asks for",
        ["sites", "GetTokens", "of them from memory", "Wix calls", "**transactions**", "due queries", "reads", "leases", "commits", "other writes", "last uses written", "last uses read"],
        results.Select(result => (string[])
        [
            Sites(result),
            Format.Short(result.Day.GetTokens),
            Part(result.Day.GetTokens - result.Day.AskedStorage, result.Day.GetTokens),
            Format.Short(result.Day.WixCalls),
            $"**{Format.Short(result.Day.Transactions)}**",
            Format.Short(result.Day.DueQueries),
            Format.Short(result.Day.Reads),
            Format.Short(result.Day.Leases),
            Format.Short(result.Day.Commits),
            Format.Short(result.Day.OtherWrites),
            Format.Short(result.Day.LastUseWrites),
            Format.Short(result.Day.LastUseReads),
        ]));

    public static void Sweeps(IReadOnlyList<Result> results) => Table(
        "How they get through",
        ["sites", "warm, least and most", "due in a sweep, mean and most", "a sweep takes, mean and most", "due lag, mean and most", "sweeps cut off", "callers who waited for Wix", "refused"],
        results.Select(result => (string[])
        [
            Sites(result),
            string.Join(" to ", new[] { result.Warm.Min(), result.Warm.Max() }.Distinct().Select(warm => Format.Short(warm))),
            MeanAndMost(result, sweep => sweep.Due, Format.Short),
            MeanAndMost(result, sweep => sweep.Duration.TotalSeconds, Seconds),
            MeanAndMost(result, sweep => sweep.DueLag.TotalSeconds, Seconds),
            Part(result.Day.CutOff, result.Day.Sweeps),
            Part(result.Day.WaitedForWix, result.Day.GetTokens),
            Part(result.Day.Refused, result.Day.GetTokens),
        ]));

    public static void Costs(IReadOnlyList<Result> results) => Table(
        "What a month costs, in US dollars by the list",
        ["sites", "Table transactions", "sweeps, GB-s", "HTTP instance, GB-s", "executions", "Key Vault", "Log Analytics: a line for each refresh", "Log Analytics: its activities", "**total**", "for 1,000 sites"],
        results.Select(result => (Result: result, Cost: Cost.Of(result.Day))).Select(pair => (string[])
        [
            Sites(pair.Result),
            Format.Dollars(pair.Cost.Tables),
            Format.Dollars(pair.Cost.SweepTime),
            Format.Dollars(pair.Cost.HttpTime),
            Format.Dollars(pair.Cost.Executions),
            Format.Dollars(pair.Cost.KeyVault),
            Format.Dollars(pair.Cost.Logs),
            Format.Dollars(pair.Cost.Traces),
            $"**{Format.Dollars(pair.Cost.Total)}**",
            Format.Dollars(pair.Cost.Total / pair.Result.Scale.Sites * 1_000),
        ]));

    public static void IdleAfter(IReadOnlyList<(TimeSpan IdleAfter, Result Result)> choices) => Table(
        "What Tokens__IdleAfter buys: 10,000 sites",
        ["IdleAfter", "GetTokens a day", "callers who waited for Wix", "Wix calls a day", "transactions a day", "longest sweep", "a month, $"],
        choices.Select(choice => (string[])
        [
            choice.IdleAfter.ToString("c"),
            Format.Short(choice.Result.Day.GetTokens),
            Part(choice.Result.Day.WaitedForWix, choice.Result.Day.GetTokens),
            Format.Short(choice.Result.Day.WixCalls),
            Format.Short(choice.Result.Day.Transactions),
            Seconds(choice.Result.Sweeps.Max(sweep => sweep.Duration.TotalSeconds)),
            Format.Dollars(Cost.Of(choice.Result.Day).Total),
        ]));

    public static void Windows(IReadOnlyList<Result> results) => Table(
        "What was simulated",
        ["sites", "windows of a day", "each", "after a warm-up of", "refreshes counted"],
        results.Select(result => (string[])
        [
            Sites(result),
            Format.Short(result.Scale.Windows),
            $"{Format.Short(result.Scale.Length.TotalMinutes)} min",
            $"{Format.Short(result.Scale.WarmUp.TotalMinutes)} min",
            Format.Short(result.Counted.Commits),
        ]));

    /// <summary>The end of each number of instances, computed: no figure of it is simulated.</summary>
    public static void FanOut(int concurrency)
    {
        const double TransactionsPerAccount = 20_000;
        const double EntitiesPerPartition = 2_000;
        const int TransactionsPerRefresh = 3;

        // A read, a lease, and a commit of the row and its old and new row of the due index.
        const int EntitiesPerRefresh = 5;
        const int TicksPerRound = 4;
        var refresh = (Model.StorageLatency * TransactionsPerRefresh) + Model.WixLatency;
        var perSecond = concurrency / refresh.TotalSeconds;
        Table(
            "Where several instances end",
            ["instances", "shards for each", "refreshes/s", "refreshes in a tick", "warm sites", "transactions/s, of 20,000 for an account", "entities/s in a shard, of 2,000"],
            new List<int> { 1, 2, 4, 8, 16 }.Select(instances => (string[])
            [
                Format.Of(instances, "F0"),
                Format.Of(InstanceShard.Count / instances, "F0"),
                Format.Short(perSecond * instances),
                Format.Short(perSecond * instances * RefreshSweep.LongestSweep.TotalSeconds),
                Format.Short(perSecond * instances * RefreshSweep.LongestSweep.TotalSeconds * TicksPerRound),
                $"{Format.Short(perSecond * instances * TransactionsPerRefresh)} ({Part(perSecond * instances * TransactionsPerRefresh, TransactionsPerAccount)})",
                $"{Format.Short(perSecond * instances * EntitiesPerRefresh / InstanceShard.Count)} ({Part(perSecond * instances * EntitiesPerRefresh / InstanceShard.Count, EntitiesPerPartition)})",
            ]));
    }

    private static string Sites(Result result) => Format.Of(result.Scale.Sites, "N0");

    private static string Seconds(double seconds) => Format.Of(seconds, "F1") + " s";

    private static string Part(double part, double whole) => whole == 0 ? "none" : Format.Of(part / whole * 100, "0.##") + " %";

    private static string MeanAndMost(Result result, Func<SweepSummary, double> figure, Func<double, string> format) =>
        $"{format(result.Sweeps.Average(figure))}, {format(result.Sweeps.Max(figure))}";

    private static void Table(string title, string[] heads, IEnumerable<string[]> rows)
    {
        Console.WriteLine();
        Console.WriteLine($"### {title}");
        Console.WriteLine();
        Console.WriteLine($"| {string.Join(" | ", heads)} |");
        Console.WriteLine($"|{string.Concat(heads.Select(_ => "---:|"))}");
        foreach (var row in rows)
        {
            Console.WriteLine($"| {string.Join(" | ", row)} |");
        }
    }
}
