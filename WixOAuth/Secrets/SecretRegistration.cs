using Azure.Core;
using Azure.Identity;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace WixOAuth.Secrets;

/// <summary>Registers the sources of secrets, and the identity that this program signs in to Azure with.</summary>
internal static class SecretRegistration
{
    /// <summary>
    /// Registers one <see cref="TokenCredential"/> for all Azure services. It is created on first use, so that a laptop without
    /// any Azure service never looks for an identity. In Azure it is the managed identity (<c>AZURE_CLIENT_ID</c> names a
    /// user-assigned one), elsewhere the account that is signed in to the Azure CLI or an editor.
    /// </summary>
    public static IServiceCollection AddAzureIdentity(this IServiceCollection services)
    {
        services.TryAddSingleton<TokenCredential>(_ => new DefaultAzureCredential());
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
