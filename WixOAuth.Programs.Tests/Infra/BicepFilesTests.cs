namespace WixOAuth.Programs.Tests.Infra;

/// <summary>All Bicep files build, lint and are formatted. A misspelt property is only a warning, so none is let pass.</summary>
public class BicepFilesTests
{
    [SkippableTheory]
    [InlineData("build", "main.bicep")]
    [InlineData("build-params", "main.bicepparam")]
    public async Task It_builds_without_a_diagnostic(string command, string file)
    {
        var (exitCode, _, diagnostics) = await Bicep.RunAsync([command, Path.Combine(Bicep.Folder, file), "--stdout"]);

        Assert.Equal("", diagnostics);
        Assert.Equal(0, exitCode);
    }

    [SkippableFact]
    public async Task Every_file_lints_without_a_diagnostic()
    {
        var (exitCode, output, diagnostics) = await Bicep.RunAsync(["lint", "--pattern", Path.Combine(Bicep.Folder, "**", "*.bicep*")]);

        Assert.Equal("", output + diagnostics);
        Assert.Equal(0, exitCode);
    }

    [SkippableFact]
    public async Task Every_file_is_formatted()
    {
        var copy = Bicep.Copy();
        try
        {
            var (exitCode, _, diagnostics) = await Bicep.RunAsync(
                ["format", "--pattern", Path.Combine(copy.FullName, "**", "*.bicep*"), "--insert-final-newline"]);

            Assert.Equal("", diagnostics);
            Assert.Equal(0, exitCode);
            var files = Directory.GetFiles(Bicep.Folder, "*.bicep*", SearchOption.AllDirectories);
            Assert.NotEmpty(files);
            Assert.All(files, file => Assert.Equal(
                File.ReadAllText(file), File.ReadAllText(Path.Combine(copy.FullName, Path.GetRelativePath(Bicep.Folder, file)))));
        }
        finally
        {
            copy.Delete(recursive: true);
        }
    }
}
