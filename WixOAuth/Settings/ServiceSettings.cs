using System.Text.RegularExpressions;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using Azure.Storage.Queues;
using Microsoft.Extensions.Configuration;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Settings;

/// <summary>
/// The settings of the contract: read once, checked together when the program starts.
/// </summary>
internal sealed partial class ServiceSettings
{
    private ServiceSettings(SettingsReader reader) => (Problems, Names) = (reader.Problems, reader.Names);

    public WixOptions Wix { get; } = new();
    public KeyVaultOptions KeyVault { get; } = new();
    public TablesOptions Tables { get; } = new();
    public BackupOptions Backup { get; } = new();
    public SweepOptions Sweep { get; } = new();
    public TokensOptions Tokens { get; } = new();
    public EventsOptions Events { get; } = new();

    /// <summary>What is wrong, a line for each bad setting: its name and what it should be, never its value.</summary>
    public IReadOnlyList<string> Problems { get; }

    /// <summary>The names of all settings of the service, with <c>__</c>, in any case.</summary>
    public IReadOnlySet<string> Names { get; }

    public static ServiceSettings Read(IConfiguration configuration)
    {
        var reader = new SettingsReader(configuration);
        var settings = new ServiceSettings(reader);
        settings.ReadWix(reader);
        settings.ReadTables(reader);
        settings.ReadBackup(reader);
        settings.ReadTokens(reader);
        settings.ReadSweep(reader);
        settings.ReadSecrets(reader);
        settings.ReadEvents(reader);
        return settings;
    }

    private void ReadWix(SettingsReader reader)
    {
        Wix.AppId = reader.Text("Wix__AppId") ?? "";
        if (Wix.AppId.Length == 0 || Wix.AppId.Length > 100 || Wix.AppId.Any(c => !char.IsAsciiLetterOrDigit(c) && c != '-'))
        {
            reader.Problem("Wix__AppId", "should be the app's id from Wix's dashboard: letters, digits and hyphens");
        }

        if (reader.Text("Wix__RedirectUrl") is null)
        {
            reader.Problem("Wix__RedirectUrl", "should be the Redirect URL that is registered with Wix: an absolute https URL (http only for localhost)");
        }
        else
        {
            Wix.RedirectUrl = reader.ExactUrl("Wix__RedirectUrl")!;
        }

        Wix.AppSecretName = SecretName(reader, "Wix__AppSecretName", Wix.AppSecretName);
        Wix.WebhookPublicKeys = reader.Parse<IReadOnlyList<string>>(
            "Wix__WebhookPublicKey", [], "should be an RSA public key as PEM, or base64 of one", text => (PublicKeys.TryRead(text, out var keys), keys));
        Wix.WebhookPublicKeyName = SecretName(reader, "Wix__WebhookPublicKeyName", Wix.WebhookPublicKeyName);
        Wix.ApiUrl = reader.Url("Wix__ApiUrl", Wix.ApiUrl)!;
        Wix.InstallerUrl = reader.Url("Wix__InstallerUrl", Wix.InstallerUrl)!;
        Wix.SetupCompletion = reader.OneOf("Wix__SetupCompletion", Wix.SetupCompletion);
        Wix.PreferredGrant = reader.OneOf("Wix__PreferredGrant", Wix.PreferredGrant);
        Wix.ClientCredentialsFallback = reader.Flag("Wix__ClientCredentialsFallback", Wix.ClientCredentialsFallback);
        if (Wix.PreferredGrant == Grant.ClientCredentials && !Wix.ClientCredentialsFallback)
        {
            reader.Problem("Wix__ClientCredentialsFallback", "should not be false together with Wix__PreferredGrant=ClientCredentials");
        }
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

    private void ReadTokens(SettingsReader reader)
    {
        Tokens.Lifetime = reader.Span("Tokens__Lifetime", Tokens.Lifetime, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1));
        Tokens.IdleAfter = reader.Span("Tokens__IdleAfter", Tokens.IdleAfter, TimeSpan.Zero, TimeSpan.FromDays(3650));
        Tokens.RefreshConcurrency = reader.Number("Tokens__RefreshConcurrency", Tokens.RefreshConcurrency, 1, 1024);
        Tokens.ProtectionKeyName = SecretName(reader, "Tokens__ProtectionKeyName", Tokens.ProtectionKeyName);
    }

