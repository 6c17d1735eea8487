using System.Text.RegularExpressions;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>docs/security.md names a test for each threat: each is there, and is a test.</summary>
public sealed partial class SecurityDocumentTests
{
    private static readonly string[] s_projects = ["WixOAuth.Functions.Tests", "WixOAuth.Programs.Tests", "WixOAuth.Browser.Tests", "WixOAuth.Client.Tests"];
    private static readonly string[] s_documents = ["SECURITY.md", "docs/security.md", "docs/http-api.md", "docs/testing.md"];

    [Fact]
    public void Every_test_that_is_named_exists()
    {
        var tests = s_projects.SelectMany(Repository.Sources)
            .SelectMany(file => Tests().Matches(File.ReadAllText(file)).Select(match => $"{Path.GetFileNameWithoutExtension(file)}.{match.Groups[1].Value}"))
            .ToHashSet();
        var named = Named().Matches(Repository.Read("docs", "security.md")).Select(match => match.Groups[1].Value).ToList();

        Assert.InRange(tests.Count, 300, 10_000);
        Assert.InRange(named.Count, 40, 1_000);
        Assert.Empty(named.Except(tests));
    }

    [Fact]
    public void Every_threat_names_a_test() =>
        Assert.All(Repository.Table("docs/security.md", "## Threats"), row => Assert.True(row.Length == 3 && (row[2].Length > 20 && row[2].Contains("Tests.", StringComparison.Ordinal)), row[0]));

    [Fact]
    public void Every_link_leads_somewhere()
    {
        foreach (var file in s_documents)
        {
            Assert.All(Links().Matches(Repository.Read(file.Split('/'))).Select(match => match.Groups[1].Value), link =>
                Assert.True(File.Exists(Path.Combine(Repository.Root, Path.GetDirectoryName(file)!, link)), $"{file}: {link}"));
        }
    }

    [GeneratedRegex(@"\[(?:Skippable)?(?:Fact|Theory)[^\]]*\](?:\s*\[[^\n]*)*\s*(?:public|internal) [\w<> ]+ (\w+)\(")]
    private static partial Regex Tests();

    [GeneratedRegex(@"`(\w+Tests\.\w+)`")]
    private static partial Regex Named();

    [GeneratedRegex(@"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")]
    private static partial Regex Links();
}
