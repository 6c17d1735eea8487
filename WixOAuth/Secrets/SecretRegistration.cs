using Azure.Core;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WixOAuth.Settings;

namespace WixOAuth.Secrets;

/// <summary>Registers where secrets come from and what is encrypted with them.</summary>
internal static class SecretRegistration
{
    /// <summary>
    /// Registers <see cref="IAppSecretSource"/>, <see cref="IProtectionKeySource"/>, <see cref="TokenProtector"/> and
    /// <see cref="StateProtector"/>: from Key Vault where <c>KeyVault__VaultUri</c> is set, else from the settings.
    /// Nothing is read and nobody signs in until the first secret is asked for. The host adds logging.
    /// </summary>
    /// <exception cref="ArgumentException">The settings have neither a vault nor both secrets; their problems say so too.</exception>
    public static IServiceCollection AddSecrets(this IServiceCollection services, ServiceSettings settings)
    {
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<TokenProtector>();
        services.AddSingleton<StateProtector>();

        if (settings.KeyVault.VaultUri is { } vaultUri)
        {
            services.AddAzureIdentity();
            services.TryAddSingleton(provider => VaultReader.CreateClient(vaultUri, provider.GetRequiredService<TokenCredential>()));
            services.AddSingleton(provider => new VaultReader(
                provider.GetRequiredService<SecretClient>(), provider.GetRequiredService<TimeProvider>()));
            services.AddSingleton<IAppSecretSource>(provider =>
                ActivatorUtilities.CreateInstance<KeyVaultAppSecretSource>(provider, settings.Wix.AppSecretName));
            services.AddSingleton<IProtectionKeySource>(provider =>
                ActivatorUtilities.CreateInstance<KeyVaultProtectionKeySource>(provider, settings.Tokens.ProtectionKeyName));
        }
        else if (settings is { Wix.AppSecret: { } appSecret, Tokens.ProtectionKey: { } protectionKey })
        {
            var configured = new ConfiguredSecrets(appSecret, protectionKey);
            services.AddSingleton<IAppSecretSource>(configured);
            services.AddSingleton<IProtectionKeySource>(configured);
        }
        else
        {
            throw new ArgumentException("The settings name no source of secrets.", nameof(settings));
        }

        return services;
    }
}
