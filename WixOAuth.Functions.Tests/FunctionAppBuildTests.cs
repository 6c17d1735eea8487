using System.Diagnostics;

namespace WixOAuth.Functions.Tests;

/// <summary>Whether the real Function App builds, where the registry has the worker's packages.</summary>
public class FunctionAppBuildTests
{
    [SkippableFact]
    public async Task The_Function_App_builds_where_the_registry_has_its_packages()
    {
        var root = FindRoot();
        var (exitCode, output) = await DotnetAsync(root, "restore", "WixOAuth.Functions", "-v", "quiet", "-p:TreatWarningsAsErrors=true");
        var missing = output.Split('\n').FirstOrDefault(line => line.Contains("NU1101", StringComparison.Ordinal)
            || line.Contains("NU1102", StringComparison.Ordinal) || line.Contains("NU1103", StringComparison.Ordinal) || line.Contains("NU1603", StringComparison.Ordinal));
        Skip.If(exitCode != 0 && missing is not null, $"The package registry lacks the worker's packages: {missing?.Trim()}");
        Assert.True(exitCode == 0, output);

        (exitCode, output) = await DotnetAsync(root, "build", "WixOAuth.Functions", "--no-restore", "-v", "quiet");
        Assert.True(exitCode == 0, output);
    }

    private static async Task<(int ExitCode, string Output)> DotnetAsync(string root, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("dotnet", arguments)
        {
            WorkingDirectory = root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output + await error);
    }

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "WixOAuth.slnx")))
        {
            folder = folder.Parent!;
        }

        return folder.FullName;
    }
}
