using System.Security.Cryptography;
using WixOAuth.Instances;

namespace WixOAuth.Protection;

/// <summary>
/// The sealed text of the key-check row: a constant, which opens with the protection key that it was sealed with and no
/// other.
/// </summary>
internal static class KeyCheck
{
    private const string Purpose = "key-check";

    public static ProtectedText Seal(ProtectionKey key) =>
        new(key.Id, SealedBytes.Seal(key.Derive(Purpose), Plaintext, AssociatedData.OfKeyCheck));

    public static bool Opens(ProtectionKey key, ProtectedText check) =>
        SealedBytes.Open(key.Derive(Purpose), check.Data.Span, AssociatedData.OfKeyCheck) is { } plaintext
        && CryptographicOperations.FixedTimeEquals(plaintext, Plaintext);

    private static ReadOnlySpan<byte> Plaintext => "WixOAuth key check"u8;
}
