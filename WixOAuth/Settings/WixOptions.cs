using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Settings;

/// <summary>When Wix is told that an installation is set up (wix-protocol §6). README.md says what each means, and why the choice cannot be undone.</summary>
internal enum SetupCompletion
{
    OnInstall,
    ByApp,
    Never,
}

internal sealed class WixOptions(SettingsReader reader)
{
    private const string AppIdShouldBe = "should be the app's id from Wix's dashboard: letters, digits and hyphens";

    public string AppId { get; } = reader.Parse(
        "Wix__AppId", "", AppIdShouldBe, text => (text.Length <= 100 && text.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'), text), whenMissing: AppIdShouldBe);

    /// <summary>The Redirect URL exactly as registered with Wix, in <see cref="Uri.OriginalString"/>.</summary>
    public Uri RedirectUrl { get; } = reader.ExactUrl(
        "Wix__RedirectUrl", whenMissing: "should be the Redirect URL that is registered with Wix: an absolute https URL (http only for localhost)")!;

    /// <summary>The App URL: beside the Redirect URL, whose slash at the end does not count.</summary>
    public Uri AppUrl => new(new Uri(RedirectUrl.GetLeftPart(UriPartial.Path).TrimEnd('/')), "install");

    public string AppSecretName { get; } = reader.SecretName("Wix__AppSecretName", "wix-app-secret");

    public AppSecret? AppSecret { get; } = reader.Secret(
        "Wix__AppSecret",
        SettingsReader.OrVault,
        "should be the app secret, and is a reference to Key Vault that the platform has not resolved",
        text => (!SettingsReader.IsVaultReference(text), new AppSecret(text)));

    /// <summary>The keys that webhooks are checked with, each a PEM.</summary>
    public IReadOnlyList<string> WebhookPublicKeys { get; } = reader.Parse<IReadOnlyList<string>>(
        "Wix__WebhookPublicKey", [], "should be an RSA public key as PEM, or base64 of one", text => (PublicKeys.TryRead(text, out var keys), keys));

    /// <summary>The name in Key Vault of the secret that holds those keys instead; empty where it is not used.</summary>
    public string WebhookPublicKeyName { get; } = reader.SecretName("Wix__WebhookPublicKeyName", "");

    /// <summary>Where Wix's API is; without a slash at the end.</summary>
    public Uri ApiUrl { get; } = reader.Url("Wix__ApiUrl", new Uri("https://www.wixapis.com"))!;

    /// <summary>Where Wix's installer is; without a slash at the end.</summary>
    public Uri InstallerUrl { get; } = reader.Url("Wix__InstallerUrl", new Uri("https://www.wix.com/installer"))!;

    public SetupCompletion SetupCompletion { get; } = reader.OneOf("Wix__SetupCompletion", SetupCompletion.OnInstall);

    /// <summary>
    /// Which grant is tried first; the other is the fallback. Refresh tokens are kept either way, so that this can be
    /// changed at any time.
    /// </summary>
    public Grant PreferredGrant { get; } = reader.OneOf("Wix__PreferredGrant", Grant.RefreshToken);

    /// <summary>
    /// Whether access tokens may be requested by client credentials at all (wix-protocol §8). Never false together with
    /// <see cref="PreferredGrant"/> = <see cref="Grant.ClientCredentials"/>.
    /// </summary>
    public bool ClientCredentialsFallback { get; } = reader.Flag("Wix__ClientCredentialsFallback", true);
}

internal sealed class KeyVaultOptions(SettingsReader reader)
{
    public Uri? VaultUri { get; } = reader.Url("KeyVault__VaultUri", null);
}

/// <summary>Where a service of Azure Storage is; at most one of the two is given.</summary>
internal abstract class StorageOptions
{
    /// <summary>Its URL; authenticated with the app's identity.</summary>
    public Uri? ServiceUri { get; set; }

    /// <summary>How to reach it with its key: printed nowhere.</summary>
    public ConnectionString? ConnectionString { get; set; }

    public bool IsConfigured => ServiceUri is not null || ConnectionString is not null;
}

internal sealed class TablesOptions : StorageOptions
{
    public string Name { get; set; } = "WixInstances";
}

/// <summary>The settings <c>Backup__…</c>; no copies are made where none is configured.</summary>
internal sealed class BackupOptions : StorageOptions
{
    public string Container { get; set; } = "token-backups";
}

/// <summary>A storage connection string; holds the account's key.</summary>
internal sealed class ConnectionString(string text) : SecretText(text);

internal enum SweepBy
{
    Timer,

    /// <summary>A message for each shard, so that several processes share the work.</summary>
    Queue,
}

/// <summary>The settings <c>Sweep</c> and <c>Sweep__queueServiceUri</c>: one is given where <see cref="TokensOptions.SweepBy"/> is <see cref="SweepBy.Queue"/>.</summary>
internal sealed class SweepOptions : StorageOptions;

internal sealed class TokensOptions(SettingsReader reader)
{
    /// <summary>How long an access token lives where Wix does not say (wix-protocol §5); a second at least.</summary>
    public TimeSpan Lifetime { get; } = reader.Span("Tokens__Lifetime", TimeSpan.FromMinutes(5), TimeSpan.FromSeconds(1), TimeSpan.FromDays(1));

    /// <summary>An instance not used for this long is refreshed only once a day; zero refreshes all instances ahead of time.</summary>
    public TimeSpan IdleAfter { get; } = reader.Span("Tokens__IdleAfter", TimeSpan.FromHours(1), TimeSpan.Zero, TimeSpan.FromDays(3650));

    /// <summary>How many tokens the sweeps of a process refresh at a time.</summary>
    public int RefreshConcurrency { get; } = reader.Number("Tokens__RefreshConcurrency", 64, 1, 1024);

    public SweepBy SweepBy { get; } = reader.OneOf("Tokens__SweepBy", SweepBy.Timer);

    public string ProtectionKeyName { get; } = reader.SecretName("Tokens__ProtectionKeyName", "token-protection-key");

    public ProtectionKey? ProtectionKey { get; } =
        reader.Secret<ProtectionKey>("Tokens__ProtectionKey", SettingsReader.OrVault, "should be base64 of 32 random bytes", ReadKey);

    private static (bool Good, ProtectionKey? Value) ReadKey(string text)
    {
        var bytes = new byte[ProtectionKey.Length];
        return Convert.TryFromBase64String(text, bytes, out var length) && length == bytes.Length
            ? (true, new ProtectionKey(ProtectionKey.IdOf(bytes), bytes))
            : (false, null);
    }
}

internal sealed class EventsOptions(SettingsReader reader)
{
    // No such host exists (RFC 6761 §6.4): events wait, and are parked in the end.
    private static readonly Uri s_unresolved = new("https://unresolved.invalid/");

    /// <summary>
    /// Where events are sent: https, or http on this machine; a function app or logic app takes its key in the query. Null where none are
    /// sent. A reference to Key Vault that the platform has not resolved delays the events, and nothing else.
    /// </summary>
    public Uri? Url { get; } = SettingsReader.IsVaultReference(reader.Text("Events__Url")) ? s_unresolved : reader.ExactUrl("Events__Url", mayHaveQuery: true);

    public string SecretName { get; } = reader.SecretName("Events__SecretName", "events-secret");

    public EventSecrets? Secret { get; } = reader.Secret(
        "Events__Secret",
        reader.Text("Events__Url") is null ? null : "should be given together with Events__Url, or KeyVault__VaultUri with the vault that holds it",
        "should be whsec_ and base64 of 24 to 64 bytes, or two of these separated by a space",
        text => (EventSecrets.IsValid(text), new EventSecrets(text)));
}
