using System.Diagnostics;
using System.Reflection;

namespace WixOAuth.Client.Tests;

/// <summary>The SDK's C# compiler.</summary>
internal static class Compiler
{
    private static readonly string s_compiler =
        typeof(Compiler).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(each => each.Key == "Compiler").Value!;

    /// <summary>Compiles a library that may use what these tests may, and loads it.</summary>
    /// <param name="source">Its source.</param>
    /// <param name="files">Generated sources to compile with it; then warnings do not count.</param>
    public static async Task<Assembly> CompileAsync(string source, params string[] files)
    {
        var folder = Directory.CreateTempSubdirectory("wixoauth-compile-").FullName;
        try
        {
            var (input, output) = (Path.Combine(folder, "source.cs"), Path.Combine(folder, "snippet.dll"));
            await File.WriteAllTextAsync(input, source);
            var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(file => $"-reference:{file}");
            var arguments = Path.Combine(folder, "arguments.rsp");
            await File.WriteAllLinesAsync(arguments, [.. references, "-nologo", "-target:library", "-nullable:enable", files.Length > 0 ? "-warn:0" : "-warnaserror", "-nowarn:1701", $"-out:{output}", input, .. files]);
            using var process = Process.Start(new ProcessStartInfo("dotnet", [s_compiler, $"@{arguments}"]) { RedirectStandardOutput = true })!;
            var problems = await process.StandardOutput.ReadToEndAsync();
            await process.WaitForExitAsync();
            Assert.Equal("", problems);
            return Assembly.Load(await File.ReadAllBytesAsync(output));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
