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

internal sealed class WixOptions
{
    public string AppId { get; set; } = "";

    /// <summary>The Redirect URL exactly as registered with Wix, in <see cref="Uri.OriginalString"/>.</summary>
    public Uri RedirectUrl { get; set; } = null!;

    /// <summary>The App URL: beside the Redirect URL, whose slash at the end does not count.</summary>
    public Uri AppUrl => new(new Uri(RedirectUrl.GetLeftPart(UriPartial.Path).TrimEnd('/')), "install");

    public string AppSecretName { get; set; } = "wix-app-secret";

    public AppSecret? AppSecret { get; set; }

    /// <summary>The keys that webhooks are checked with, each a PEM.</summary>
    public IReadOnlyList<string> WebhookPublicKeys { get; set; } = [];

    /// <summary>The name in Key Vault of the secret that holds those keys instead; empty where it is not used.</summary>
    public string WebhookPublicKeyName { get; set; } = "";

    /// <summary>Where Wix's API is; without a slash at the end.</summary>
    public Uri ApiUrl { get; set; } = new("https://www.wixapis.com");

    /// <summary>Where Wix's installer is; without a slash at the end.</summary>
    public Uri InstallerUrl { get; set; } = new("https://www.wix.com/installer");

    /// <summary>When Wix is told that an installation is set up. Read the trap at <see cref="Settings.SetupCompletion"/> before you change it.</summary>
    public SetupCompletion SetupCompletion { get; set; }

    /// <summary>
    /// Which grant is tried first; the other is the fallback. Refresh tokens are kept either way, so that this can be
    /// changed at any time.
    /// </summary>
    public Grant PreferredGrant { get; set; } = Grant.RefreshToken;

    /// <summary>
    /// Whether access tokens may be requested by client credentials at all (wix-protocol §8). Never false together with
    /// <see cref="PreferredGrant"/> = <see cref="Grant.ClientCredentials"/>.
    /// </summary>
    public bool ClientCredentialsFallback { get; set; } = true;
}

internal sealed class KeyVaultOptions
{
    public Uri? VaultUri { get; set; }
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

internal sealed class TokensOptions
{
    /// <summary>How long an access token lives where Wix does not say (wix-protocol §5); a second at least.</summary>
    public TimeSpan Lifetime { get; set; } = TimeSpan.FromMinutes(5);

    /// <summary>An instance that was not used for this long is only checked once a day; zero keeps all warm.</summary>
    public TimeSpan IdleAfter { get; set; } = TimeSpan.FromHours(1);

    /// <summary>How many tokens the sweeps of a process refresh at a time; 1 to 1024.</summary>
    public int RefreshConcurrency { get; set; } = 64;

    public SweepBy SweepBy { get; set; }

    public string ProtectionKeyName { get; set; } = "token-protection-key";

    public ProtectionKey? ProtectionKey { get; set; }
}

internal sealed class EventsOptions
{
    /// <summary>Where events are sent: https, or http on this machine. Null where none are sent.</summary>
    public Uri? Url { get; set; }

    public string SecretName { get; set; } = "events-secret";

    public EventSecrets? Secret { get; set; }
}
