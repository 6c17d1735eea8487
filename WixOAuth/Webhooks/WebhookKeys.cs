using System.Security.Cryptography;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace WixOAuth.Webhooks;

/// <summary>
/// The public keys of the app, one of which has signed every webhook of Wix (wix-protocol §10): RS256 and nothing else.
/// Which of them is found out by trying; nothing in the token's header has a say in that (RFC 8725 §3.1, §3.10).
/// </summary>
public sealed class WebhookKeys
{
    private readonly JsonWebTokenHandler _handler = new() { MaximumTokenSizeInBytes = WebhookReader.MaxLength };
    private readonly TokenValidationParameters _parameters;

    /// <summary>Takes RSA keys, each a PEM. No keys at all are taken too: then nothing is signed.</summary>
    /// <exception cref="ArgumentException">One is no PEM of an RSA key.</exception>
    public WebhookKeys(IReadOnlyCollection<string> pems)
    {
        ArgumentNullException.ThrowIfNull(pems);
        Count = pems.Count;
        _parameters = new TokenValidationParameters
        {
            ValidAlgorithms = [SecurityAlgorithms.RsaSha256],
            IssuerSigningKeys = [.. pems.Select(KeyOf)],
            TryAllIssuerSigningKeys = true,
            RequireSignedTokens = true,

            // Wix sends neither.
            ValidateIssuer = false,
            ValidateAudience = false,

            // WebhookReader looks at it, by the clock that tests own.
            ValidateLifetime = false,
        };
    }

    /// <summary>How many they are.</summary>
    public int Count { get; }

    /// <summary>Whether one of them has signed a JWS in its compact form (RFC 7515 §3.1).</summary>
    public async Task<bool> HaveSignedAsync(string token) => Count > 0 && (await _handler.ValidateTokenAsync(token, _parameters)).IsValid;

    private static RsaSecurityKey KeyOf(string pem)
    {
        using var rsa = RSA.Create();
        rsa.ImportFromPem(pem);
        return new RsaSecurityKey(rsa.ExportParameters(includePrivateParameters: false));
    }
}
