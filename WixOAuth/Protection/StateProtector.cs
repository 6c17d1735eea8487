using System.Buffers;
using System.Buffers.Text;
using WixOAuth.Secrets;

namespace WixOAuth.Protection;

/// <summary>What a sealed text in a browser is for. Each purpose has its own keys, so that one kind of text cannot be used as another.</summary>
internal static class StatePurpose
{
    /// <summary>The <c>state</c> of the OAuth flow (RFC 6749, 10.12).</summary>
    public const string InstallState = "install-state";

    /// <summary>The cookie that binds an install to the browser that started it.</summary>
    public const string InstallCookie = "install-cookie";

    /// <summary>The <c>start</c> of a link made by <c>CreateInstallLink</c>.</summary>
    public const string InstallLink = "install-link";
}

/// <summary>
/// Seals small payloads that a browser carries (AES-256-GCM). Expiry and single use are up to the caller.
/// </summary>
/// <remarks>
/// The text is base64url, without padding, of: a version byte (1), the key's id (16 bytes), the nonce (12 bytes), the
/// ciphertext, the tag (16 bytes). It is bound to the first two and what the caller adds (the associated data of RFC 5116):
/// never change that. Random nonces allow 2^32 texts for each purpose and protection key (NIST SP 800-38D,
/// 8.3): at ten a second that is 13 years.
/// </remarks>
internal sealed class StateProtector(IKeyRing keys)
{
    /// <summary>The longest text that is opened, in characters.</summary>
    public const int MaxTextLength = 4096;

    /// <summary>The longest payload, in bytes: its text has <see cref="MaxTextLength"/> characters.</summary>
    public const int MaxPayloadLength = (MaxTextLength / 4 * 3) - HeaderLength - SealedBytes.Overhead;

    private const byte Version = 1;
    private const int HeaderLength = 1 + KeyIdLength;
    private const int KeyIdLength = 16;

    /// <summary>
    /// Seals a payload with the current key. The text has four characters for every three bytes of
    /// <paramref name="payload"/> and of the 45 that are added: 92 for a payload of 24 bytes. The text does not contain
    /// <paramref name="associatedData"/>, which is needed again to open it.
    /// </summary>
    /// <exception cref="ArgumentException">The payload is longer than <see cref="MaxPayloadLength"/> bytes.</exception>
    /// <exception cref="SecretUnavailableException">The key cannot be had.</exception>
    public async ValueTask<string> ProtectAsync(
        string purpose, ReadOnlyMemory<byte> payload, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
    {
        if (payload.Length > MaxPayloadLength)
        {
            throw new ArgumentException($"A payload has at most {MaxPayloadLength} bytes.", nameof(payload));
        }

        var key = await keys.GetCurrentAsync(cancellationToken);
        var header = HeaderOf(key);
        var data = SealedBytes.Seal(key.Derive(purpose), payload.Span, [.. header, .. associatedData.Span]);
        return Base64Url.EncodeToString([.. header, .. data]);
    }

    /// <summary>
    /// The payload of a text made by <see cref="ProtectAsync"/> for the same purpose with the same associated data;
    /// null for any other text. Only one text opens as a payload: no character of it can be changed.
    /// </summary>
    /// <exception cref="SecretUnavailableException">The key cannot be had now.</exception>
    public async ValueTask<byte[]?> UnprotectAsync(
        string purpose, string? text, ReadOnlyMemory<byte> associatedData, CancellationToken cancellationToken)
    {
        if (Decode(text) is not { } bytes
            || await keys.FindAsync(Convert.ToHexStringLower(bytes, 1, KeyIdLength), cancellationToken) is not { } key)
        {
            return null;
        }

        var header = bytes.AsSpan(0, HeaderLength);
        return SealedBytes.Open(key.Derive(purpose), bytes.AsSpan(HeaderLength), [.. header, .. associatedData.Span]);
    }

    /// <summary>
    /// The prefix of every text that the current key seals: its header, except for the last bits, which share a character with the
    /// nonce.
    /// </summary>
    /// <exception cref="SecretUnavailableException">The key cannot be had.</exception>
    public async ValueTask<string> CurrentPrefixAsync(CancellationToken cancellationToken) =>
        Base64Url.EncodeToString(HeaderOf(await keys.GetCurrentAsync(cancellationToken)))[..(HeaderLength * 4 / 3)];

    private static byte[] HeaderOf(ProtectionKey key) => [Version, .. Convert.FromHexString(key.Id)];

    private static byte[]? Decode(string? text)
    {
        if (text is null || text.Length > MaxTextLength)
        {
            return null;
        }

        var buffer = new byte[Base64Url.GetMaxDecodedLength(text.Length)];
        // Not TryDecodeFromChars, which raises exceptions for some input.
        if (Base64Url.DecodeFromChars(text, buffer, out _, out var length) != OperationStatus.Done
            || length < HeaderLength + SealedBytes.Overhead
            || buffer[0] != Version)
        {
            return null;
        }

        // Decoders ignore padding, white space and the unused bits of the last character.
        var bytes = buffer[..length];
        return Base64Url.EncodeToString(bytes) == text ? bytes : null;
    }
}
