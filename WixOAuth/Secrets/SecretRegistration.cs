using Azure.Core;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WixOAuth.Settings;

namespace WixOAuth.Secrets;

/// <summary>Registers the sources of secrets.</summary>
internal static class SecretRegistration
{
    /// <summary>
    /// Registers <see cref="ISecretSource{T}"/> of the app secret, and the <see cref="VaultReader"/> where
    /// <c>KeyVault__VaultUri</c> is set. Nothing is read and nobody signs in until the first secret is asked for. The host
    /// adds logging.
    /// </summary>
    /// <exception cref="ArgumentException">The settings have neither a vault nor an app secret; their problems say so too.</exception>
    public static IServiceCollection AddSecrets(this IServiceCollection services, ServiceSettings settings)
    {
        services.TryAddSingleton(TimeProvider.System);
        if (settings.KeyVault.VaultUri is { } vaultUri)
        {
            services.AddAzureIdentity();
            services.TryAddSingleton(provider => VaultReader.CreateClient(vaultUri, provider.GetRequiredService<TokenCredential>()));
            services.AddSingleton<VaultReader>();
        }

        return services.AddSecret(
            settings.Wix.AppSecret is { } appSecret ? new AppSecretVersion("configured", appSecret) : null,
            provider => provider.GetRequiredService<VaultReader>().SourceOf(settings.Wix.AppSecretName, AppSecretVersion.Parse));
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
