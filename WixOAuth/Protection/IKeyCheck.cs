namespace WixOAuth.Protection;

/// <summary>
/// Whether this process has the protection keys that the stored tokens are sealed with. A process that has others must
/// not write anything sealed.
/// </summary>
internal interface IKeyCheck
{
    /// <summary>
    /// Whether tokens may be sealed for storage. Completes synchronously once that is known, except that a no is checked
    /// again after a minute.
    /// </summary>
    /// <exception cref="Secrets.SecretUnavailableException">No protection key is known, or Key Vault fails when the stored tokens' one is looked for.</exception>
    /// <exception cref="Instances.StorageUnavailableException">The key-check row cannot be read or written.</exception>
    ValueTask<bool> IsPassedAsync(CancellationToken cancellationToken);

    /// <summary>A stored token was opened: after a no, the keys may be right again.</summary>
    void OnTokenOpened();

    /// <summary>Seals the key-check row with <paramref name="newest"/> if it opens; returns the id of the key that it then needs.</summary>
    /// <exception cref="Instances.StorageUnavailableException">The row cannot be read or written.</exception>
    Task<string?> ResealAsync(ProtectionKey newest, CancellationToken cancellationToken);
}
