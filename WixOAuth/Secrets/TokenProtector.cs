using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Instances;

namespace WixOAuth.Secrets;

/// <summary>Which field of an instance a token is stored in. The numbers are part of what is stored: never change one.</summary>
public enum TokenField
{
    /// <summary><see cref="Instance.RefreshToken"/>.</summary>
    RefreshToken = 1,

    /// <summary><see cref="Instance.AccessToken"/>.</summary>
    AccessToken = 2,
}

/// <summary>
/// Encrypts tokens for storage (AES-256-GCM) and binds them to the instance, the field and the generation that they
/// are stored in, so that a token copied elsewhere opens as nothing.
/// </summary>
/// <remarks>
/// Each instance has an encryption key of its own under each protection key. The limit of 2^32 encryptions for random
/// nonces (NIST SP 800-38D, 8.3) so holds for each instance: at two tokens every five minutes it is 20,000 years away,
/// however many instances there are.
/// </remarks>
/// <param name="keys">Where the keys come from.</param>
public sealed class TokenProtector(IProtectionKeySource keys)
{
    // Replacing what is not Unicode would store another token than the one that Wix gave.
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly PurposeKeys _tokenKeys = new("tokens");

    /// <summary>Encrypts a token with the newest key; 28 bytes are added to its UTF-8 form.</summary>
    /// <exception cref="ArgumentException">The token is of another kind than the field, or no well-formed Unicode.</exception>
    /// <exception cref="SecretUnavailableException">The key cannot be had.</exception>
    public async ValueTask<ProtectedText> ProtectAsync(
        InstanceId instance, TokenField field, long generation, SecretText token, CancellationToken cancellationToken)
    {
        var plaintext = Encode(field, token);
        var key = await keys.GetCurrentAsync(cancellationToken);
        var data = new byte[plaintext.Length + SealedBytes.Overhead];
        SealedBytes.Seal(KeyOf(key, instance), plaintext, Place(instance, field, generation), data);
        return new ProtectedText(key.Id, data);
    }

    /// <summary>
    /// The access token of that instance and generation; null when <paramref name="text"/> is anything else: sealed
    /// with a key that is not to be had any more, stored elsewhere, or changed.
    /// </summary>
    /// <exception cref="SecretUnavailableException">Whether there is such a key cannot be known now.</exception>
    public async ValueTask<AccessToken?> UnprotectAccessTokenAsync(
        InstanceId instance, long generation, ProtectedText text, CancellationToken cancellationToken) =>
        await UnprotectAsync(instance, TokenField.AccessToken, generation, text, cancellationToken) is { } token
            ? new AccessToken(token)
            : null;

    /// <summary>The refresh token of that instance and generation; null as for <see cref="UnprotectAccessTokenAsync"/>.</summary>
    /// <exception cref="SecretUnavailableException">Whether there is such a key cannot be known now.</exception>
    public async ValueTask<RefreshToken?> UnprotectRefreshTokenAsync(
        InstanceId instance, long generation, ProtectedText text, CancellationToken cancellationToken) =>
        await UnprotectAsync(instance, TokenField.RefreshToken, generation, text, cancellationToken) is { } token
            ? new RefreshToken(token)
            : null;

    private async ValueTask<string?> UnprotectAsync(
        InstanceId instance, TokenField field, long generation, ProtectedText text, CancellationToken cancellationToken) =>
        await keys.FindAsync(text.KeyId, cancellationToken) is { } key
        && SealedBytes.Open(KeyOf(key, instance), text.Data.Span, Place(instance, field, generation)) is { } plaintext
            ? Decode(plaintext)
            : null;

    private byte[] KeyOf(ProtectionKey key, InstanceId instance) =>
        HMACSHA256.HashData(_tokenKeys.Of(key), instance.ToByteArray());

    private static byte[] Place(InstanceId instance, TokenField field, long generation)
    {
        var place = new byte[16 + 1 + sizeof(long)];
        instance.ToByteArray().CopyTo(place, 0);
        place[16] = (byte)field;
        BinaryPrimitives.WriteInt64BigEndian(place.AsSpan(17), generation);
        return place;
    }

    private static byte[] Encode(TokenField field, SecretText token)
    {
        if (token is not (AccessToken or RefreshToken) || token is AccessToken != (field == TokenField.AccessToken))
        {
            throw new ArgumentException("The token is of another kind than the field.", nameof(token));
        }

        try
        {
            return Utf8.GetBytes(token.Reveal());
        }
        catch (EncoderFallbackException)
        {
            // Without the cause, which would show a part of the token.
            throw new ArgumentException("The token is no well-formed Unicode.", nameof(token));
        }
    }

    private static string? Decode(byte[] plaintext)
    {
        try
        {
            return plaintext.Length == 0 ? null : Utf8.GetString(plaintext);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }
}
