using System.Diagnostics;
using System.Text.Json;
using WixOAuth.Local;

namespace WixOAuth.Functions.Tests;

/// <summary>The real Function App, where the registry has the worker's packages.</summary>
public sealed class FunctionAppBuildTests
{
    [SkippableFact]
    public async Task The_Function_App_builds_and_tells_the_host_of_the_functions_that_run_here()
    {
        var root = FindRoot();
        var (exitCode, output) = await DotnetAsync(root, "restore", "WixOAuth.Functions", "-v", "quiet", "-p:TreatWarningsAsErrors=true");
        var missing = output.Split('\n').FirstOrDefault(line => line.Contains("NU1101", StringComparison.Ordinal)
            || line.Contains("NU1102", StringComparison.Ordinal) || line.Contains("NU1103", StringComparison.Ordinal) || line.Contains("NU1603", StringComparison.Ordinal));
        Skip.If(exitCode != 0 && missing is not null, $"The package registry lacks the worker's packages: {missing?.Trim()}");
        Assert.True(exitCode == 0, output);

        var built = Directory.CreateTempSubdirectory("wixoauth-functions-");
        try
        {
            (exitCode, output) = await DotnetAsync(root, "build", "WixOAuth.Functions", "--no-restore", "-v", "quiet", "-o", built.FullName);
            Assert.True(exitCode == 0, output);
            Assert.Equal(FunctionsOf(FunctionMap.Of(typeof(LocalHost).Assembly)), FunctionsOf(built.FullName));
        }
        finally
        {
            built.Delete(recursive: true);
        }
    }

    private static IEnumerable<string> FunctionsOf(FunctionMap map) =>
        map.Http.Select(function => $"{function.Name} {function.Trigger.AuthLevel} {string.Join(',', function.Trigger.Methods)} {function.Trigger.Route}")
            .Concat(map.Timers.Select(function => $"{function.Name} {function.Trigger.Schedule}"))
            .Order(StringComparer.Ordinal);

    // What the build found by the attributes is all that the Functions host knows of the functions.
    private static List<string> FunctionsOf(string folder)
    {
        using var functions = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "functions.metadata")));
        return functions.RootElement.EnumerateArray().Select(function =>
        {
            var trigger = function.GetProperty("bindings")[0];
            return function.GetProperty("name").GetString() + (trigger.GetProperty("type").GetString() == "timerTrigger"
                ? $" {trigger.GetProperty("schedule").GetString()}"
                : $" {trigger.GetProperty("authLevel").GetString()} {string.Join(',', trigger.GetProperty("methods").EnumerateArray())} {trigger.GetProperty("route").GetString()}");
        }).Order(StringComparer.Ordinal).ToList();
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
