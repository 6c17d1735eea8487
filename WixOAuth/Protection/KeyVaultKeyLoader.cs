using System.Collections.Concurrent;
using Azure;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;

namespace WixOAuth.Protection;

/// <summary>
/// Loads all protection keys from Key Vault: each enabled version of the secret <c>Tokens__ProtectionKeyName</c> is one
/// key, its value base64 of 32 bytes. A key that was read stays for as long as the process runs.
/// </summary>
internal sealed class KeyVaultKeyLoader(VaultReader vault, string name, TimeProvider time, ILogger logger)
{
    /// <summary>
    /// How old a version must be before it seals, where there is an older one. Any process whose keys were loaded within
    /// the last minute then knows it, so no row or state is ever sealed with a key that another process does not find.
    /// </summary>
    public static readonly TimeSpan ActivationDelay = TimeSpan.FromMinutes(2);

    private const int Concurrency = 8;

    private readonly ConcurrentDictionary<string, (ProtectionKey Key, SecretProperties Version)> _known = new();

    /// <summary>
    /// Reads the list of versions, and the values of those not read before. Not called concurrently. A version that cannot
    /// be used or read does not keep the others from use.
    /// </summary>
    /// <exception cref="SecretUnavailableException">The list cannot be read, or there is no key that can seal.</exception>
    public async Task<(ProtectionKeys Value, string? Version, SecretUnavailableException? Problem)> LoadAsync()
    {
        var (versions, areAll) = await ListAsync();
        var unusable = new ConcurrentDictionary<string, string>();
        SecretUnavailableException? unread = null;
        await Parallel.ForEachAsync(
            versions.Where(version => !_known.ContainsKey(version.Version)),
            new ParallelOptions { MaxDegreeOfParallelism = Concurrency },
            async (version, _) =>
            {
                try
                {
                    await ReadAsync(version);
                }
                catch (SecretUnusableException exception)
                {
                    unusable[version.Version] = exception.Message;
                }
                catch (SecretUnavailableException exception)
                {
                    unread = exception;
                }
            });

        var enabled = versions.Where(version => version.Enabled != false)
            .OrderByDescending(version => version.CreatedOn).ThenBy(version => version.Version, StringComparer.Ordinal).ToList();
        var usable = enabled.FindAll(version => _known.ContainsKey(version.Version));
        var activeBefore = time.GetUtcNow() - ActivationDelay;

        // Where all are young, the oldest is the one that other processes most probably know.
        var current = usable.Find(version => version.CreatedOn is not { } created || created <= activeBefore)
            ?? usable.LastOrDefault()
            ?? throw (unread ?? new SecretUnavailableException(enabled is [var newest, ..]
                ? unusable[newest.Version]
                : $"There is no enabled version of a secret '{name}' in Key Vault: it answered HTTP 404."));
        foreach (var newer in enabled.TakeWhile(version => version != current).Where(version => unusable.ContainsKey(version.Version)))
        {
            logger.KeyUnusable(newer.Version, unusable[newer.Version]);
        }

        var keys = _known.ToDictionary(known => known.Key, known => known.Value.Key);
        return (new ProtectionKeys(keys[current.Version], keys, unusable, areAll), current.Version, unread);
    }

    /// <summary>All versions; the newest one and those read before where the identity may read secrets but not list them.</summary>
    private async Task<(IReadOnlyList<SecretProperties> Versions, bool AreAll)> ListAsync()
    {
        try
        {
            return (await vault.ListVersionsAsync(name), true);
        }
        catch (SecretUnavailableException exception) when (exception.InnerException is RequestFailedException { Status: 403 })
        {
            var newest = await vault.ReadAsync(name, version: null);
            logger.VersionsNotListed(name);
            return (newest is null ? [] : [.. _known.Values.Select(known => known.Version).Where(version => version.Version != newest.Properties.Version), newest.Properties], false);
        }
    }

    private async Task ReadAsync(SecretProperties version)
    {
        if (version.Enabled == false)
        {
            throw new SecretUnusableException($"Version {version.Version} of the secret '{name}' in Key Vault is disabled.");
        }

        var secret = await vault.ReadAsync(name, version.Version)
            ?? throw new SecretUnusableException($"Version {version.Version} of the secret '{name}' no longer exists in Key Vault.");
        _known[version.Version] = (Parse(secret), version);
    }

    private static ProtectionKey Parse(KeyVaultSecret secret)
    {
        var version = secret.Properties.Version;
        Span<byte> key = stackalloc byte[ProtectionKey.Length];
        return ProtectionKey.IsId(version)
            && Convert.TryFromBase64String(secret.Value ?? "", key, out var length)
            && length == ProtectionKey.Length
                ? new ProtectionKey(version, key)
                : throw new SecretUnusableException(
                    $"Version {version} of the secret '{secret.Name}' in Key Vault is malformed: it should be base64 of {ProtectionKey.Length} random bytes.");
    }
}
