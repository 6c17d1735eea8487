using Azure.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace WixOAuth.Secrets;

/// <summary>Registers the sources of secrets.</summary>
internal static class SecretRegistration
{
    /// <summary>
    /// Registers the <see cref="VaultReader"/> where a vault is named. Nothing is read, and nobody signs in, until the first
    /// secret is asked for. The host adds logging.
    /// </summary>
    public static IServiceCollection AddKeyVault(this IServiceCollection services, Uri? vaultUri)
    {
        services.TryAddSingleton(TimeProvider.System);
        if (vaultUri is not null)
        {
            services.AddAzureIdentity();
            services.TryAddSingleton(provider => VaultReader.CreateClient(vaultUri, provider.GetRequiredService<TokenCredential>()));
            services.AddSingleton<VaultReader>();
        }

        return services;
    }

    /// <summary>Registers the source of a secret: the configured value, or without one the vault.</summary>
    /// <exception cref="ArgumentException">There is neither.</exception>
    public static IServiceCollection AddSecret<T>(this IServiceCollection services, T? configured, Func<IServiceProvider, ISecretSource<T>> fromVault)
        where T : class
    {
        if (configured is not null)
        {
            return services.AddSingleton<ISecretSource<T>>(new ConfiguredSource<T>(configured));
        }

        return services.Any(service => service.ServiceType == typeof(VaultReader))
            ? services.AddSingleton(fromVault)
            : throw new ArgumentException("The settings name no source of secrets.", nameof(configured));
    }
}
