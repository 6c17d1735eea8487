using System.Security.Cryptography;
using Microsoft.IdentityModel.Tokens;

namespace WixOAuth.Webhooks;

/// <summary>
/// The public keys of the app, one of which has signed every webhook of Wix (wix-protocol §10): RS256 (RFC 7518 §3.3) and
/// nothing else. Which of them is found out by trying; nothing in the token's header has a say in that (RFC 8725 §3.1,
/// §3.10).
/// </summary>
public sealed class WebhookKeys
{
    private readonly RsaSecurityKey[] _keys;

    /// <summary>Takes RSA keys, each a PEM. No keys at all are taken too: then nothing is signed.</summary>
    /// <exception cref="ArgumentException">One is no PEM of an RSA key.</exception>
    public WebhookKeys(IReadOnlyCollection<string> pems)
    {
        ArgumentNullException.ThrowIfNull(pems);
        _keys = [.. pems.Select(KeyOf)];
    }

    /// <summary>How many they are.</summary>
    public int Count => _keys.Length;

    /// <summary>Whether one of them has signed the signing input of a JWS (RFC 7515 §5.2).</summary>
    public bool HaveSigned(byte[] signingInput, byte[] signature)
    {
        ArgumentNullException.ThrowIfNull(signature);

        // The provider takes none for a programmer's mistake.
        return signature.Length > 0 && Array.Exists(_keys, key => HasSigned(key, signingInput, signature));
    }

    // By the provider itself: a token handler would first make an exception of every forged signature, and anybody can send those.
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
