using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text.RegularExpressions;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Functions.Tests.Conventions;

/// <summary>Each line of BannedSymbols.txt names something that there is, and the compiler refuses it.</summary>
public sealed partial class BannedSymbolsTests
{
    /// <summary>A line of code that uses each banned symbol.</summary>
    private static readonly Dictionary<string, string> s_uses = new()
    {
        ["P:System.DateTime.Now"] = "_ = System.DateTime.Now;",
        ["P:System.DateTime.UtcNow"] = "_ = System.DateTime.UtcNow;",
        ["P:System.DateTime.Today"] = "_ = System.DateTime.Today;",
        ["P:System.DateTimeOffset.Now"] = "_ = System.DateTimeOffset.Now;",
        ["P:System.DateTimeOffset.UtcNow"] = "_ = System.DateTimeOffset.UtcNow;",
        ["M:System.Threading.Thread.Sleep(System.Int32)"] = "System.Threading.Thread.Sleep(1);",
        ["M:System.Threading.Thread.Sleep(System.TimeSpan)"] = "System.Threading.Thread.Sleep(span);",
        ["M:System.Threading.Tasks.Task.Delay(System.Int32)"] = "await System.Threading.Tasks.Task.Delay(1);",
        ["M:System.Threading.Tasks.Task.Delay(System.Int32,System.Threading.CancellationToken)"] = "await System.Threading.Tasks.Task.Delay(1, token);",
        ["M:System.Threading.Tasks.Task.Delay(System.TimeSpan)"] = "await System.Threading.Tasks.Task.Delay(span);",
        ["M:System.Threading.Tasks.Task.Delay(System.TimeSpan,System.Threading.CancellationToken)"] = "await System.Threading.Tasks.Task.Delay(span, token);",
        ["M:System.Guid.TryParse(System.String,System.Guid@)"] = "System.Guid.TryParse(\"\", out _);",
        ["M:System.Threading.Tasks.Task.Wait"] = "task.Wait();",
        ["M:System.Threading.Tasks.Task.Wait(System.Int32)"] = "task.Wait(1);",
        ["M:System.Threading.Tasks.Task.Wait(System.TimeSpan)"] = "task.Wait(span);",
        ["M:System.Threading.Tasks.Task.Wait(System.Threading.CancellationToken)"] = "task.Wait(token);",
        ["M:System.Threading.Tasks.Task.WaitAll(System.Threading.Tasks.Task[])"] = "System.Threading.Tasks.Task.WaitAll(new[] { task });",
        ["P:System.Threading.Tasks.Task`1.Result"] = "_ = number.Result;",
        ["M:System.Runtime.CompilerServices.TaskAwaiter.GetResult"] = "task.GetAwaiter().GetResult();",
        ["M:System.Runtime.CompilerServices.TaskAwaiter`1.GetResult"] = "number.GetAwaiter().GetResult();",
        ["P:System.Threading.Tasks.ValueTask`1.Result"] = "_ = value.Result;",
        ["M:System.Runtime.CompilerServices.ValueTaskAwaiter.GetResult"] = "default(System.Threading.Tasks.ValueTask).GetAwaiter().GetResult();",
        ["M:System.Runtime.CompilerServices.ValueTaskAwaiter`1.GetResult"] = "value.GetAwaiter().GetResult();",
        ["M:System.Buffers.Text.Base64Url.TryDecodeFromChars(System.ReadOnlySpan{System.Char},System.Span{System.Byte},System.Int32@)"] =
            "System.Buffers.Text.Base64Url.TryDecodeFromChars(\"\", new byte[1], out _);",
    };

    /// <summary>What has to stay allowed.</summary>
    private static readonly string[] s_allowed =
    [
        "await task;", "_ = await number;", "_ = await value;", "await task.ConfigureAwait(false);",
        "await System.Threading.Tasks.Task.Delay(span, System.TimeProvider.System, token);", "_ = System.TimeProvider.System.GetUtcNow();",
    ];

    private static readonly string[] s_references = ["System.Private.CoreLib", "System.Runtime", "System.Memory"];

    [SkippableFact]
    public async Task Every_banned_symbol_is_refused_by_the_compiler()
    {
        var banned = Repository.Read("BannedSymbols.txt").ReplaceLineEndings("\n").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split(';')[0]);
        Assert.Equal(s_uses.Keys.Order(StringComparer.Ordinal), banned.Order(StringComparer.Ordinal));
        string[] lines =
        [
            "class Uses { async System.Threading.Tasks.Task All(System.TimeSpan span, System.Threading.CancellationToken token, System.Threading.Tasks.Task task,"
                + " System.Threading.Tasks.Task<int> number, System.Threading.Tasks.ValueTask<int> value) {",
            .. s_uses.Values,
            .. s_allowed,
            "} }",
        ];

        var refused = await RefusedLinesAsync(lines);

        Assert.Equal(s_uses.Values, refused.Select(number => lines[number - 1]));
    }

    [Fact]
    public void A_banned_symbol_fails_the_build()
    {
        var settings = Repository.Read("Directory.Build.props");

        Assert.Contains("<TreatWarningsAsErrors>true</TreatWarningsAsErrors>", settings, StringComparison.Ordinal);
        Assert.Contains("""<AdditionalFiles Include="$(MSBuildThisFileDirectory)BannedSymbols.txt" />""", settings, StringComparison.Ordinal);
        Assert.DoesNotContain("RS0030", settings + Repository.Read(".editorconfig") + Repository.Read("WixOAuth", "WixOAuth.csproj"), StringComparison.Ordinal);
        Assert.DoesNotContain(Repository.Sources("WixOAuth").Concat(Repository.Sources("WixOAuth.Functions")), file => File.ReadAllText(file).Contains("RS0030", StringComparison.Ordinal));
    }

    private static async Task<List<int>> RefusedLinesAsync(string[] lines)
    {
        var compiler = MetadataOf("Compiler");
        Skip.IfNot(File.Exists(compiler), "The compiler of the .NET SDK is not where the SDK has it.");
        using var folder = new TemporaryFolder();
        var source = Path.Combine(folder.Path, "Uses.cs");
        await File.WriteAllLinesAsync(source, lines);
        var runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        var options = Path.Combine(folder.Path, "options.rsp");
        await File.WriteAllLinesAsync(options,
        [
            "-nologo", "-target:library", $"-out:\"{Path.Combine(folder.Path, "Uses.dll")}\"",
            $"-additionalfile:\"{Path.Combine(Repository.Root, "BannedSymbols.txt")}\"",
            .. Directory.GetFiles(MetadataOf("BannedApiAnalyzers"), "*.dll").Select(analyzer => $"-analyzer:\"{analyzer}\""),
            .. s_references.Select(name => $"-reference:\"{Path.Combine(runtime, name + ".dll")}\""),
            $"\"{source}\"",
        ]);
        using var process = Process.Start(new ProcessStartInfo("dotnet", [compiler, "-noconfig", $"@{options}"]) { RedirectStandardOutput = true })!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.DoesNotContain(" error ", output, StringComparison.Ordinal);
        return [.. Refusal().Matches(output).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)).Distinct().Order()];
    }

    private static string MetadataOf(string key) =>
        typeof(BannedSymbolsTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(metadata => metadata.Key == key).Value!;

    [GeneratedRegex(@"Uses\.cs\((\d+),\d+\): warning RS0030")]
    private static partial Regex Refusal();
}
