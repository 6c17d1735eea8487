using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>Every alert notifies the action group and is described in the runbook.</summary>
public partial class AlertTests
{
    private static readonly string[] s_alerts =
    [
        "backup-overdue", "due-lag", "events-failing", "events-parked", "key-vault-denied", "log-cap", "no-refresh-succeeds", "refresh-failures",
        "reinstall-required", "secret-suspect", "server-errors", "sites-on-fallback", "slow-webhooks", "sweep-stopped", "table-deleted", "unreadable-row",
        "unreadable-tokens", "webhooks-untrusted", "wix-throttled", "wrong-protection-key",
    ];

    private static readonly string[] s_queueAlerts = ["poison-messages", "shards-unseen"];

    /// <summary>The columns of Azure's tables that queries read.</summary>
    private static readonly string[] s_columns =
    [
        "AppRoleInstance", "Category", "Detail", "DurationMs", "ItemCount", "Max", "Message", "Name", "OperationCategory", "OperationKey", "OperationName",
        "Properties", "ResourceProvider", "ResultCode", "StatusText", "Sum", "TimeGenerated",
    ];

    [SkippableFact]
    public async Task The_alerts_are_on_and_tell_the_operators()
    {
        var deployment = await Bicep.Usual;
        var rules = deployment.Of("Microsoft.Insights/scheduledQueryRules");
        var operators = Assert.Single(deployment.Of("Microsoft.Insights/actionGroups"));

        Assert.Equal(s_alerts, rules.Select(rule => rule.At("name")!["alert-".Length..^14]).Order(StringComparer.Ordinal));
        Assert.Equal("operators@example.com", operators.GetProperty("properties").GetProperty("emailReceivers")[0].At("emailAddress"));
        Assert.All(rules, rule =>
        {
            Assert.Equal("True", rule.At("properties.enabled"));
            Assert.Equal(operators.At("id"), rule.GetProperty("properties").GetProperty("actions").GetProperty("actionGroups")[0].GetString());
            var criterion = rule.GetProperty("properties").GetProperty("criteria").GetProperty("allOf")[0];
            Assert.Matches(@"\bValue = ", criterion.At("query"));
            AssertOneRowForEachPeriod(criterion, XmlConvert.ToTimeSpan(rule.At("properties.windowSize")!));
            Assert.Equal("Value", criterion.At("metricMeasureColumn"));
        });
    }

    [SkippableTheory]
    [InlineData("events-failing", "3", "PT1H", "PT15M")]
    [InlineData("no-refresh-succeeds", "1", "PT1H", "PT15M")]
    [InlineData("slow-webhooks", "2", "PT15M", "PT5M")]
    [InlineData("webhooks-untrusted", "3", "P1D", "PT1H")]
    public async Task An_alert_has_its_severity_and_its_window(string name, string severity, string window, string frequency)
    {
        var rule = Assert.Single((await Bicep.Usual).Of("Microsoft.Insights/scheduledQueryRules"), rule => rule.At("name")!.StartsWith($"alert-{name}-", StringComparison.Ordinal));

        Assert.Equal(
            (severity, window, frequency),
            (rule.At("properties.severity"), rule.At("properties.windowSize"), rule.At("properties.evaluationFrequency")));
    }

    /// <summary>Azure refuses more than one period for a query that does not project TimeGenerated; the bin has to be a period long.</summary>
    private static void AssertOneRowForEachPeriod(JsonElement criterion, TimeSpan window)
    {
        var periods = criterion.At("failingPeriods.numberOfEvaluationPeriods");
        var bin = Bin().Match(criterion.At("query")!);

        Assert.Equal(periods != "1", bin.Success);
        Assert.True(!bin.Success || bin.Groups[1].Value == window.TotalMinutes.ToString(CultureInfo.InvariantCulture), criterion.At("query"));
    }