    private void ReadEvents(SettingsReader reader)
    {
        // A function app or logic app takes its key there.
        Events.Url = reader.ExactUrl("Events__Url", mayHaveQuery: true);
        Events.SecretName = SecretName(reader, "Events__SecretName", Events.SecretName);
        Events.Secret = Secret(
            reader,
            "Events__Secret",
            reader.Text("Events__Url") is null ? null : "should be given together with Events__Url, or KeyVault__VaultUri with the vault that holds it",
            "should be whsec_ and base64 of 24 to 64 bytes, or two of these separated by a space",
            text => (EventSecrets.IsValid(text), new EventSecrets(text)));
    }

    private void ReadSweep(SettingsReader reader)
    {
        Tokens.SweepBy = reader.OneOf("Tokens__SweepBy", Tokens.SweepBy);
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

    private void ReadSecrets(SettingsReader reader)
    {
        KeyVault.VaultUri = reader.Url("KeyVault__VaultUri", null);
        if (KeyVault.VaultUri is { AbsolutePath: not "/" })
        {
            reader.Problem("KeyVault__VaultUri", "should be the vault's URL without a path, as https://name.vault.azure.net");
        }

        const string Required = "should be given, or KeyVault__VaultUri with the vault that holds it";
        Wix.AppSecret = Secret(reader, "Wix__AppSecret", Required, "", text => (true, new AppSecret(text)));
        Tokens.ProtectionKey = Secret(reader, "Tokens__ProtectionKey", Required, "should be base64 of 32 random bytes", text => (TryKey(text, out var key), key));
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

    private static T? Secret<T>(SettingsReader reader, string name, string? whenMissing, string shouldBe, Func<string, (bool Good, T? Value)> parse)
        where T : class
    {
        var isGiven = reader.Text(name) is not null;
        if (reader.Text("KeyVault__VaultUri") is not null)
        {
            if (isGiven)
            {
                reader.Problem(name, $"should not be given together with KeyVault__VaultUri: put it into the vault under the name of {name}Name");
            }

            return null;
        }

        if (!isGiven && whenMissing is not null)
        {
            reader.Problem(name, whenMissing);
        }

        return reader.Parse(name, null, shouldBe, parse);
    }

    private static string SecretName(SettingsReader reader, string name, string otherwise) =>
        reader.Parse(name, otherwise, "should be 1 to 127 letters, digits and hyphens", text => (VaultName().IsMatch(text), text));

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

    private static bool TryKey(string text, out ProtectionKey? key)
    {
        var bytes = new byte[ProtectionKey.Length];
        key = Convert.TryFromBase64String(text, bytes, out var length) && length == ProtectionKey.Length
            ? new ProtectionKey(ProtectionKey.IdOf(bytes), bytes)
            : null;
        return key is not null;
    }

    [GeneratedRegex(@"\A[A-Za-z][A-Za-z0-9]{2,62}\z")]
    private static partial Regex TableName();

    [GeneratedRegex(@"\A[a-z0-9]+(-[a-z0-9]+)*\z")]
    private static partial Regex ContainerName();

    // The SDK takes a text without a credential for anonymous access.
    [GeneratedRegex(@"(\A|;)(UseDevelopmentStorage=true|(AccountKey|SharedAccessSignature)=[^;])", RegexOptions.IgnoreCase)]
    private static partial Regex Credential();

    [GeneratedRegex(@"\A[A-Za-z0-9-]{1,127}\z")]
    private static partial Regex VaultName();
}
