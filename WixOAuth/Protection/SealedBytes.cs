using System.Security.Cryptography;

namespace WixOAuth.Protection;

/// <summary>
/// AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits, laid out as nonce, ciphertext, tag. Because the nonce
/// is random, one key is good for 2^32 encryptions (SP 800-38D, 8.3); callers say how they stay below.
/// </summary>
internal static class SealedBytes
{
    /// <summary>By how many bytes the sealed form is longer.</summary>
    public const int Overhead = NonceLength + TagLength;

    private const int NonceLength = 12;
    private const int TagLength = 16;

    /// <summary>The sealed form, <see cref="Overhead"/> bytes longer than <paramref name="plaintext"/>.</summary>
    public static byte[] Seal(ReadOnlySpan<byte> key, ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> associatedData)
    {
        var data = new byte[plaintext.Length + Overhead];
        var nonce = data.AsSpan(0, NonceLength);
        RandomNumberGenerator.Fill(nonce);

        // One per call: an AesGcm must not be used by two threads at once.
        using var aes = new AesGcm(key, TagLength);
        aes.Encrypt(nonce, plaintext, data.AsSpan(NonceLength, plaintext.Length), data.AsSpan(data.Length - TagLength), associatedData);
        return data;
    }

    /// <summary>What was sealed with this key and associated data; null for anything else.</summary>
    public static byte[]? Open(ReadOnlySpan<byte> key, ReadOnlySpan<byte> source, ReadOnlySpan<byte> associatedData)
    {
        if (source.Length < Overhead)
        {
            return null;
        }

        var plaintext = new byte[source.Length - Overhead];
        using var aes = new AesGcm(key, TagLength);
        try
        {
            aes.Decrypt(source[..NonceLength], source[NonceLength..^TagLength], source[^TagLength..], plaintext, associatedData);
            return plaintext;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
    }
}
