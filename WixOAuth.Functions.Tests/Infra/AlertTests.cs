using System.Text.RegularExpressions;

namespace WixOAuth.Functions.Tests.Infra;

/// <summary>Every alert reaches somebody, who finds in the runbook what to do.</summary>
public partial class AlertTests
{
    private static readonly string[] s_alerts =
    [
        "due-lag", "key-vault-denied", "refresh-failures", "reinstall-required", "secret-suspect", "server-errors", "slow-webhooks", "sweep-stopped",
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
            Assert.Equal("Value", criterion.At("metricMeasureColumn"));
        });
    }

    [Fact]
    public void Every_alert_has_its_place_in_the_runbook()
    {
        var runbook = File.ReadAllText(Path.Combine(Bicep.Root, "docs", "operations.md"));

        Assert.All(s_alerts, alert => Assert.Contains($"\n### {alert}\n", runbook, StringComparison.Ordinal));
    }

    [Fact]
    public void Every_metric_that_is_asked_for_is_measured()
    {
        var source = File.ReadAllText(Path.Combine(Bicep.Root, "WixOAuth", "Telemetry.cs"));
        var asked = Directory.EnumerateFiles(Path.Combine(Bicep.Folder, "queries")).Append(Path.Combine(Bicep.Folder, "workbook.json"))
            .SelectMany(file => Metric().Matches(File.ReadAllText(file)).Select(match => match.Value))
            .Distinct()
            .ToList();

        Assert.NotEmpty(asked);
        Assert.All(asked, metric => Assert.Contains($"\"{metric}\"", source, StringComparison.Ordinal));
    }

    [GeneratedRegex(@"wixoauth(\.[a-z_]+)+")]
    private static partial Regex Metric();
}
