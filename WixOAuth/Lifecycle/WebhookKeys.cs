using System.Security.Cryptography;
using Azure.Security.KeyVault.Secrets;
using Microsoft.IdentityModel.Tokens;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Lifecycle;

/// <summary>
/// The app's public keys: Wix signs each webhook with one of them (wix-protocol §10), by RS256 (RFC 7518 §3.3) and nothing
/// else. All are tried; nothing in the token's header has a say in that (RFC 8725 §3.1, §3.10).
/// </summary>
internal sealed class WebhookKeys
{
    private readonly RsaSecurityKey[] _keys;

    /// <summary>Takes RSA keys, each a PEM. With no keys no webhook is accepted.</summary>
    /// <exception cref="ArgumentException">One is not the PEM of an RSA key.</exception>
    public WebhookKeys(IReadOnlyCollection<string> pems)
    {
        _keys = [.. pems.Select(KeyOf)];
    }

    public int Count => _keys.Length;

    /// <summary>Reads the secret of Key Vault named by <c>Wix__WebhookPublicKeyName</c>.</summary>
    /// <exception cref="SecretUnavailableException">It is malformed.</exception>
    internal static WebhookKeys Parse(KeyVaultSecret secret) =>
        PublicKeys.TryRead(secret.Value, out var pems)
            ? new WebhookKeys(pems)
            : throw new SecretUnavailableException(
                $"The secret '{secret.Name}' in Key Vault should be the app's RSA public key as PEM, or base64 of one, or several of them.");

    /// <summary>Whether one of them has signed the signing input of a JWS (RFC 7515 §5.2).</summary>
    public bool HaveSigned(byte[] signingInput, byte[] signature)
    {
        // The provider raises an exception for an empty one.
        return signature.Length > 0 && Array.Exists(_keys, key => HasSigned(key, signingInput, signature));
    }

    // By the provider itself: a token handler raises an exception for each forged signature, and anybody can send those.
    private static bool HasSigned(RsaSecurityKey key, byte[] signingInput, byte[] signature)
    {
        var provider = key.CryptoProviderFactory.CreateForVerifying(key, SecurityAlgorithms.RsaSha256);
        try
        {
            return provider.Verify(signingInput, signature);
        }
        finally
        {
            key.CryptoProviderFactory.ReleaseSignatureProvider(provider);
        }
    }

    private static RsaSecurityKey KeyOf(string pem)
    {
        using var rsa = RSA.Create();
        rsa.ImportFromPem(pem);
        return new RsaSecurityKey(rsa.ExportParameters(includePrivateParameters: false));
    }
}
