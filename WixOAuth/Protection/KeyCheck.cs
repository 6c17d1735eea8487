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
        new(key.Id, SealedBytes.Seal(key.Derive(Purpose), Plaintext, AssociatedData));

    public static bool Opens(ProtectionKey key, ProtectedText check) =>
        SealedBytes.Open(key.Derive(Purpose), check.Data.Span, AssociatedData) is { } plaintext
        && CryptographicOperations.FixedTimeEquals(plaintext, Plaintext);

    /// <summary>The row, of which there is one in a table (the associated data of RFC 5116). Part of what is stored: never change it.</summary>
    private static ReadOnlySpan<byte> AssociatedData => "key-check row"u8;

    private static ReadOnlySpan<byte> Plaintext => "WixOAuth key check"u8;
}
