using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using WixOAuth.Instances;

namespace WixOAuth.Http;

/// <summary>
/// The position where a list of instances continues, as opaque text. It is not a secret and grants nothing. Its checksum
/// detects a cursor that was truncated, changed or made for another list.
/// </summary>
internal static class ListCursor
{
    private const int Version = 1;
    private const int IdLength = 16;
    private const int SumLength = 6;

    public static string Write(string? list, InstanceId last)
    {
        Span<byte> bytes = [Version, .. last.ToByteArray()];
        return Base64Url.EncodeToString([.. bytes, .. SumOf(list, bytes)]);
    }

    /// <summary>Reads a cursor of a list; without one the list begins at its start.</summary>
    public static bool TryRead(string? text, string? list, out InstanceId? last)
    {
        last = null;
        if (text is null)
        {
            return true;
        }

        Span<byte> bytes = stackalloc byte[1 + IdLength + SumLength];
        if (text.Length != Base64Url.GetEncodedLength(bytes.Length)
            || Base64Url.DecodeFromChars(text, bytes, out _, out var length) != OperationStatus.Done // TryDecodeFromChars raises exceptions.
            || length != bytes.Length
            || bytes[0] != Version
            || !bytes[^SumLength..].SequenceEqual(SumOf(list, bytes[..^SumLength])))
        {
            return false;
        }

        last = new InstanceId(new Guid(bytes.Slice(1, IdLength), bigEndian: true));
        return true;
    }

    private static ReadOnlySpan<byte> SumOf(string? list, ReadOnlySpan<byte> bytes) =>
        SHA256.HashData([.. Encoding.UTF8.GetBytes(list ?? ""), .. bytes]).AsSpan(0, SumLength);
}
