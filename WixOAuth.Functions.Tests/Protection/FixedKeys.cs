using System.Security.Cryptography;
using System.Text;
using CsCheck;
using WixOAuth.Instances;
using WixOAuth.Protection;

namespace WixOAuth.Functions.Tests.Protection;

/// <summary>Keys that are there: the last one is the newest.</summary>
internal sealed class FixedKeys(params ProtectionKey[] keys) : IKeyRing
{
    public ValueTask<ProtectionKey> GetCurrentAsync(CancellationToken cancellationToken) => new(keys[^1]);

    public ValueTask<ProtectionKey?> FindAsync(string id, CancellationToken cancellationToken) =>
        new(Array.Find(keys, key => key.Id == id));

    public static ProtectionKey NewKey(string? id = null)
    {
        var key = RandomNumberGenerator.GetBytes(ProtectionKey.Length);
        return new ProtectionKey(id ?? ProtectionKey.IdOf(key), key);
    }
}

/// <summary>What properties are tried with.</summary>
internal static class Any
{
    /// <summary>Well-formed Unicode of 1 to 300 characters, any plane.</summary>
    public static readonly Gen<string> Text =
        Gen.OneOf(Gen.Int[0, 0x7F], Gen.Int[0, 0xD7FF], Gen.Int[0xE000, 0x10FFFF])
            .Select(point => new Rune(point).ToString()).Array[1, 300].Select(string.Concat);

    public static readonly Gen<InstanceId> Instance = Gen.Guid.Select(id => new InstanceId(id));
}
