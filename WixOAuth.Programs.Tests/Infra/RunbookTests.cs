using System.Text.RegularExpressions;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>What the documents tell people to run, as far as it can be held without Azure.</summary>
public partial class RunbookTests
{
    /// <summary>azd compares the template and its parameters with what it deployed last, and not with what is there.</summary>
    [Fact]
    public void Provisioning_without_a_change_ignores_the_recorded_state()
    {
        var commands = Provision().Matches(Read("docs/operations.md"));

        Assert.True(commands.Count > 10);
        Assert.All(commands, command => Assert.True(command.Groups["set"].Success || command.Groups["state"].Success, command.Value));
    }

    /// <summary>The pipeline's sign-in holds for the environment, and any branch can name it in a workflow of its own.</summary>
    [Fact]
    public void The_environment_is_restricted_to_main_and_reviewed()
    {
        var runbook = Read("docs/operations.md");

        Assert.Contains("gh api -X PUT repos/OWNER/REPO/environments/production ", runbook, StringComparison.Ordinal);
        Assert.Matches(@"""reviewers"": ?\[\{", runbook);
        Assert.Contains("\"custom_branch_policies\": true", runbook, StringComparison.Ordinal);
        Assert.Contains("gh api -X POST repos/OWNER/REPO/environments/production/deployment-branch-policies -f name=main", runbook, StringComparison.Ordinal);
    }

    /// <summary>A reference that names the lost vault is not resolved.</summary>
    [Theory]
    [InlineData("docs/operations.md")]
    [InlineData("docs/standby.md")]
    public void Another_region_gets_the_address_of_events_in_its_own_vault(string document)
    {
        Assert.Contains("`events-url`", Read(document), StringComparison.Ordinal);
        Assert.Contains("`EVENTS_URL`", Read(document), StringComparison.Ordinal);
    }

    /// <summary>Nothing of ours is published: a stranger could register the name.</summary>
    [Theory]
    [InlineData("README.md")]
    [InlineData("docs/moving-in.md")]
    [InlineData("docs/operations.md")]
    [InlineData("WixOAuth.Client/README.md")]
    [InlineData("clients/js/README.md")]
    public void Nothing_of_ours_is_taken_from_a_public_registry(string document) =>
        Assert.DoesNotMatch(@"(?i)(tool install|add package|npm (install|i|add)) [^`\n]*wixoauth|(nuget\.org|npmjs\.com)/packages?/wixoauth", Read(document));

    private static string Read(string document) => File.ReadAllText(Path.Combine(Bicep.Root, document));

    [GeneratedRegex(@"(?<set>azd env set [^`\n]+ && )?azd provision(?<state> --no-state)?\b[^`\n]*")]
    private static partial Regex Provision();
}
