using Azure.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Settings;

namespace WixOAuth.Maintenance.Backup;

internal static class BackupRegistration
{
    /// <summary>Registers <see cref="BackupTimer"/>, and what it needs where the settings name a place for copies.</summary>
    public static IServiceCollection AddBackup(this IServiceCollection services, ServiceSettings settings)
    {
        services.AddSingleton<BackupMetrics>();
        services.AddSingleton<BackupTimer>();
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

/// <summary>What the timer <c>Backup</c> does.</summary>
internal sealed class BackupTimer(BackupMonitor monitor, ILogger<BackupTimer> logger, BackupRun? run = null)
{
    private int _told;

    /// <summary>Makes a copy, or says once that none are configured.</summary>
    /// <exception cref="StorageUnavailableException">The table or the blob service fails; the next run tries again.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (run is null)
        {
            if (Interlocked.Exchange(ref _told, 1) == 0)
            {
                logger.BackupNotConfigured();
            }

            return;
        }

        await run.RunAsync(progress: null, cancellationToken);
        monitor.Finished();
    }
}
