using System.Diagnostics;
using System.Globalization;
using StandardWebhooks;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>
/// The client in a published program, with warnings as errors: trimmed, on the runtime of .NET 8, which needs none
/// installed; and compiled ahead of time for .NET 10, where a C compiler is there to link it.
/// </summary>
[Collection(nameof(LocalProgram))]
public sealed class PublishedTests(LocalProgram program) : IDisposable
{
    private const string Secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    /// <summary>NuGet: the registry cannot be reached, or does not have the package.</summary>
    private static readonly string[] s_notServed = ["NU1101", "NU1102", "NU1301"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("wixoauth-published-");

    public void Dispose() => _folder.Delete(recursive: true);

    [SkippableTheory]
    [InlineData("net8.0", "PublishTrimmed", ".NET 8.", "JIT")]
    [InlineData("net10.0", "PublishAot", ".NET 10.", "AOT")]
    public async Task A_published_program_gets_a_token_and_verifies_an_event(string framework, string how, string runtime, string mode)
    {
        Skip.If(how == "PublishAot" && !HasCompiler(), "Neither clang nor gcc is installed, one of which links a program that is compiled ahead of time.");
        var instance = await program.InstallAsync("Published");
        var binary = await PublishAsync(framework, how);

        var lines = await RunAsync(binary, instance);

        Assert.StartsWith(runtime, lines[0], StringComparison.Ordinal);
        Assert.EndsWith(mode, lines[0], StringComparison.Ordinal);
        Assert.StartsWith("200 ", lines[1], StringComparison.Ordinal);
        Assert.Contains("\"siteDisplayName\":\"Published\"", lines[1], StringComparison.Ordinal);
        Assert.Equal(["UnknownInstanceException unknown_instance", "instance.connected of Ann's Café"], lines[2..]);
    }

    private async Task<string> PublishAsync(string framework, string how)
    {
        var configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        string[] options =
        [
            Path.Combine(Repository.Root, "WixOAuth.Client.Tests", "Published"), "--artifacts-path", _folder.FullName, "--disable-build-servers",
            $"-p:TargetFramework={framework}", $"-p:{how}=true", $"-p:ClientOutput={Path.Combine(Repository.Root, "WixOAuth.Client", "bin", configuration)}",
        ];
        var (exitCode, output) = await DotNetAsync(["restore", .. options]);
        Skip.If(s_notServed.Any(code => output.Contains(code, StringComparison.Ordinal)), $"NuGet does not serve what publishing for {framework} takes: {output}");
        Assert.True(exitCode == 0, output);
        var published = Path.Combine(_folder.FullName, "program");
        (exitCode, output) = await DotNetAsync(["publish", .. options, "--no-restore", "--output", published]);
        Assert.True(exitCode == 0, output);
        return Path.Combine(published, OperatingSystem.IsWindows() ? "WixOAuth.Published.exe" : "WixOAuth.Published");
    }

    private async Task<string[]> RunAsync(string binary, Guid instance)
    {
        var now = TimeProvider.System.GetUtcNow();
        var body = $$$"""
            {"specversion":"1.0","id":"e-1","source":"{{{program.Url}}}","type":"instance.connected","time":"2026-05-04T03:07:00Z","subject":"{{{instance}}}",
            "datacontenttype":"application/json","data":{"instance_id":"{{{instance}}}","customer":null,"site":{"id":"s","name":"Ann's Café","url":null},"reason":"consent"}}
            """;
        string[] arguments =
        [
            program.Url.ToString(), LocalProgram.FunctionKey, program.WixUrl.ToString(), instance.ToString(), Secret,
            "e-1", now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture), new StandardWebhook(Secret).Sign("e-1", now, body),
        ];
        var (exitCode, output) = await RunAsync(new ProcessStartInfo(binary, arguments) { RedirectStandardInput = true }, body);
        Assert.True(exitCode == 0, output);
        return output.TrimEnd().ReplaceLineEndings("\n").Split('\n');
    }

    private static Task<(int ExitCode, string Output)> DotNetAsync(string[] arguments) => RunAsync(new ProcessStartInfo("dotnet", arguments), input: null);

    private static async Task<(int ExitCode, string Output)> RunAsync(ProcessStartInfo start, string? input)
    {
        (start.RedirectStandardOutput, start.RedirectStandardError) = (true, true);
        using var process = Process.Start(start)!;
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        if (input is not null)
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
        }

        await process.WaitForExitAsync();
        return (process.ExitCode, await output + await errors);
    }

    private static bool HasCompiler() => Environment.GetEnvironmentVariable("PATH")!.Split(Path.PathSeparator)
        .Any(folder => File.Exists(Path.Combine(folder, "clang")) || File.Exists(Path.Combine(folder, "gcc")));
}
