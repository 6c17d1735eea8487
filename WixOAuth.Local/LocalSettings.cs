using Microsoft.Extensions.Configuration.EnvironmentVariables;

namespace WixOAuth.Local;

/// <summary>
/// The settings as they were given. The command line overrides the environment, which overrides local.settings.json. Missing
/// settings of Azurite and the pretend Wix are filled in when these start.
/// </summary>
internal sealed class LocalSettings
{
    private static readonly Dictionary<string, string?> s_defaults = new()
    {
        ["urls"] = "http://localhost:7071",
        ["RefreshSchedule"] = "0 * * * * *",
        ["HousekeepingSchedule"] = "0 17 3 * * *",
        ["Logging:LogLevel:Default"] = "Information",
        ["Logging:LogLevel:Microsoft"] = "Warning",
        ["Logging:LogLevel:Microsoft.AspNetCore"] = "Warning",
        ["Logging:LogLevel:System.Net.Http"] = "Warning",
        ["Logging:LogLevel:Azure"] = "Warning",
        ["Logging:LogLevel:Polly"] = "Warning",

        // It logs a failed start with its stack trace; the program prints its own line instead.
        ["Logging:LogLevel:Microsoft.Extensions.Hosting.Internal.Host"] = "Critical",
    };

    // Each may be there alone, where the others were given.
    private static readonly string[] s_kept = ["azurite", "protection-key", "function-key"];

    private LocalSettings(IConfigurationRoot configuration, SettingsFile? file = null) => (Configuration, File) = (configuration, file);

    /// <summary>All settings, with <c>:</c> as the separator.</summary>
    public IConfigurationRoot Configuration { get; }

    /// <summary>The folder of host.json and local.settings.json.</summary>
    internal static string Root { get; } = FindRoot();

    internal string Urls => Text("urls")!;

    internal SettingsFile? File { get; }

    /// <summary>
    /// Whether no real Wix is given. A vault means the real one: its app secret could not be read there for a
    /// pretend one.
    /// </summary>
    internal bool UsesPretendWix => Text("Wix__ApiUrl") is null && Text("Wix__AppId") is null && Text("KeyVault__VaultUri") is null;

    /// <summary>
    /// Where keys and data are kept. A real Wix has a separate folder: neither Wix must ever be asked for the sites of the
    /// other. A folder that an earlier version has used for a real Wix alone stays that one's: with tables elsewhere it holds
    /// only keys.
    /// </summary>
    internal DataFolder DataFolder => new(DataFolderIn(Root));

    /// <inheritdoc cref="DataFolder"/>
    internal string DataFolderIn(string root)
    {
        var shared = Path.Combine(root, ".data");
        var isUsed = s_kept.Any(name => Path.Exists(Path.Combine(shared, name)));
        var isReal = isUsed && !System.IO.File.Exists(Path.Combine(shared, "pretend-wix.json"));
        return Text("Local__DataFolder") is { } given ? Path.GetFullPath(given, root)
            : UsesPretendWix != isReal ? shared
            : Path.Combine(shared, isReal ? "pretend" : "wix");
    }

    /// <summary>Reads the command line, the environment and local.settings.json.</summary>
    /// <exception cref="StartFailedException">One of them cannot be read.</exception>
    public static LocalSettings Read(string[] args)
    {
        var given = new ConfigurationBuilder()
            .Add(new EnvironmentVariablesConfigurationSource { Prefix = "ASPNETCORE_" })
            .AddEnvironmentVariables();
        IConfigurationRoot outside;
        try
        {
            outside = given.AddCommandLine([.. args.Select(WithColons)]).Build();
        }
        catch (FormatException)
        {
            // Its message holds the whole argument, which may be a secret.
            throw new StartFailedException("The command line cannot be read: write settings as --Name=value.");
        }

        var file = SettingsFile.Read(Path.GetFullPath(outside["Local:SettingsFile"] ?? "local.settings.json", Root));
        return new LocalSettings(
            new ConfigurationBuilder()
                .AddInMemoryCollection(s_defaults)
                .AddInMemoryCollection(file?.Values ?? [])
                .AddConfiguration(outside)
                .Build(),
            file);
    }

    /// <summary>Takes these settings and looks nowhere else, so that a test does not depend on where it runs.</summary>
    public static LocalSettings From(IEnumerable<KeyValuePair<string, string?>> values) =>
        new(new ConfigurationBuilder()
            .AddInMemoryCollection(s_defaults)
            .AddInMemoryCollection(values.Select(pair => KeyValuePair.Create(Colons(pair.Key), pair.Value)))
            .Build());

    /// <summary>A setting; null when it was not given or is blank.</summary>
    internal string? Text(string name) => Configuration[Colons(name)]?.Trim() is { Length: > 0 } text ? text : null;

    internal string Fill(string name, Func<string> value)
    {
        if (Text(name) is { } given)
        {
            return given;
        }

        var filledIn = value();
        Configuration[Colons(name)] = filledIn;
        return filledIn;
    }

    /// <summary>The prefix of every route, from host.json.</summary>
    internal static string ReadRoutePrefix(string hostJson)
    {
        try
        {
            return (new ConfigurationBuilder().AddJsonFile(hostJson, optional: true).Build()["extensions:http:routePrefix"] ?? "api").Trim('/');
        }
        catch (InvalidDataException exception)
        {
            throw new StartFailedException($"{hostJson} is not a valid host.json.", exception);
        }
    }

    internal static string Colons(string name) => name.Replace("__", ":", StringComparison.Ordinal);

    private static string WithColons(string argument)
    {
        var equals = argument.IndexOf('=', StringComparison.Ordinal);
        return equals < 0
            ? argument.StartsWith('-') ? Colons(argument) : argument
            : Colons(argument[..equals]) + argument[equals..];
    }

    // Above the program's own folder first: a copy of host.json lies beside the program too.
    private static string FindRoot()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory).Parent; folder is not null; folder = folder.Parent)
        {
            if (System.IO.File.Exists(Path.Combine(folder.FullName, "host.json")))
            {
                return folder.FullName;
            }
        }

        return AppContext.BaseDirectory;
    }
}
