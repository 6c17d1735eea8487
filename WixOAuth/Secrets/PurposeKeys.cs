using System.Runtime.CompilerServices;

namespace WixOAuth.Secrets;

/// <summary>The keys derived for one purpose, each kept for as long as the key that it is derived from.</summary>
/// <param name="purpose">What the keys are for; another purpose has other keys.</param>
internal sealed class PurposeKeys(string purpose)
{
    private readonly ConditionalWeakTable<ProtectionKey, byte[]> _derived = [];

    public byte[] Of(ProtectionKey key) => _derived.GetValue(key, found => found.Derive(purpose));
}
