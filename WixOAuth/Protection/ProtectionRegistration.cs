using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;

namespace WixOAuth.Protection;

/// <summary>Registers the keys and what seals with them.</summary>
internal static class ProtectionRegistration
{
    /// <summary>Registers <see cref="IKeyRing"/>, <see cref="TokenProtector"/> and <see cref="StateProtector"/>, after <c>AddKeyVault</c>.</summary>
    /// <param name="services">The services.</param>
    /// <param name="configured">The protection key of the settings, for a laptop without Key Vault.</param>
    /// <param name="nameInVault">The name of the protection key in Key Vault.</param>
    /// <exception cref="ArgumentException">There is neither a vault nor a configured key.</exception>
    public static IServiceCollection AddProtection(this IServiceCollection services, ProtectionKey? configured, string nameInVault)
    {
        services.AddSecret(configured is null ? null : new ProtectionKeys(configured), provider => KeysOf(provider, nameInVault));
        services.AddSingleton<IKeyRing, KeyRing>();
        services.AddSingleton(provider => new TokenProtector(provider.GetRequiredService<IKeyRing>(), provider.GetService<IKeyCheck>()));
        return services.AddSingleton(provider => new StateProtector(provider.GetRequiredService<IKeyRing>()));
    }

    private static ISecretSource<ProtectionKeys> KeysOf(IServiceProvider provider, string name)
    {
        var vault = provider.GetRequiredService<VaultReader>();
        var loader = new KeyVaultKeyLoader(
            vault, name, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<KeyRing>>());
        return vault.SourceOf(name, loader.LoadAsync);
    }
}
