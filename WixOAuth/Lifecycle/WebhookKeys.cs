using System.Security.Cryptography;
using Azure.Security.KeyVault.Secrets;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Lifecycle;

/// <summary>
/// The app's public keys: Wix signs each webhook with one of them (wix-protocol §10), by RS256 (RFC 7518 §3.3) and nothing
/// else. All keys are tried; the token's header does not select the key or the algorithm (RFC 8725 §3.1, §3.10). Without
/// keys no webhook is accepted.
/// </summary>
/// <param name="pems">RSA keys, each a PEM; raises <see cref="ArgumentException"/> for anything else.</param>
internal sealed class WebhookKeys(IReadOnlyCollection<string> pems)
{
    // One for each thread: an RSA must not be used by two threads at once.
    private readonly ThreadLocal<RSA>[] _keys = [.. pems.Select(KeyOf)];

    public int Count => _keys.Length;

    /// <summary>Reads the secret of Key Vault named by <c>Wix__WebhookPublicKeyName</c>.</summary>
    /// <exception cref="SecretUnavailableException">It is malformed.</exception>
    internal static WebhookKeys Parse(KeyVaultSecret secret) =>
        PublicKeys.TryRead(secret.Value, out var pems)
            ? new WebhookKeys(pems)
            : throw new SecretUnavailableException(
                $"The secret '{secret.Name}' in Key Vault should be the app's RSA public key as PEM, or base64 of one, or several of them.");

    /// <summary>Whether one of them has signed the signing input of a JWS (RFC 7515 §5.2). Raises no exception for a forged signature: anybody can send those.</summary>
    public bool HaveSigned(byte[] signingInput, byte[] signature) =>
        Array.Exists(_keys, key => key.Value!.VerifyData(signingInput, signature, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));

    private static ThreadLocal<RSA> KeyOf(string pem)
    {
        using var rsa = RSA.Create();
        rsa.ImportFromPem(pem);
        var key = rsa.ExportParameters(includePrivateParameters: false);
        return new ThreadLocal<RSA>(() => RSA.Create(key));
    }
}
