using System.Text.RegularExpressions;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>A tag can be moved to other code, a commit cannot; and what a workflow may do is said by itself.</summary>
public partial class WorkflowTests
{
    public static TheoryData<string> Workflows =>
        [.. Directory.GetFiles(Path.Combine(Bicep.Root, ".github", "workflows")).Select(file => Path.GetFileName(file)!)];

    [Theory]
    [MemberData(nameof(Workflows))]
    public void Every_action_is_pinned_to_a_commit(string workflow)
    {
        var uses = Uses().Matches(Read(workflow)).Select(match => match.Groups[1].Value).ToList();

        Assert.NotEmpty(uses);
        Assert.All(uses, action => Assert.Matches(@"^[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", action));
    }

    [Theory]
    [MemberData(nameof(Workflows))]
    public void No_secret_is_stored_and_nothing_may_write_the_repository(string workflow)
    {
        var text = Read(workflow);

        Assert.DoesNotContain("{{ secrets", text, StringComparison.Ordinal);
        Assert.Contains("\npermissions:\n  contents: read\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("write-all", text, StringComparison.Ordinal);
        Assert.DoesNotContain("contents: write", text, StringComparison.Ordinal);
    }

    /// <summary>A parameter that the pipeline does not hand on would be reset by it to its default.</summary>
    [Fact]
    public void The_deployment_hands_on_whatever_the_parameters_read()
    {
        var deploy = Read("deploy.yml");
        var names = Reads().Matches(File.ReadAllText(Path.Combine(Bicep.Folder, "main.bicepparam"))).Select(match => match.Groups[1].Value).ToList();

        Assert.NotEmpty(names);
        // azd finds this one out from who is signed in.
        Assert.All(names.Except(["AZURE_PRINCIPAL_ID"]), name => Assert.Contains($"\n      {name}: ", deploy, StringComparison.Ordinal));
    }

    [Fact]
    public void Nothing_is_deployed_that_was_not_tested_and_nothing_is_done_before_it_was_looked_at()
    {
        var deploy = Read("deploy.yml");

        Assert.Contains("\n  ci:\n    uses: ./.github/workflows/ci.yml\n", deploy, StringComparison.Ordinal);
        Assert.Contains("\n  deploy:\n    needs: ci\n", deploy, StringComparison.Ordinal);
        Assert.Contains("\n  workflow_call:\n", Read("ci.yml"), StringComparison.Ordinal);
        Assert.Matches(@"setup-azd@[0-9a-f]{40} # v[\d.]+\n        with:\n          version: \d+\.\d+\.\d+\n", deploy);
        Assert.EndsWith("infra/smoke-test.sh \"${app%/api/install}\"\n", deploy, StringComparison.Ordinal);
    }

    /// <summary>This prevents accidents only: another branch can change the line. The environment's own rule is in the runbook.</summary>
    [Fact]
    public void Only_main_is_deployed() =>
        Assert.Contains("\n  deploy:\n    needs: ci\n    if: github.ref == 'refs/heads/main'\n", Read("deploy.yml"), StringComparison.Ordinal);

    /// <summary>The CI that a deployment waits for belongs to its run; a pull request has one CI at a time.</summary>
    [Fact]
    public void A_push_cancels_the_tests_of_no_deployment()
    {
        var concurrency = Concurrency().Match(Read("ci.yml"));

        Assert.Equal("ci-${{ github.event_name }}-${{ github.event_name == 'pull_request' && github.ref || github.run_id }}", concurrency.Groups["group"].Value);
        Assert.Equal("${{ github.event_name == 'pull_request' }}", concurrency.Groups["cancel"].Value);
    }

    /// <summary>With the state that azd recorded, a role or a resource that went missing would not come back.</summary>
    [Fact]
    public void A_deployment_by_hand_provisions_in_any_case_and_one_by_a_push_only_what_changed() => Assert.Contains(
        "- run: azd provision --no-prompt ${{ github.event_name == 'workflow_dispatch' && '--no-state' || '' }}\n", Read("deploy.yml"), StringComparison.Ordinal);

    private static string Read(string workflow) => File.ReadAllText(Path.Combine(Bicep.Root, ".github", "workflows", workflow));

    [GeneratedRegex(@"uses: (?!\./)(.+)")]
    private static partial Regex Uses();

    [GeneratedRegex(@"^concurrency:\n  group: (?<group>.+)\n  cancel-in-progress: (?<cancel>.+)\n", RegexOptions.Multiline)]
    private static partial Regex Concurrency();

    [GeneratedRegex(@"readEnvironmentVariable\(\s*'(\w+)'")]
    private static partial Regex Reads();
}
