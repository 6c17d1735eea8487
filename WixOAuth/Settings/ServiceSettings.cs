using System.Text.RegularExpressions;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Microsoft.Extensions.Configuration;
using WixOAuth.Instances;

namespace WixOAuth.Settings;

/// <summary>
/// The settings of the contract: read once, checked together when the program starts.
/// </summary>
internal sealed partial class ServiceSettings(SettingsReader reader)
{
    public WixOptions Wix { get; } = new(reader);
    public KeyVaultOptions KeyVault { get; } = new(reader);
    public TablesOptions Tables { get; } = new();
    public BackupOptions Backup { get; } = new();
    public SweepOptions Sweep { get; } = new();
    public TokensOptions Tokens { get; } = new(reader);
    public EventsOptions Events { get; } = new(reader);

    /// <summary>What is wrong, a line for each bad setting: its name and what it should be, never its value.</summary>
    public IReadOnlyList<string> Problems { get; } = reader.Problems;

    /// <summary>The names of all settings of the service, with <c>__</c>, in any case.</summary>
    public IReadOnlySet<string> Names { get; } = reader.Names;

    public static ServiceSettings Read(IConfiguration configuration)
    {
        var reader = new SettingsReader(configuration);
        var settings = new ServiceSettings(reader);
        settings.ReadTables(reader);
        settings.ReadBackup(reader);
        settings.ReadSweep(reader);
        settings.Check(reader);
        return settings;
    }

    private void ReadTables(SettingsReader reader)
    {
        Tables.ServiceUri = reader.Url("Tables__ServiceUri", null);
        Tables.ConnectionString = Connection(reader, "Tables__ConnectionString", text => new TableClient(text, "name"));
        if ((reader.Text("Tables__ServiceUri") is null) == (reader.Text("Tables__ConnectionString") is null))
        {
            reader.Problem("Tables__ServiceUri or Tables__ConnectionString", "should be given, and only one of the two");
        }

        Tables.Name = reader.Parse(
            "Tables__Name", Tables.Name, "should be 3 to 63 letters and digits, a letter first", text => (TableName().IsMatch(text), text));
    }

    private void ReadBackup(SettingsReader reader)
    {
        Backup.ServiceUri = reader.Url("Backup__ServiceUri", null);
        Backup.ConnectionString = Connection(reader, "Backup__ConnectionString", text => new BlobServiceClient(text));
        if (reader.Text("Backup__ServiceUri") is not null && reader.Text("Backup__ConnectionString") is not null)
        {
            reader.Problem("Backup__ServiceUri and Backup__ConnectionString", "should not both be given");
        }

        Backup.Container = reader.Parse(
            "Backup__Container",
            Backup.Container,
            "should be 3 to 63 lower-case letters, digits and single hyphens, a letter or digit first and last",
            text => (text.Length is >= 3 and <= 63 && ContainerName().IsMatch(text), text));
    }

    private void ReadSweep(SettingsReader reader)
    {
        Sweep.ServiceUri = reader.Url("Sweep__queueServiceUri", null);
        Sweep.ConnectionString = Connection(reader, "Sweep", text => new QueueServiceClient(text));
        var isDisabled = reader.Flag("AzureWebJobs.RefreshShard.Disabled", false);
        if (Tokens.SweepBy == SweepBy.Timer)
        {
            return;
        }

        if ((reader.Text("Sweep__queueServiceUri") is null) == (reader.Text("Sweep") is null))
        {
            reader.Problem("Sweep__queueServiceUri or Sweep", "should be given, and only one of the two, where Tokens__SweepBy is Queue");
        }

        if (isDisabled)
        {
            reader.Problem("AzureWebJobs.RefreshShard.Disabled", "should not be true where Tokens__SweepBy is Queue: nothing would sweep");
        }
    }

    // Settings that go together, or do not.
    private void Check(SettingsReader reader)
    {
        if (Wix.PreferredGrant == Grant.ClientCredentials && !Wix.ClientCredentialsFallback)
        {
            reader.Problem("Wix__ClientCredentialsFallback", "should not be false together with Wix__PreferredGrant=ClientCredentials");
        }

        if (KeyVault.VaultUri is { AbsolutePath: not "/" })
        {
            reader.Problem("KeyVault__VaultUri", "should be the vault's URL without a path, as https://name.vault.azure.net");
        }

        if (Wix.WebhookPublicKeyName.Length == 0)
        {
            return;
        }

        if (reader.Text("KeyVault__VaultUri") is null)
        {
            reader.Problem("Wix__WebhookPublicKeyName", "should be given only together with KeyVault__VaultUri");
        }
        else if (reader.Text("Wix__WebhookPublicKey") is not null)
        {
            reader.Problem("Wix__WebhookPublicKey", "should not be given together with Wix__WebhookPublicKeyName");
        }
    }

    // A text that the SDK refuses would fail at the first use, in every function that depends on it.
    private static ConnectionString? Connection(SettingsReader reader, string name, Func<string, object> openClient) => reader.Parse<ConnectionString?>(
        name, null, "should be a storage connection string, or UseDevelopmentStorage=true", text =>
        {
            try
            {
                openClient(text);
                return (Credential().IsMatch(text), new ConnectionString(text));
            }
            catch (Exception)
            {
                // Of several types, and not told: the message may quote the text.
                return (false, null);
            }
        });

    [GeneratedRegex(@"\A[A-Za-z][A-Za-z0-9]{2,62}\z")]
    private static partial Regex TableName();

    [GeneratedRegex(@"\A[a-z0-9]+(-[a-z0-9]+)*\z")]
    private static partial Regex ContainerName();

    // The SDK takes a text without a credential for anonymous access.
    [GeneratedRegex(@"(\A|;)(UseDevelopmentStorage=true|(AccountKey|SharedAccessSignature)=[^;])", RegexOptions.IgnoreCase)]
    private static partial Regex Credential();
}
