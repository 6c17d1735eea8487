using Microsoft.Extensions.DependencyInjection;

namespace WixOAuth.Secrets;

/// <summary>Registers the sources of secrets.</summary>
internal static class SecretRegistration
{
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