    /// <summary>A query on a table that does not exist yet fails, and Azure disables a rule that failed for a week.</summary>
    [Theory]
    [MemberData(nameof(Queries))]
    public void Every_query_runs_before_its_tables_exist(string file)
    {
        var query = Comment().Replace(File.ReadAllText(Path.Combine(Bicep.Folder, "queries", file)), "");
        var tables = Table().Matches(query);
        var guarded = Guarded().Matches(query);

        Assert.NotEmpty(tables);
        Assert.Equal(tables.Select(table => table.Value), guarded.Select(match => match.Groups["table"].Value));
        Assert.All(guarded, match =>
        {
            // What the query reads up to the next table has to be a column of the empty datatable too.
            var rest = query[(match.Index + match.Length)..];
            var own = Text().Replace(Guarded().Match(rest) is { Success: true } next ? rest[..next.Index] : rest, "");
            var columns = match.Groups["columns"].Value.Split(',').Select(column => column.Split(':')[0].Trim()).ToList();
            Assert.All(s_columns.Where(column => Regex.IsMatch(own, $@"\b{column}\b")), column => Assert.Contains(column, columns));
        });
    }

    /// <summary>The host names a request after its method and route, and routes have no leading slash.</summary>
    [Theory]
    [MemberData(nameof(Queries))]
    public void No_query_looks_for_a_route_with_a_leading_slash(string file) =>
        Assert.DoesNotMatch("'([A-Z]+ )?/api/", File.ReadAllText(Path.Combine(Bicep.Folder, "queries", file)));

    [SkippableFact]
    public async Task The_sweep_by_queue_has_its_own_alerts()
    {
        var rules = (await Bicep.Guarded).Of("Microsoft.Insights/scheduledQueryRules").Select(rule => rule.At("name")!["alert-".Length..^14]);

        Assert.Equal(s_queueAlerts, rules.Except(s_alerts).Order(StringComparer.Ordinal));
    }

    [SkippableFact]
    public async Task Deleting_the_tokens_or_their_keys_tells_the_operators()
    {
        var deployment = await Bicep.Usual;
        var alert = Assert.Single(deployment.Of("Microsoft.Insights/activityLogAlerts"));
        var conditions = alert.GetProperty("properties").GetProperty("condition").GetProperty("allOf");

        Assert.Equal("True", alert.At("properties.enabled"));
        Assert.Equal("global", alert.At("location"));
        Assert.EndsWith("/resourceGroups/rg-test", alert.GetProperty("properties").GetProperty("scopes")[0].GetString(), StringComparison.Ordinal);
        Assert.Equal(
            ["Microsoft.KeyVault/vaults/delete", "Microsoft.Storage/storageAccounts/delete", "Microsoft.Storage/storageAccounts/tableServices/tables/delete"],
            conditions[2].GetProperty("anyOf").EnumerateArray().Select(condition => condition.At("equals")!).Order(StringComparer.Ordinal));
        Assert.Equal(
            Assert.Single(deployment.Of("Microsoft.Insights/actionGroups")).At("id"),
            alert.GetProperty("properties").GetProperty("actions").GetProperty("actionGroups")[0].At("actionGroupId"));
    }

    [Fact]
    public void Every_alert_has_its_place_in_the_runbook()
    {
        var runbook = File.ReadAllText(Path.Combine(Bicep.Root, "docs", "operations.md"));

        Assert.All(s_alerts.Concat(s_queueAlerts).Append("deletion"), alert => Assert.Contains($"\n### {alert}\n", runbook, StringComparison.Ordinal));
    }

    /// <summary>Where the container cannot be read, nobody can say how old the last copy is.</summary>
    [Theory]
    [InlineData("Backup overdue")]
    [InlineData("The backup failed")]
    public void A_copy_that_is_missing_or_fails_tells_the_operators(string message) => Assert.Contains(
        $"Message startswith '{message}'", File.ReadAllText(Path.Combine(Bicep.Folder, "queries", "backup-overdue.kql")), StringComparison.Ordinal);

