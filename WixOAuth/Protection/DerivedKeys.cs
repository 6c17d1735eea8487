using System.Runtime.CompilerServices;

namespace WixOAuth.Protection;

/// <summary>The keys derived for one purpose, each cached for as long as the protection key it is derived from.</summary>
/// <param name="purpose">What the keys are for; each purpose has its own keys.</param>
internal sealed class DerivedKeys(string purpose)
{
    private readonly ConditionalWeakTable<ProtectionKey, byte[]> _derived = [];

    public byte[] Of(ProtectionKey key) => _derived.GetValue(key, found => found.Derive(purpose));
}
