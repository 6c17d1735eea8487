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