    /// <summary>None is followed by a metric that an alert looks at: no event is tried, a single site is no fifth of all, and metrics name no site.</summary>
    [Theory]
    [InlineData("events-parked.kql", "The signing secret of events cannot be read")]
    [InlineData("no-refresh-succeeds.kql", ": no token from Wix (")]
    [InlineData("unreadable-row.kql", ": its row cannot be read by this version of the program")]
    public void A_fault_that_only_a_log_line_tells_tells_the_operators(string file, string message)
    {
        Assert.Matches($"Message (startswith|contains) '{Regex.Escape(message)}'", File.ReadAllText(Path.Combine(Bicep.Folder, "queries", file)));
        Assert.Contains(
            Directory.EnumerateFiles(Path.Combine(Bicep.Root, "WixOAuth"), "*.cs", SearchOption.AllDirectories),
            source => File.ReadAllText(source).Contains(message, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_metric_that_a_query_uses_is_measured()
    {
        var source = string.Concat(Directory.EnumerateFiles(Path.Combine(Bicep.Root, "WixOAuth"), "*.cs", SearchOption.AllDirectories).Select(File.ReadAllText));
        var asked = Directory.EnumerateFiles(Path.Combine(Bicep.Folder, "queries")).Append(Path.Combine(Bicep.Folder, "workbook.json"))
            .SelectMany(file => Metric().Matches(File.ReadAllText(file)).Select(match => match.Value))
            .Distinct()
            .ToList();

        Assert.NotEmpty(asked);
        Assert.All(asked, metric => Assert.Contains($"\"{metric}\"", source, StringComparison.Ordinal));
    }

    /// <summary>A misspelt outcome counts nothing, and nobody notices.</summary>
    [Theory]
    [MemberData(nameof(Queries))]
    public void Every_outcome_that_a_query_names_is_one_of_its_metrics(string file)
    {
        var query = File.ReadAllText(Path.Combine(Bicep.Folder, "queries", file));
        var rows = File.ReadAllLines(Path.Combine(Bicep.Root, "docs", "metrics.md"))
            .Where(row => Metric().Matches(query).Any(metric => row.StartsWith($"| `{metric.Value}` ", StringComparison.Ordinal)))
            .ToList();
        var outcomes = OutcomeFilter().Matches(query).SelectMany(filter => Word().Matches(filter.Value)).Select(word => word.Groups[1].Value).ToList();

        Assert.All(outcomes, outcome => Assert.Contains(rows, row => row.Contains($"`{outcome}`", StringComparison.Ordinal)));
        Assert.Equal(query.Contains("outcome", StringComparison.Ordinal), outcomes.Count > 0);
    }

    [Fact]
    public void Every_log_message_that_a_query_uses_is_written()
    {
        var source = string.Concat(Directory.EnumerateFiles(Path.Combine(Bicep.Root, "WixOAuth"), "*.cs", SearchOption.AllDirectories).Select(File.ReadAllText));
        var asked = Directory.EnumerateFiles(Path.Combine(Bicep.Folder, "queries"))
            .SelectMany(file => LogLine().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value))
            .ToList();

        Assert.NotEmpty(asked);
        Assert.All(asked, line => Assert.Contains($", \"{line}", source, StringComparison.Ordinal));
    }

    public static TheoryData<string> Queries => [.. Directory.GetFiles(Path.Combine(Bicep.Folder, "queries")).Select(file => Path.GetFileName(file)!)];

    [GeneratedRegex(@"wixoauth(\.[a-z_]+)+")]
    private static partial Regex Metric();

    /// <summary>The words that an outcome, or the column Outcome, is compared with.</summary>
    [GeneratedRegex(@"(?:Properties\.outcome\)|Outcome) (?:==|!=|in) (?:\([^)]*\)|'[^']*')")]
    private static partial Regex OutcomeFilter();

    [GeneratedRegex("'([a-z_]+)'")]
    private static partial Regex Word();

    [GeneratedRegex("Message startswith '([^']+)'")]
    private static partial Regex LogLine();

    [GeneratedRegex(@"\bbin\(TimeGenerated, (\d+)m\)")]
    private static partial Regex Bin();

    [GeneratedRegex(@"^\s*//.*$", RegexOptions.Multiline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"\b(App(Metrics|Requests|Traces|Dependencies|Exceptions)|AzureDiagnostics|AzureActivity|Storage\w+Logs|Operation(?=\r?\n))\b")]
    private static partial Regex Table();

    [GeneratedRegex(@"union isfuzzy=true \(datatable\((?<columns>[^)]+)\)\[\]\), (?<table>\w+)")]
    private static partial Regex Guarded();

    [GeneratedRegex("'[^']*'|Properties\\.\\w+")]
    private static partial Regex Text();
}
