using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace WixOAuth.Protection;

/// <summary>
/// One version of the key that tokens, states and cookies are encrypted with. The key itself never leaves this class:
/// for each use a key is derived from it (HKDF-SHA-256, RFC 5869).
/// </summary>
internal sealed class ProtectionKey
{
    public const int Length = 32;

    private readonly byte[] _key;
    private readonly ConcurrentDictionary<string, byte[]> _derived = new(StringComparer.Ordinal);

    /// <param name="id">Tells it from other versions, no secret: 32 lower-case hexadecimal digits.</param>
    /// <param name="key">32 random bytes.</param>
    /// <exception cref="ArgumentException">The id or the key has another length.</exception>
    public ProtectionKey(string id, ReadOnlySpan<byte> key)
    {
        if (key.Length != Length)
        {
            throw new ArgumentException($"A protection key has {Length} bytes.", nameof(key));
        }

        if (!IsId(id))
        {
            throw new ArgumentException("A protection key's id has 32 lower-case hexadecimal digits.", nameof(id));
        }

        Id = id;
        _key = key.ToArray();
    }

    public string Id { get; }

    /// <summary>Whether a text can be a key's id: 32 lower-case hexadecimal digits, as Key Vault's versions are.</summary>
    public static bool IsId(string? text) => text is { Length: 32 } && text.All(char.IsAsciiHexDigitLower);

    /// <summary>The key for one purpose, 32 bytes; the same purpose gives the same key. Purposes are constants: each is cached.</summary>
    public ReadOnlySpan<byte> Derive(string purpose) => _derived.GetOrAdd(
        purpose,
        static (purpose, key) => HKDF.DeriveKey(HashAlgorithmName.SHA256, key, Length, info: System.Text.Encoding.UTF8.GetBytes("WixOAuth " + purpose)),
        _key);

    /// <summary>An id for a key without one, derived from the key but revealing nothing about it.</summary>
    public static string IdOf(ReadOnlySpan<byte> key)
    {
        Span<byte> id = stackalloc byte[16];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key, id, salt: [], info: "WixOAuth key id"u8);
        return Convert.ToHexStringLower(id);
    }

    public override string ToString() => Id;
}
