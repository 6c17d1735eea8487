using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Secrets;

/// <summary>The app secret from Key Vault, kept as <see cref="VaultSecret{T}"/> says.</summary>
/// <param name="vault">The vault.</param>
/// <param name="name"><c>Wix__AppSecretName</c></param>
/// <param name="time">The clock.</param>
/// <param name="logger">Told of new versions and failures.</param>
internal sealed class KeyVaultAppSecretSource(VaultReader vault, string name, TimeProvider time, ILogger<KeyVaultAppSecretSource> logger)
    : IAppSecretSource
{
    private readonly VaultSecret<AppSecretVersion> _secret = new(vault, name, Parse, time, logger);

    public ValueTask<AppSecretVersion> GetAsync(CancellationToken cancellationToken) => _secret.GetAsync(cancellationToken);

    public ValueTask<AppSecretVersion> GetNewestAsync(CancellationToken cancellationToken) => _secret.GetNewestAsync(cancellationToken);

    private static AppSecretVersion Parse(KeyVaultSecret secret) =>
        // A secret that was set from a file often ends with a line feed.
        secret.Value?.Trim() is { Length: > 0 } text
            ? new AppSecretVersion(secret.Properties.Version, new AppSecret(text))
            : throw new SecretUnavailableException(
                $"The secret '{secret.Name}' in Key Vault is empty: it should be the app secret from Wix's dashboard.");
}
