using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace WixOAuth.Settings;

/// <summary>Reads RSA public keys as people paste them.</summary>
internal static partial class PublicKeys
{
    /// <summary>Finds the PEMs of RSA keys of 2,048 bits or more, one after another, in a text or in base64 of it; false where there is none, or one that is cut off or is not such a key.</summary>
    public static bool TryRead(string? text, out IReadOnlyList<string> keys)
    {
        text = text?.Trim() ?? "";
        var pem = text.Contains("-----BEGIN", StringComparison.Ordinal) ? text.Replace("\\n", "\n", StringComparison.Ordinal) : FromBase64(text);
        keys = [.. Pem().Matches(pem).Select(match => match.Value)];
        return keys.Count > 0 && keys.Count == Begin().Count(pem) && keys.All(IsPublicKey);

        static string FromBase64(string text)
        {
            var bytes = new byte[text.Length];
            return Convert.TryFromBase64String(text, bytes, out var length) ? Encoding.ASCII.GetString(bytes, 0, length) : "";
        }

        static bool IsPublicKey(string pem)
        {
            try
            {
                using var rsa = RSA.Create();
                rsa.ImportFromPem(pem);
                return rsa.KeySize >= 2048;
            }
            catch (Exception exception) when (exception is ArgumentException or CryptographicException)
            {
                return false;
            }
        }
    }

    [GeneratedRegex(@"-----BEGIN (RSA )?PUBLIC KEY-----[^-]+-----END (RSA )?PUBLIC KEY-----")]
    private static partial Regex Pem();

    [GeneratedRegex("-----BEGIN")]
    private static partial Regex Begin();
}
