namespace WixOAuth.Secrets;

/// <summary>One version of a secret. Prints its version, never its value.</summary>
/// <param name="Version">What tells this value from older and newer ones.</param>
/// <param name="Value">The secret.</param>
public sealed record AppSecretVersion(string Version, AppSecret Value);

/// <summary>Where the app secret comes from. Raises <see cref="SecretUnavailableException"/>.</summary>
public interface IAppSecretSource
{
    /// <summary>The newest version, up to 15 minutes old; older while the source cannot be reached.</summary>
    ValueTask<AppSecretVersion> GetAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Asks the source itself, at most once a minute: for when Wix rejects what <see cref="GetAsync"/> gave.
    /// Within that minute, and where the source cannot be reached, what is already known is answered.
    /// </summary>
    ValueTask<AppSecretVersion> GetNewestAsync(CancellationToken cancellationToken);
}

/// <summary>Where the keys come from that tokens, states and cookies are encrypted with. Raises <see cref="SecretUnavailableException"/>.</summary>
public interface IProtectionKeySource
{
    /// <summary>The newest key, which everything new is encrypted with; up to 15 minutes old, older while the source cannot be reached.</summary>
    ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken);

    /// <summary>
    /// The newest key by the source's own word, which is asked for at most once a minute; otherwise as
    /// <see cref="GetCurrentAsync"/>, which answers it too from then on.
    /// </summary>
    ValueTask<ProtectionKey> GetNewestAsync(CancellationToken cancellationToken) => GetCurrentAsync(cancellationToken);

    /// <summary>
    /// The key of that id, whatever its age; null when there is none. For ids that come from our own storage. Unknown
    /// ids are asked for at the source at most a few times a minute; beyond that <see cref="SecretUnavailableException"/>
    /// is raised rather than null answered, so that nothing of ours is taken for undecryptable.
    /// </summary>
    ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken);

    /// <summary>
    /// As <see cref="FindAsync"/>, for ids in what a browser sent, which anybody can make up. They have a limit of
    /// their own, so that forged ones never keep a key from our own rows; beyond it null is answered.
    /// </summary>
    ValueTask<ProtectionKey?> FindClaimedAsync(string id, CancellationToken cancellationToken) => FindAsync(id, cancellationToken);
}

/// <summary>A secret could not be read from its source, and no earlier value is known. Holds no secret.</summary>
public sealed class SecretUnavailableException : Exception
{
    /// <summary>Raised without a known reason.</summary>
    public SecretUnavailableException()
        : this("The secret is not available.")
    {
    }

    /// <summary>Raised for <paramref name="message"/>.</summary>
    public SecretUnavailableException(string message)
        : base(message)
    {
    }

    /// <summary>Raised for <paramref name="innerException"/>.</summary>
    public SecretUnavailableException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
