using Azure.Security.KeyVault.Secrets;

namespace WixOAuth.Secrets;

/// <summary>
/// The source of one secret, read as a <typeparamref name="T"/>: Key Vault or a setting. Its methods raise
/// <see cref="SecretUnavailableException"/> only while no value has ever been read.
/// </summary>
internal interface ISecretSource<T>
    where T : class
{
    /// <summary>Whether the last read failed, so that what the source returns may be outdated.</summary>
    bool IsFailing => false;

    /// <summary>The latest value, at most 15 minutes old; older only while the source cannot be reached.</summary>
    ValueTask<T> GetAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Reads the source again, at most once a minute. Use it when Wix or a ciphertext rejects the value of <see cref="GetAsync"/>.
    /// Within that minute, and where the source cannot be reached, returns the value that is known.
    /// </summary>
    ValueTask<T> GetNewestAsync(CancellationToken cancellationToken);
}

/// <summary>A value from the settings, constant for the life of the process.</summary>
internal sealed class ConfiguredSource<T>(T value) : ISecretSource<T>
    where T : class
{
    public ValueTask<T> GetAsync(CancellationToken cancellationToken) => new(value);

    public ValueTask<T> GetNewestAsync(CancellationToken cancellationToken) => new(value);
}

/// <summary>One version of the app secret. Prints its version, never its value.</summary>
internal sealed record AppSecretVersion(string Version, AppSecret Value)
{
    /// <summary>Reads the secret of Key Vault named by <c>Wix__AppSecretName</c>.</summary>
    /// <exception cref="SecretUnavailableException">It is empty.</exception>
    internal static AppSecretVersion Parse(KeyVaultSecret secret) =>
        // A secret that was set from a file often ends with a line feed, and may begin with a byte order mark.
        secret.Value?.Trim().TrimStart('\uFEFF') is { Length: > 0 } text
            ? new AppSecretVersion(secret.Properties.Version, new AppSecret(text))
            : throw new SecretUnavailableException(
                $"The secret '{secret.Name}' in Key Vault is empty: it should be the app secret from Wix's dashboard.");
}

/// <summary>A secret could not be read from its source, and no earlier value is known. Holds no secret.</summary>
internal class SecretUnavailableException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>The source answered, and what is asked for cannot be used: it is disabled, malformed or forbidden. Only a person can mend that.</summary>
internal sealed class SecretUnusableException(string message) : SecretUnavailableException(message)
{
    /// <summary>Whether it is unknown if the value exists at all, because the identity may not list what the source has.</summary>
    public bool MayNotExist { get; init; }
}
