using System.Text.Json;
using Azure.Core;
using Azure.Data.Tables;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Cli;

/// <summary>
/// The table, the copies and the keys of a deployment, reached directly with the service's own settings: from the
/// environment, then from a file in the form of local.settings.json.
/// </summary>
internal sealed class Deployment : IDisposable
{
    /// <summary>What WixOAuth.Local leaves in its data folder while it runs: see its <c>LocalSettings.DataFolder</c>.</summary>
    private static readonly string[] s_laptopFiles = [".data/settings.json", ".data/wix/settings.json", ".data/pretend/settings.json"];

    private static readonly JsonDocumentOptions s_lenient = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };
    private readonly Lazy<ServiceProvider> _services;
    private readonly Lazy<TokenCredential> _credential;

    private Deployment(IConfiguration configuration, Lazy<TokenCredential> credential)
    {
        _credential = credential;
        Settings = ServiceSettings.Read(configuration);
        _services = new Lazy<ServiceProvider>(() => new ServiceCollection().AddLogging().AddSecrets(Settings).BuildServiceProvider());
    }

    public ServiceSettings Settings { get; }

    public IKeyRing Keys => _services.Value.GetRequiredService<IKeyRing>();

    public TokenProtector Protector => _services.Value.GetRequiredService<TokenProtector>();

    /// <summary>Reads the settings, and refuses those of the named sections that are missing or bad.</summary>
    /// <exception cref="BadUseException">Settings are missing or bad.</exception>
    public static Deployment Read(CliEnvironment environment, string? file, params string[] sections)
    {
        // The commands do not use the app secret, but without a vault AddSecrets refuses settings that have none.
        var given = ReadConfiguration(environment, file);
        var appSecret = string.IsNullOrWhiteSpace(given["KeyVault:VaultUri"]) ? "not used" : "";
        var configuration = new ConfigurationBuilder().AddConfiguration(given).AddInMemoryCollection([new("Wix:AppSecret", appSecret)]).Build();
        var deployment = new Deployment(configuration, environment.Credential);
        var problems = deployment.Settings.Problems.Where(problem => sections.Any(section => problem.StartsWith(section + "__", StringComparison.Ordinal))).ToList();
        if (sections.Contains("Backup") && !deployment.Settings.Backup.IsConfigured)
        {
            problems.Add("Backup__ServiceUri or Backup__ConnectionString should be given: the blob service that the copies are in.");
        }

        return problems.Count == 0
            ? deployment
            : throw new BadUseException($"{string.Join('\n', problems)}\nSet these in the environment as the service has them, or name a file with --settings.");
    }

    /// <summary>The environment over the file; without a file, local.settings.json or what a running WixOAuth.Local has left.</summary>
    public static IConfiguration ReadConfiguration(CliEnvironment environment, string? file)
    {
        if (file is not null && !File.Exists(file))
        {
            throw new BadUseException($"There is no file {file}.");
        }

        // What is blank in one file may be given in the next.
        string[] files = file is not null ? [file] : [.. new[] { "local.settings.json", s_laptopFiles.FirstOrDefault(File.Exists) }.OfType<string>().Where(File.Exists)];
        var values = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, value) in files.SelectMany(ReadValues))
        {
            if (string.IsNullOrWhiteSpace(values.GetValueOrDefault(name)))
            {
                values[name] = value;
            }
        }

        environment.Say($"Settings: {string.Join(", then ", files.Prepend("the environment"))}.");
        return new ConfigurationBuilder().AddInMemoryCollection(values).AddConfiguration(environment.Variables).Build();
    }

    public TableClient OpenTable(string? name = null)
    {
        var options = new TablesOptions { ServiceUri = Settings.Tables.ServiceUri, ConnectionString = Settings.Tables.ConnectionString, Name = name ?? Settings.Tables.Name };
        return TableConnection.Open(options, options.ServiceUri is null ? null : _credential.Value);
    }

    public BackupContainer OpenCopies() => BackupContainer.Open(Settings.Backup, Settings.Backup.ServiceUri is null ? null : _credential.Value);

    public void Dispose()
    {
        if (_services.IsValueCreated)
        {
            _services.Value.Dispose();
        }
    }

    private static List<KeyValuePair<string, string?>> ReadValues(string file)
    {
        try
        {
            // A stream may begin with a byte order mark, which Windows' editors write; an array may not.
            using var content = File.OpenRead(file);
            using var document = JsonDocument.Parse(content, s_lenient);
            return [.. document.RootElement.GetProperty("Values").EnumerateObject().Select(value => KeyValuePair.Create(Colons(value.Name), (string?)value.Value.ToString()))];
        }
        catch (Exception exception) when (exception is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            // Without the cause, which may quote a secret.
            throw new BadUseException($"{file} is not a settings file: JSON with an object \"Values\".");
        }
    }

    private static string Colons(string name) => name.Replace("__", ":", StringComparison.Ordinal);
}
