using Azure.Core;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Instances;
using WixOAuth.Settings;

namespace WixOAuth.Maintenance.Backup;

internal static class BackupRegistration
{
    public static IServiceCollection AddBackup(this IServiceCollection services, ServiceSettings settings)
    {
        services.AddSingleton<BackupMonitor>();
        if (!settings.Backup.IsConfigured)
        {
            services.AddSingleton<IForgottenInstances, NoForgottenInstances>();
            return services;
        }

        services.AddSingleton(provider => BackupContainer.Open(settings.Backup, provider.GetService<TokenCredential>()));
        services.AddSingleton<IForgottenInstances>(provider => provider.GetRequiredService<BackupContainer>());
        services.AddSingleton<BackupRun>();
        return services;
    }
}
