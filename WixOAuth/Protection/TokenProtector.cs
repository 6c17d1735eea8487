using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Protection;

/// <summary>The field of an instance that a token is stored in. The numbers are part of what is stored: never change one.</summary>
internal enum TokenField
{
    RefreshToken = 1,
    AccessToken = 2,
}

/// <summary>
/// Seals tokens for storage (AES-256-GCM) and binds them to the instance, the field and the generation that they are
/// stored in, so that a token copied elsewhere does not open.
/// </summary>
/// <remarks>
/// Each instance has its own encryption key under each protection key. The limit of 2^32 encryptions for random
/// nonces (NIST SP 800-38D, 8.3) so holds for each instance: at two tokens every five minutes it is reached in 20,000
/// years, however many instances there are. Without a <paramref name="check"/> it seals with whatever keys there are.
/// </remarks>
internal sealed class TokenProtector(IKeyRing keys, ProtectionKeyCheck? check = null)
{
    /// <summary>
    /// How many older generations are tried for a refresh token. An earlier version of the service drops
    /// <see cref="Instance.RefreshTokenGeneration"/> from the row, and the next write then records a generation that is too high.
    /// </summary>
    private const int GenerationsBack = 256;

    // Replacing invalid characters would store another token than the one that Wix sent.
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    // The key that sealed when the check was passed last.
    private volatile ProtectionKey? _passed;

    /// <summary>
    /// Whether tokens may be sealed for storage: false while this process does not have the protection keys that the
    /// stored tokens are sealed with. Ask before spending a code or refresh token whose result must be stored. Completes
    /// synchronously as a rule.
    /// </summary>
    /// <exception cref="SecretUnavailableException">The keys cannot be had.</exception>
    /// <exception cref="StorageUnavailableException">The stored key check cannot be read.</exception>
    public async ValueTask<bool> CanSealAsync(CancellationToken cancellationToken)
    {
        if (check is not null && !await check.IsPassedAsync(cancellationToken))
        {
            return false;
        }

        _passed = await keys.GetCurrentAsync(cancellationToken);
        return true;
    }

    /// <summary>As <see cref="CanSealAsync"/>, raising <see cref="SecretUnavailableException"/> where that returns false.</summary>
    /// <exception cref="SecretUnavailableException">The keys cannot be had, or are not the right ones.</exception>
    /// <exception cref="StorageUnavailableException">The stored key check cannot be read.</exception>
    public async ValueTask EnsureCanSealAsync(CancellationToken cancellationToken)
    {
        if (!await CanSealAsync(cancellationToken))
        {
            throw WrongKeys();
        }
    }

    /// <inheritdoc cref="ProtectionKeyCheck.ResealAsync" />
    internal Task<string?> ResealKeyCheckAsync(ProtectionKey newest, CancellationToken cancellationToken) =>
        check?.ResealAsync(newest, cancellationToken) ?? Task.FromResult<string?>(null);

    /// <summary>Seals a token with the current key; 28 bytes are added to its UTF-8 form.</summary>
    /// <remarks>
    /// If the check fails after a code or refresh token was spent, the new tokens are sealed with the key that last passed
    /// it. Refusing would lose them.
    /// </remarks>
    /// <exception cref="ArgumentException">The token is of another kind than the field, or not well-formed Unicode.</exception>
    /// <exception cref="SecretUnavailableException">The key cannot be had, or no key has passed the check (<see cref="CanSealAsync"/>).</exception>
    /// <exception cref="StorageUnavailableException">The stored key check cannot be read.</exception>
    public async ValueTask<ProtectedText> ProtectAsync(
        InstanceId instance, TokenField field, long generation, SecretText token, CancellationToken cancellationToken)
    {
        var plaintext = Encode(field, token);
        var key = await CanSealAsync(cancellationToken) ? await keys.GetCurrentAsync(cancellationToken) : _passed ?? throw WrongKeys();
        return new ProtectedText(key.Id, SealedBytes.Seal(KeyOf(key, instance), plaintext, AssociatedDataOf(instance, field, generation)));
    }

    /// <summary>
    /// The access token of that instance and generation; null when <paramref name="text"/> does not open: it was sealed
    /// with a key that no longer exists or cannot be used, stored elsewhere, or changed.
    /// </summary>
    /// <exception cref="SecretUnavailableException">The key cannot be had now.</exception>
    public async ValueTask<AccessToken?> UnprotectAccessTokenAsync(
        InstanceId instance, long generation, ProtectedText text, CancellationToken cancellationToken) =>
        await UnprotectAsync(instance, TokenField.AccessToken, generation, text, cancellationToken) is { } token
            ? new AccessToken(token)
            : null;

