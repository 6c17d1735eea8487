using System.Globalization;
using System.Security.Cryptography;

namespace WixOAuth.Instances;

/// <summary>One of the 16 parts of all instances, by a hash of the instance id: a partition of the table, and the unit of a sweep by queue.</summary>
/// <param name="Number">0 to 15.</param>
internal readonly record struct InstanceShard(int Number)
{
    /// <summary>How many there are. Every stored row depends on it: it cannot change.</summary>
    public const int Count = 16;

    public static IReadOnlyList<InstanceShard> All { get; } = [.. Enumerable.Range(0, Count).Select(number => new InstanceShard(number))];

    public static InstanceShard Of(InstanceId id) => Of(id.ToByteArray());

    /// <summary>Reads a number from 0 to 15, without sign or spaces.</summary>
    public static bool TryParse(string? text, out InstanceShard shard)
    {
        var isOne = int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number < Count;
        shard = new InstanceShard(isOne ? number : 0);
        return isOne;
    }

    /// <summary>The number in plain text, as a message holds it.</summary>
    public override string ToString() => Number.ToString(CultureInfo.InvariantCulture);

    internal static InstanceShard Of(byte[] key) => new(SHA256.HashData(key)[0] % Count);
}
