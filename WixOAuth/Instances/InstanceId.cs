using System.Diagnostics.CodeAnalysis;

namespace WixOAuth.Instances;

/// <summary>
/// Identifies one installation of the app on one site (Wix's <c>instanceId</c>, wix-protocol §1): a GUID that stays the
/// same when the app is installed again on that site. Its text is always the lower-case <c>D</c> form.
/// </summary>
internal readonly record struct InstanceId(Guid Value)
{
    /// <summary>Reads the one form Wix sends, 36 characters with hyphens, in either case. The empty GUID names no instance.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out InstanceId id)
    {
        // TryParseExact trims; a name with spaces round it is not one Wix ever made.
        if (text is { Length: 36 } && Guid.TryParseExact(text, "D", out var guid) && guid != Guid.Empty)
        {
            id = new InstanceId(guid);
            return true;
        }

        id = default;
        return false;
    }

    public override string ToString() => Value.ToString("D");

    /// <summary>The 16 bytes of the GUID in the order of its text.</summary>
    public byte[] ToByteArray() => Value.ToByteArray(bigEndian: true);
}
