using System.Collections.Concurrent;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Secrets;

/// <summary>
/// The protection keys from Key Vault: each version of the secret is one key, its value base64 of 32 bytes. The newest
/// is kept as <see cref="VaultSecret{T}"/> says, older ones for as long as the program runs once they were needed.
/// </summary>
/// <remarks>
/// An id that is not known is looked up by name, at most <see cref="LookupLimit"/> times a minute for our own rows and
/// as often for what browsers send; that there is no such version is remembered for a minute. Callers of one id share
/// its lookup.
/// </remarks>
internal sealed class KeyVaultProtectionKeySource : IProtectionKeySource
{
    /// <summary>How many unknown ids are looked up in a minute.</summary>
    public const int LookupLimit = 10;

    /// <summary>How many keys are remembered: far more than anybody has versions.</summary>
    public const int MaxKnown = 1000;

    /// <summary>How long it is remembered that there is no such version.</summary>
    public static readonly TimeSpan MissInterval = TimeSpan.FromMinutes(1);

    private readonly VaultReader _vault;
    private readonly string _name;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly VaultSecret<ProtectionKey> _current;
    private readonly ConcurrentDictionary<string, ProtectionKey> _known = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Task<Lookup>> _flights = [];
    private readonly Dictionary<string, long> _misses = [];
    private readonly Allowance _rows = new();
    private readonly Allowance _browsers = new();

    /// <param name="vault">The vault.</param>
    /// <param name="name"><c>Tokens__ProtectionKeyName</c></param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">Told of new versions, unknown ones and failures.</param>
    public KeyVaultProtectionKeySource(VaultReader vault, string name, TimeProvider time, ILogger<KeyVaultProtectionKeySource> logger)
    {
        _vault = vault;
        _name = name;
        _time = time;
        _logger = logger;
        _current = new VaultSecret<ProtectionKey>(vault, name, Remember, time, logger);
    }

    /// <summary>How many versions are remembered as not found.</summary>
    internal int MissCount
    {
        get
        {
            lock (_gate)
            {
                return _misses.Count;
            }
        }
    }

    public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) => _current.GetAsync(cancellationToken);

    public ValueTask<ProtectionKey> GetNewestAsync(CancellationToken cancellationToken) => _current.GetNewestAsync(cancellationToken);

    public async ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken)
    {
        if (Known(id, out var key))
        {
            return key;
        }

        var lookup = LookUp(id, _rows) ?? throw new SecretUnavailableException(
            $"Version {id} of the secret '{_name}' is not looked up now: over {LookupLimit} unknown versions were asked for within a minute.");
        return (await lookup.WaitAsync(cancellationToken)).Key;
    }

    public async ValueTask<ProtectionKey?> FindClaimedAsync(string id, CancellationToken cancellationToken)
    {
        if (Known(id, out var key))
        {
            return key;
        }

        // The first caller after a start: what is genuine was most likely made with the newest key, which has no limit.
        if (!_current.IsKnown && await _current.GetAsync(cancellationToken) is { } current && current.Id == id)
        {
            return current;
        }

        return LookUp(id, _browsers) is { } lookup ? (await lookup.WaitAsync(cancellationToken)).Key : null;
    }

    /// <summary>Whether the answer is at hand: the key, or null where no key can have such an id.</summary>
    private bool Known(string id, out ProtectionKey? key) => _known.TryGetValue(id, out key) || !ProtectionKey.IsId(id);

    /// <summary>The lookup that is under way, or a new one; null when there may be none now.</summary>
    private Task<Lookup>? LookUp(string id, Allowance allowance)
    {
        lock (_gate)
        {
            if (_flights.TryGetValue(id, out var flight))
            {
                return flight;
            }

            if (_misses.TryGetValue(id, out var at) && _time.GetElapsedTime(at) < MissInterval)
            {
                return Task.FromResult(default(Lookup));
            }

            if (!Take(allowance))
            {
                return null;
            }

            return _flights[id] = Task.Run(() => LookUpAsync(id), CancellationToken.None);
        }
    }

    private bool Take(Allowance allowance)
    {
        if (allowance.Taken == 0 || _time.GetElapsedTime(allowance.Since) >= TimeSpan.FromMinutes(1))
        {
            allowance.Since = _time.GetTimestamp();
            allowance.Taken = 0;
        }

        if (allowance.Taken++ == LookupLimit)
        {
            _logger.LookupsLimited(_name, LookupLimit);
        }

        return allowance.Taken <= LookupLimit;
    }

    private async Task<Lookup> LookUpAsync(string id)
    {
        try
        {
            if (await _vault.ReadAsync(_name, id) is { } secret)
            {
                return new Lookup(Remember(secret));
            }

            _logger.NoSuchKey(_name, id);
            RememberMiss(id);
            return default;
        }
        catch (SecretUnavailableException exception)
        {
            _logger.KeyUnavailable(exception, id, exception.Message);
            throw;
        }
        finally
        {
            lock (_gate)
            {
                _flights.Remove(id);
            }
        }
    }

    private void RememberMiss(string id)
    {
        lock (_gate)
        {
            foreach (var old in _misses.Where(miss => _time.GetElapsedTime(miss.Value) >= MissInterval).Select(miss => miss.Key).ToList())
            {
                _misses.Remove(old);
            }

            _misses[id] = _time.GetTimestamp();
        }
    }

    /// <summary>The key of a version; the same object each time, because what is derived from it is kept with it.</summary>
    private ProtectionKey Remember(KeyVaultSecret secret)
    {
        var key = Parse(secret);
        if (_known.Count >= MaxKnown)
        {
            _known.Clear();
        }

        return _known.GetOrAdd(key.Id, key);
    }

    private static ProtectionKey Parse(KeyVaultSecret secret)
    {
        var version = secret.Properties.Version;
        Span<byte> key = stackalloc byte[ProtectionKey.Length];
        return ProtectionKey.IsId(version)
            && Convert.TryFromBase64String(secret.Value ?? "", key, out var length)
            && length == ProtectionKey.Length
                ? new ProtectionKey(version, key)
                : throw new SecretUnavailableException(
                    $"Version {version} of the secret '{secret.Name}' in Key Vault is malformed: it should be base64 of {ProtectionKey.Length} random bytes.");
    }

    private readonly record struct Lookup(ProtectionKey? Key);

    /// <summary>What was looked up since when. Touched under the gate only.</summary>
    private sealed class Allowance
    {
        public long Since;
        public int Taken;
    }
}
