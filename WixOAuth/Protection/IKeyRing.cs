using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;

namespace WixOAuth.Protection;

/// <summary>The protection keys that tokens, states and cookies are sealed with. Raises <see cref="SecretUnavailableException"/>.</summary>
internal interface IKeyRing
{
    /// <summary>The key that seals; at most 15 minutes behind the source, more only while the source cannot be reached.</summary>
    ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken);

    /// <summary>As <see cref="GetCurrentAsync"/>, after reading the source again where that was not done within the last minute.</summary>
    ValueTask<ProtectionKey> GetNewestAsync(CancellationToken cancellationToken) => GetCurrentAsync(cancellationToken);

    /// <summary>
    /// The key of that id; null when there is none. An unknown id makes the ring load again, at most once a minute,
    /// however many ids an attacker makes up.
    /// </summary>
    /// <exception cref="SecretUnusableException">The key is disabled or malformed, or the keys may not be listed.</exception>
    /// <exception cref="SecretUnavailableException">The source fails, so that whether there is such a key cannot be known.</exception>
    ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken);

    /// <summary>The ids of the keys that are there, for the log.</summary>
    async ValueTask<IReadOnlyCollection<string>> GetIdsAsync(CancellationToken cancellationToken) =>
        [(await GetCurrentAsync(cancellationToken)).Id];
}

/// <summary>The protection keys as they were last loaded.</summary>
/// <param name="Current">The key that seals.</param>
/// <param name="All">By id, the keys that open.</param>
/// <param name="Unusable">By id, why a key that exists cannot be used.</param>
/// <param name="AreAll">Whether there are no others; false where the source could not be asked for all.</param>
internal sealed record ProtectionKeys(
    ProtectionKey Current, IReadOnlyDictionary<string, ProtectionKey> All, IReadOnlyDictionary<string, string> Unusable, bool AreAll)
{
    public ProtectionKeys(ProtectionKey only)
        : this(only, new Dictionary<string, ProtectionKey> { [only.Id] = only }, new Dictionary<string, string>(), AreAll: true)
    {
    }
}

internal sealed class KeyRing(ISecretSource<ProtectionKeys> source, ILogger<KeyRing> logger) : IKeyRing
{
    // The last load that each unusable key was logged for: once for each load, however many rows want it.
    private readonly ConcurrentDictionary<string, ProtectionKeys> _logged = new();

    public async ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) =>
        (await source.GetAsync(cancellationToken)).Current;

    public async ValueTask<ProtectionKey> GetNewestAsync(CancellationToken cancellationToken) =>
        (await source.GetNewestAsync(cancellationToken)).Current;

    public async ValueTask<IReadOnlyCollection<string>> GetIdsAsync(CancellationToken cancellationToken) =>
        [.. (await source.GetAsync(cancellationToken)).All.Keys.Order(StringComparer.Ordinal)];

    public async ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken)
    {
        if (!ProtectionKey.IsId(id))
        {
            return null;
        }

        if ((await source.GetAsync(cancellationToken)).All.TryGetValue(id, out var key))
        {
            return key;
        }

        var keys = await source.GetNewestAsync(cancellationToken);
        if (keys.All.TryGetValue(id, out key))
        {
            return key;
        }

        if (keys.Unusable.TryGetValue(id, out var reason))
        {
            if (_logged.GetValueOrDefault(id) != keys)
            {
                _logged[id] = keys;
                logger.KeyUnusable(id, reason);
            }

            throw new SecretUnusableException(reason);
        }

        return source.IsFailing ? throw new SecretUnavailableException($"Cannot tell whether protection key {id} exists: its source is unavailable.")
            : !keys.AreAll ? throw new SecretUnusableException($"Cannot tell whether protection key {id} exists: the keys in its source may not be listed.") { MayNotExist = true }
            : null;
    }
}
