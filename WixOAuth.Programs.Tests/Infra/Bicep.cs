using System.Diagnostics;
using System.Reflection;
using System.Text.Json;

namespace WixOAuth.Programs.Tests.Infra;

/// <summary>Runs the Bicep CLI on <c>infra/</c>, and keeps what it made of it.</summary>
internal static class Bicep
{
    public static readonly string Root = Repository.Root;
    public static readonly string Folder = Path.Combine(Root, "infra");

    private static readonly string? s_cli = typeof(Bicep).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .SingleOrDefault(metadata => metadata.Key == "BicepCli")?.Value;

    private static readonly Lazy<Task<JsonElement>> s_template = new(CompileAsync);
    private static readonly Lazy<Task<Deployment>> s_usual = new(() => PredictAsync());
    private static readonly Lazy<Task<Deployment>> s_guarded = new(() => PredictAsync(
        ("PRIVATE_NETWORK", "true"),
        ("ENTRA_CLIENT_ID", "00000000-aaaa-0000-0000-000000000000"),
        ("ENTRA_ALLOWED_APPLICATIONS", "[\"00000000-bbbb-0000-0000-000000000000\"]"),
        ("CUSTOM_DOMAIN", "apps.example.com"),
        ("VAULT_OFFICER_PRINCIPAL_ID", "00000000-cccc-0000-0000-000000000000"),
        ("SWEEP_BY", "Queue"),
        ("ALWAYS_READY_SHARD_INSTANCES", "2")));

    /// <summary>What azd up would deploy with these settings, besides the few that it needs.</summary>
    public static Task<Deployment> WithAsync(params (string Name, string Value)[] environment) => PredictAsync(environment);

    /// <summary>The ARM template of main.bicep.</summary>
    public static Task<JsonElement> Template => s_template.Value;

    /// <summary>What azd up would deploy, with the fewest settings that it needs.</summary>
    public static Task<Deployment> Usual => s_usual.Value;

    /// <summary>The same with a private network, Entra ID, a domain, a vault officer and the sweep by queue.</summary>
    public static Task<Deployment> Guarded => s_guarded.Value;

    public static void SkipIfMissing() =>
        Skip.If(s_cli is null, "The Bicep CLI is downloaded as the package Azure.Bicep.CommandLine.linux-x64, for Linux on x64 only.");

    public static async Task<(int ExitCode, string Output, string Diagnostics)> RunAsync(
        IEnumerable<string> arguments, params (string Name, string Value)[] environment)
    {
        SkipIfMissing();
        if (!OperatingSystem.IsWindows())
        {
            // NuGet unpacks without the right to run.
            File.SetUnixFileMode(s_cli!, File.GetUnixFileMode(s_cli!) | UnixFileMode.UserExecute);
        }

        var start = new ProcessStartInfo(s_cli!, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        (string Name, string Value)[] needed =
        [
            ("AZURE_ENV_NAME", "test"),
            ("AZURE_LOCATION", "westeurope"),
            ("AZURE_PRINCIPAL_ID", "00000000-dddd-0000-0000-000000000000"),
            ("WIX_APP_ID", "00000000-eeee-0000-0000-000000000000"),
            ("ALERT_EMAIL", "operators@example.com"),
        ];
        foreach (var (name, value) in needed.Concat(environment))
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return (process.ExitCode, output, await error);
    }

    /// <summary>The folder once more, for what writes into it.</summary>
    public static DirectoryInfo Copy()
    {
        var copy = Directory.CreateTempSubdirectory();
        foreach (var file in Directory.EnumerateFiles(Folder, "*", SearchOption.AllDirectories))
        {
            var to = Path.Combine(copy.FullName, Path.GetRelativePath(Folder, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(file, to);
        }

        return copy;
    }

    /// <summary>The resources of a template and of its modules, with their expressions.</summary>
    public static IEnumerable<JsonElement> ResourcesOf(JsonElement template)
    {
        var resources = template.GetProperty("resources");
        var here = resources.ValueKind == JsonValueKind.Array ? resources.EnumerateArray() : resources.EnumerateObject().Select(each => each.Value);
        return here.SelectMany(resource =>
            resource.At("type") == "Microsoft.Resources/deployments"
                ? ResourcesOf(resource.GetProperty("properties").GetProperty("template"))
                : [resource]);
    }

    private static async Task<JsonElement> CompileAsync()
    {
        var (exitCode, output, diagnostics) = await RunAsync(["build", Path.Combine(Folder, "main.bicep"), "--stdout"]);
        Assert.True(exitCode == 0, diagnostics);
        return JsonDocument.Parse(output).RootElement;
    }

    private static async Task<Deployment> PredictAsync(params (string Name, string Value)[] environment)
    {
        // The CLI writes the prediction next to what it read.
        var copy = Copy();
        try
        {
            var (exitCode, _, diagnostics) = await RunAsync(
                [
                    "snapshot", Path.Combine(copy.FullName, "main.bicepparam"), "--mode", "overwrite", "--location", "westeurope",
                    "--subscription-id", "00000000-0000-0000-0000-000000000001", "--tenant-id", "00000000-0000-0000-0000-000000000002",
                ],
                environment);
            Assert.True(exitCode == 0, diagnostics);
            var snapshot = await File.ReadAllTextAsync(Path.Combine(copy.FullName, "main.snapshot.json"));
            return new Deployment(JsonDocument.Parse(snapshot).RootElement.GetProperty("predictedResources"));
        }
        finally
        {
            copy.Delete(recursive: true);
        }
    }
}

/// <summary>The resources of a deployment, as Bicep foretells them; what only Azure can tell is still an expression.</summary>
internal sealed class Deployment(JsonElement resources)
{
    public IReadOnlyList<JsonElement> All { get; } = [.. resources.EnumerateArray()];

    public IReadOnlyList<JsonElement> Of(string type)
    {
        var found = All.Where(resource => resource.GetProperty("type").GetString() == type).ToList();
        Assert.NotEmpty(found);
        return found;
    }

    public JsonElement Named(string type, string nameEnd) =>
        Assert.Single(Of(type), resource => resource.GetProperty("name").GetString()!.EndsWith(nameEnd, StringComparison.Ordinal));

    public IReadOnlyDictionary<string, string> AppSettings =>
        Named("Microsoft.Web/sites/config", "/appsettings").GetProperty("properties").EnumerateObject()
            .ToDictionary(setting => setting.Name, setting => setting.Value.GetString()!);
}

internal static class Json
{
    /// <summary>The value at a path of property names, as text; null where there is none.</summary>
    public static string? At(this JsonElement element, string path)
    {
        foreach (var name in path.Split('.'))
        {
            if (!element.TryGetProperty(name, out element))
            {
                return null;
            }
        }

        return element.ToString();
    }
}