    /// <summary>The refresh token of that instance and generation; null as for <see cref="UnprotectAccessTokenAsync"/>.</summary>
    /// <exception cref="SecretUnavailableException">The key cannot be had now.</exception>
    public async ValueTask<RefreshToken?> UnprotectRefreshTokenAsync(
        InstanceId instance, long generation, ProtectedText text, CancellationToken cancellationToken) =>
        await UnprotectAsync(instance, TokenField.RefreshToken, generation, text, cancellationToken) is { } token
            ? new RefreshToken(token)
            : null;

    /// <summary>
    /// The refresh token of a row, whichever version wrote the row last; null when there is none, and as for
    /// <see cref="UnprotectAccessTokenAsync"/>.
    /// </summary>
    /// <exception cref="SecretUnavailableException">The key cannot be had now.</exception>
    public async ValueTask<RefreshToken?> OpenRefreshTokenAsync(Instance instance, CancellationToken cancellationToken)
    {
        if (instance.RefreshToken is not { } text)
        {
            return null;
        }

        var sealedFor = instance.RefreshTokenGeneration ?? instance.Generation;
        var refreshToken = await UnprotectRefreshTokenAsync(instance.Id, sealedFor, text, cancellationToken);
        if (refreshToken is null && await FindKeyAsync(text.KeyId, cancellationToken) is not null)
        {
            for (var generation = sealedFor - 1; refreshToken is null && generation >= Math.Max(1, sealedFor - GenerationsBack); generation--)
            {
                refreshToken = await UnprotectRefreshTokenAsync(instance.Id, generation, text, cancellationToken);
            }
        }

        return refreshToken;
    }

    internal static byte[]? Open(ProtectionKey key, InstanceId instance, TokenField field, long generation, ProtectedText text) =>
        SealedBytes.Open(KeyOf(key, instance), text.Data.Span, AssociatedDataOf(instance, field, generation));

    private static SecretUnavailableException WrongKeys() => new("The protection keys are not the ones that the stored tokens are sealed with.");

    private async ValueTask<string?> UnprotectAsync(
        InstanceId instance, TokenField field, long generation, ProtectedText text, CancellationToken cancellationToken)
    {
        if (await FindKeyAsync(text.KeyId, cancellationToken) is not { } key || Open(key, instance, field, generation, text) is not { } plaintext)
        {
            return null;
        }

        check?.OnTokenOpened();
        return Decode(plaintext);
    }

    // A disabled or malformed key is treated like a missing one, until somebody fixes it.
    private async ValueTask<ProtectionKey?> FindKeyAsync(string id, CancellationToken cancellationToken)
    {
        try
        {
            return await keys.FindAsync(id, cancellationToken);
        }
        catch (SecretUnusableException exception) when (!exception.MayNotExist)
        {
            return null;
        }
    }

    private static byte[] KeyOf(ProtectionKey key, InstanceId instance) =>
        HMACSHA256.HashData(key.Derive("tokens"), instance.ToByteArray());

    /// <summary>
    /// What a stored token is bound to (the associated data of RFC 5116): the instance (16 bytes), the field (1 byte) and the
    /// generation (8 bytes, big-endian). The layout is part of what is stored: never change it.
    /// </summary>
    private static byte[] AssociatedDataOf(InstanceId instance, TokenField field, long generation)
    {
        byte[] data = [.. instance.ToByteArray(), (byte)field, .. new byte[sizeof(long)]];
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(data.Length - sizeof(long)), generation);
        return data;
    }

    private static byte[] Encode(TokenField field, SecretText token)
    {
        if (token is not (AccessToken or RefreshToken) || token is AccessToken != (field == TokenField.AccessToken))
        {
            throw new ArgumentException("The token is of another kind than the field.", nameof(token));
        }

        try
        {
            return s_utf8.GetBytes(token.Reveal());
        }
        catch (EncoderFallbackException)
        {
            // Without the inner exception, which shows a part of the token.
            throw new ArgumentException("The token is not well-formed Unicode.", nameof(token));
        }
    }

    private static string? Decode(byte[] plaintext)
    {
        try
        {
            return plaintext.Length == 0 ? null : s_utf8.GetString(plaintext);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }
}
