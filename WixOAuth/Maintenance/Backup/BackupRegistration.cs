using Azure.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Storage;

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

        if (settings.Backup.ServiceUri is not null)
        {
            services.AddAzureIdentity();
        }

        services.AddSingleton(provider => BackupContainer.Open(settings.Backup, provider.GetService<TokenCredential>()));
        services.AddSingleton<IForgottenInstances>(provider => provider.GetRequiredService<BackupContainer>());
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<BackupRun>(
            provider, TableConnection.Open(settings.Tables, provider.GetService<TokenCredential>())));
        return services;
    }
}

/// <summary>What the timer <c>Backup</c> does.</summary>
/// <param name="services">Where the copies come from, if they are configured.</param>
/// <param name="monitor">Told of a finished copy.</param>
/// <param name="logger">Told, once, that no copies are made.</param>
internal sealed class BackupTimer(IServiceProvider services, BackupMonitor monitor, ILogger<BackupTimer> logger)
{
    private int _told;

    /// <summary>Makes a copy, or says once that none are configured.</summary>
    /// <exception cref="StorageUnavailableException">The table or the blob service fails; the next run tries again.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        if (services.GetService<BackupRun>() is not { } run)
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
