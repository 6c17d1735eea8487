using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Protection;

/// <summary>Registers the keys and what seals with them.</summary>
internal static class ProtectionRegistration
{
    /// <summary>Registers <see cref="IKeyRing"/>, <see cref="TokenProtector"/> and <see cref="StateProtector"/>, after <c>AddSecrets</c>.</summary>
    /// <exception cref="ArgumentException">The settings have neither a vault nor a protection key; their problems say so too.</exception>
    public static IServiceCollection AddProtection(this IServiceCollection services, ServiceSettings settings)
    {
        services.AddSecret(
            settings.Tokens.ProtectionKey is { } key ? new ProtectionKeys(key) : null,
            provider => KeysOf(provider, settings.Tokens.ProtectionKeyName));
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
