using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;

namespace WixOAuth.Events;

/// <summary>Where the signing secrets come from. Raises <see cref="SecretUnavailableException"/>.</summary>
internal interface IEventSecretSource
{
    ValueTask<EventSecrets> GetAsync(CancellationToken cancellationToken);
}

internal sealed class ConfiguredEventSecret(EventSecrets secret) : IEventSecretSource
{
    public ValueTask<EventSecrets> GetAsync(CancellationToken cancellationToken) => new(secret);
}

/// <summary>The signing secrets from Key Vault; a new version is used within 15 minutes.</summary>
internal sealed class KeyVaultEventSecretSource(VaultReader vault, string name, TimeProvider time, ILogger<KeyVaultEventSecretSource> logger)
    : IEventSecretSource
{
    private readonly VaultSecret<EventSecrets> _secret = new(
        vault,
        name,
        secret => EventSecrets.IsValid(secret.Value ?? "") ? new EventSecrets(secret.Value!) : throw new SecretUnavailableException(
            $"The secret '{secret.Name}' in Key Vault should be whsec_ and base64 of 24 to 64 bytes, or two of these separated by a space."),
        time,
        logger);

    public ValueTask<EventSecrets> GetAsync(CancellationToken cancellationToken) => _secret.GetAsync(cancellationToken);
}
