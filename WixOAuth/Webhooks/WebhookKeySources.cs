using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Webhooks;

/// <summary>Where the keys come from that webhooks are checked with. Raises <see cref="SecretUnavailableException"/>.</summary>
public interface IWebhookKeySource
{
    /// <summary>The newest keys, up to 15 minutes old; older while the source cannot be reached.</summary>
    ValueTask<WebhookKeys> GetAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Asks the source itself, at most once a minute: for when a webhook is signed with none that
    /// <see cref="GetAsync"/> gave. Within that minute, and where the source cannot be reached, what is already known is
    /// answered.
    /// </summary>
    ValueTask<WebhookKeys> GetNewestAsync(CancellationToken cancellationToken);
}

/// <summary>The keys given as a setting: the same for as long as the program runs.</summary>
/// <param name="keys"><c>Wix__WebhookPublicKey</c></param>
internal sealed class ConfiguredWebhookKeys(WebhookKeys keys) : IWebhookKeySource
{
    public ValueTask<WebhookKeys> GetAsync(CancellationToken cancellationToken) => new(keys);

    public ValueTask<WebhookKeys> GetNewestAsync(CancellationToken cancellationToken) => new(keys);
}

/// <summary>
/// The keys from Key Vault, kept as <see cref="VaultSecret{T}"/> says. They are public; the vault is where they can be
/// changed without a restart. Where it has no such secret there are no keys, and no webhook is believed.
/// </summary>
/// <param name="vault">The vault.</param>
/// <param name="name"><c>Wix__WebhookPublicKeyName</c></param>
/// <param name="time">The clock.</param>
/// <param name="logger">Told of new versions and failures.</param>
internal sealed class KeyVaultWebhookKeySource(VaultReader vault, string name, TimeProvider time, ILogger<KeyVaultWebhookKeySource> logger)
    : IWebhookKeySource
{
    private readonly VaultSecret<WebhookKeys> _keys = new(vault, name, Parse, time, logger, whenMissing: new WebhookKeys([]));

    public ValueTask<WebhookKeys> GetAsync(CancellationToken cancellationToken) => _keys.GetAsync(cancellationToken);

    public ValueTask<WebhookKeys> GetNewestAsync(CancellationToken cancellationToken) => _keys.GetNewestAsync(cancellationToken);

    private static WebhookKeys Parse(KeyVaultSecret secret) =>
        PublicKeys.TryRead(secret.Value, out var pems)
            ? new WebhookKeys(pems)
            : throw new SecretUnavailableException(
                $"The secret '{secret.Name}' in Key Vault should be the app's RSA public key as PEM, or base64 of one, or several of them.");
}
