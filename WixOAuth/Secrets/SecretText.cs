using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.Secrets;

/// <summary>
/// A text that must never be seen: it prints, logs, formats and serialises as <c>[redacted]</c> or as nothing.
/// Only <see cref="Reveal"/> returns the text, so that every place that uses it can be found by name.
/// </summary>
[DebuggerDisplay("[redacted]")]
internal abstract class SecretText : IEquatable<SecretText>
{
    private readonly string _text;

    /// <exception cref="ArgumentException"><paramref name="text"/> is empty.</exception>
    protected SecretText(string text)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        _text = text;
    }

    /// <summary>The secret itself. Never log it, put it into an exception or build a logged URL of it.</summary>
    public string Reveal() => _text;

    /// <summary>The lower-case hexadecimal SHA-256 of the secret's UTF-8 bytes, for comparing without keeping it.</summary>
    public string Fingerprint() => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_text)));

    public sealed override string ToString() => "[redacted]";

    /// <summary>Compares in constant time for secrets of the same length. Secrets of different kinds are never equal.</summary>
    public bool Equals(SecretText? other) =>
        other is not null
        && other.GetType() == GetType()
        && CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(_text), Encoding.UTF8.GetBytes(other._text));

    public sealed override bool Equals(object? obj) => Equals(obj as SecretText);

    public sealed override int GetHashCode() => string.GetHashCode(_text, StringComparison.Ordinal);
}

/// <summary>What goes into the <c>Authorization</c> header of calls to Wix, as it is (wix-protocol §6).</summary>
internal sealed class AccessToken(string text) : SecretText(text);

/// <summary>Exchanged for access tokens; does not expire while the app is installed (wix-protocol §5).</summary>
internal sealed class RefreshToken(string text) : SecretText(text);

/// <summary>What Wix sends to the Redirect URL: valid for 10 minutes, for one use (wix-protocol §4).</summary>
internal sealed class AuthorizationCode(string text) : SecretText(text);

/// <summary>The app secret of the Wix app's dashboard: the <c>client_secret</c> of RFC 6749 §2.3.1.</summary>
internal sealed class AppSecret(string text) : SecretText(text);
