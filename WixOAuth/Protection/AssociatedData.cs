using System.Buffers.Binary;
using WixOAuth.Instances;

namespace WixOAuth.Protection;

/// <summary>
/// What a sealed text is bound to (the associated data of RFC 5116): it opens only where it was sealed for. The layouts
/// are part of what is stored: never change one.
/// </summary>
internal static class AssociatedData
{
    /// <summary>The instance (16 bytes), the field (1 byte) and the generation (8 bytes, big-endian) of a stored token.</summary>
    public static byte[] OfToken(InstanceId instance, TokenField field, long generation)
    {
        var data = new byte[16 + 1 + sizeof(long)];
        instance.ToByteArray().CopyTo(data, 0);
        data[16] = (byte)field;
        BinaryPrimitives.WriteInt64BigEndian(data.AsSpan(17), generation);
        return data;
    }

    /// <summary>The header of a text that a browser carries, and what the caller binds it to.</summary>
    public static byte[] OfState(ReadOnlySpan<byte> header, ReadOnlySpan<byte> rest) => [.. header, .. rest];

    /// <summary>The key-check row, of which there is one in a table.</summary>
    public static ReadOnlySpan<byte> OfKeyCheck => "key-check row"u8;
}
