using Azure.Security.KeyVault.Secrets;
using StandardWebhooks;

namespace WixOAuth.Secrets;

/// <summary>
/// The secrets that events are signed with: one, or two separated by a space while receivers change to a new one. Each is
/// <c>whsec_</c> and base64 of 24 to 64 bytes.
/// </summary>
/// <param name="text">The secrets; <see cref="IsValid"/> tells whether they have that form.</param>
internal sealed class EventSecrets(string text) : SecretText(text)
{
    private const string Prefix = "whsec_";
    private const int ShortestKey = 24;
    private const int LongestKey = 64;
    private const int MostSecrets = 2;

    public static bool IsValid(string text) => Split(text) is { Length: >= 1 and <= MostSecrets } secrets && secrets.All(IsSecret);

    /// <summary>Reads the secret of Key Vault named by <c>Events__SecretName</c>.</summary>
    /// <exception cref="SecretUnavailableException">It has another form.</exception>
    internal static EventSecrets Parse(KeyVaultSecret secret) =>
        IsValid(secret.Value ?? "")
            ? new EventSecrets(secret.Value!)
            : throw new SecretUnavailableException(
                $"The secret '{secret.Name}' in Key Vault should be whsec_ and base64 of 24 to 64 bytes, or two of these separated by a space.");

    /// <summary>The value of <c>webhook-signature</c>: one signature for each secret, separated by a space.</summary>
    internal string Sign(string id, DateTimeOffset timestamp, string body) =>
        string.Join(' ', Split(Reveal()).Select(secret => new StandardWebhook(secret).Sign(id, timestamp, body)));

    private static string[] Split(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static bool IsSecret(string text)
    {
        var key = new byte[text.Length];
        return text.StartsWith(Prefix, StringComparison.Ordinal)
            && Convert.TryFromBase64String(text[Prefix.Length..], key, out var length)
            && length is >= ShortestKey and <= LongestKey;
    }
}
