using System.Security.Cryptography;
using WixOAuth.Instances;

namespace WixOAuth.Protection;

/// <summary>
/// The sealed text of the key-check row: a constant, which opens with the protection key that it was sealed with and no
/// other.
/// </summary>
internal static class KeyCheck
{
    private static readonly DerivedKeys s_keys = new("key-check");

    public static ProtectedText Seal(ProtectionKey key)
    {
        var data = new byte[SealedBytes.Overhead + Plaintext.Length];
        SealedBytes.Seal(s_keys.Of(key), Plaintext, AssociatedData.OfKeyCheck, data);
        return new ProtectedText(key.Id, data);
    }

    public static bool Opens(ProtectionKey key, ProtectedText check) =>
        SealedBytes.Open(s_keys.Of(key), check.Data.Span, AssociatedData.OfKeyCheck) is { } plaintext
        && CryptographicOperations.FixedTimeEquals(plaintext, Plaintext);

    private static ReadOnlySpan<byte> Plaintext => "WixOAuth key check"u8;
}
