using Azure.Core;
using Azure.Security.KeyVault.Secrets;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WixOAuth.Events;
using WixOAuth.Hosting;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Maintenance;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Storage;
using WixOAuth.Telemetry;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth;

/// <summary>Registers the whole service.</summary>
public static class ServiceRegistration
{
    private const string WixHttp = "Wix";
    private const string WixExchangeHttp = "Wix exchange";

    /// <summary>Registers the service with the settings of <paramref name="configuration"/>.</summary>
    /// <exception cref="OptionsValidationException">Settings are bad; its failures name each one and what it should be.</exception>
    public static IServiceCollection AddWixOAuth(this IServiceCollection services, IConfiguration configuration)
    {
        var settings = ServiceSettings.Read(configuration);
        if (settings.Problems.Count > 0)
        {
            throw new OptionsValidationException("WixOAuth", typeof(ServiceSettings), settings.Problems);
        }

        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton(settings);
        services.AddMetrics();
        services.AddSingleton<Instruments>();
        services.AddSecrets(settings);
        services.AddStorage(settings);
        services.AddBackup(settings);
        services.AddShardMessages(settings);
        services.AddWixClient();
        services.AddSingleton<BackgroundWork>();
        services.AddHostedService(provider => provider.GetRequiredService<BackgroundWork>());
        services.AddTokens();
        services.AddInstall();
        services.AddMaintenance();
        services.AddEvents(settings);
        services.AddLifecycle(settings);
        services.AddEndpoints();
        services.AddHostedService(provider => provider.GetRequiredService<RefreshHistory>());
        services.AddHostedService<WarmUp>();
        return services;
    }

    /// <summary>Registers the app secret, the protection keys and what encrypts with them. The host adds logging.</summary>
    /// <exception cref="ArgumentException">The settings have neither a vault nor the secrets themselves; their problems say so.</exception>
    internal static IServiceCollection AddSecrets(this IServiceCollection services, ServiceSettings settings)
    {
        services.TryAddSingleton(TimeProvider.System);
        if (settings.KeyVault.VaultUri is { } vaultUri)
        {
            // Nobody signs in until the first secret is asked for.
            services.AddAzureIdentity();
            services.TryAddSingleton(provider => new SecretClient(vaultUri, provider.GetRequiredService<TokenCredential>(), VaultReader.ClientOptions()));
            services.AddSingleton<VaultReader>();
        }

        services.AddSecret(
            settings.Wix.AppSecret is { } appSecret ? new AppSecretVersion("configured", appSecret) : null,
            provider => provider.GetRequiredService<VaultReader>().SourceOf(settings.Wix.AppSecretName, AppSecretVersion.Parse));
        services.AddSecret(
            settings.Tokens.ProtectionKey is { } key ? new ProtectionKeys(key) : null,
            provider =>
            {
                var (vault, name) = (provider.GetRequiredService<VaultReader>(), settings.Tokens.ProtectionKeyName);
                var loader = new KeyVaultKeyLoader(vault, name, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<KeyRing>>());
                return vault.SourceOf(name, loader.LoadAsync);
            });
        services.AddSingleton<IKeyRing, KeyRing>();
        services.AddSingleton<TokenProtector>();
        return services.AddSingleton<StateProtector>();
    }

    private static void AddTokens(this IServiceCollection services)
    {
        services.AddSingleton<TokenMetrics>();
        services.AddSingleton<TokenMemory>();
        services.AddSingleton<TokenSchedule>();
        services.AddSingleton<TokenGrants>();
        services.AddSingleton<InstanceTokens>();
        services.AddSingleton<RefreshLeases>();
        services.AddSingleton<RefreshAttempts>();
        services.AddSingleton<TokenCommitter>();
        services.AddSingleton<FailureRecorder>();
        services.AddSingleton<AppSecretLedger>();
        services.AddSingleton<AppSecretProbe>();
        services.AddSingleton<FalseRejections>();
        services.AddSingleton<SiteDescriber>();
        services.AddSingleton<LastUsedTracker>();
        services.AddSingleton<RefreshHistory>();
        services.AddSingleton<TokenRefresher>();
        services.AddSingleton<TokenService>();
    }

    private static void AddInstall(this IServiceCollection services)
    {
        services.AddSingleton<InstallMetrics>();
        services.AddSingleton<InstallStateService>();
        services.AddSingleton<InstallLinkService>();
        services.AddSingleton<InstallStart>();
        services.AddSingleton<ExchangeLimiter>();
        services.AddSingleton<RepeatedRedirects>();
        services.AddSingleton<InstanceConfirmation>();
        services.AddSingleton<ConsentSaver>();
        services.AddSingleton<SetupCompleter>();
        services.AddSingleton<InstallFlow>();
        services.AddSingleton<InstanceImport>();
    }

    private static void AddMaintenance(this IServiceCollection services)
    {
        services.AddSingleton<MaintenanceMetrics>();
        services.AddSingleton<DueInstanceRefresher>();
        services.AddSingleton<SweepStateRecorder>();
        services.AddSingleton<RefreshSweep>();
        services.AddSingleton<ConsumedStateCleanup>();
        services.AddSingleton<Housekeeping>();
        services.AddSingleton<TokenReencryption>();
        services.AddSingleton<ProtectionKeyCheck>();
        services.AddHostedService(provider => provider.GetRequiredService<ProtectionKeyCheck>());
    }

    private static void AddBackup(this IServiceCollection services, ServiceSettings settings)
    {
        services.AddSingleton<BackupMonitor>();
        if (!settings.Backup.IsConfigured)
        {
            services.AddSingleton<IForgottenInstances, NoForgottenInstances>();
            return;
        }

        services.AddSingleton(provider => BackupContainer.Open(settings.Backup, provider.GetService<TokenCredential>()));
        services.AddSingleton<IForgottenInstances>(provider => provider.GetRequiredService<BackupContainer>());
        services.AddSingleton<BackupRun>();
    }

    private static void AddLifecycle(this IServiceCollection services, ServiceSettings settings)
    {
        services.AddSingleton<InstanceLifecycle>();
        services.AddSingleton<WebhookReader>();
        services.AddSecret(
            settings.Wix.WebhookPublicKeyName is { Length: > 0 } ? null : new WebhookKeys(settings.Wix.WebhookPublicKeys),
            provider => provider.GetRequiredService<VaultReader>()
                .SourceOf(settings.Wix.WebhookPublicKeyName!, WebhookKeys.Parse, whenMissing: new WebhookKeys([])));
    }

    private static void AddEndpoints(this IServiceCollection services)
    {
        services.AddSingleton<InstallEndpoints>();
        services.AddSingleton<TokenEndpoints>();
        services.AddSingleton<InstanceEndpoints>();
        services.AddSingleton<ImportEndpoint>();
        services.AddSingleton<WebhookEndpoint>();
        services.AddSingleton<StatusEndpoint>();
        services.AddSingleton<ServiceEndpoints>();
        services.AddSingleton<HealthChecks>();
        services.AddSingleton<ServiceTroubles>();
        services.AddSingleton<TimerEndpoints>();
    }

    private static void AddStorage(this IServiceCollection services, ServiceSettings settings)
    {
        if (new StorageOptions[] { settings.Tables, settings.Backup, settings.Sweep }.Any(options => options.ServiceUri is not null))
        {
            services.AddAzureIdentity();
        }

        services.AddSingleton(provider => TableConnection.Open(settings.Tables, provider.GetService<TokenCredential>()));
        services.AddSingleton<TableGateway>();
        services.AddSingleton<StorageClock>();
        services.AddSingleton<IInstanceStore, TableInstanceStore>();
        services.AddSingleton<IConsumedStateStore, TableConsumedStates>();
        services.AddSingleton<IOutbox, TableOutbox>();
        services.AddSingleton<TableServiceRows>();
        services.AddSingleton<ISweepStateStore>(provider => provider.GetRequiredService<TableServiceRows>());
        services.AddSingleton<IRefreshTallyStore>(provider => provider.GetRequiredService<TableServiceRows>());
        services.AddSingleton<IKeyCheckStore>(provider => provider.GetRequiredService<TableServiceRows>());
        services.AddSingleton<InstanceWriter>();
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<InstanceOverview>(provider, settings.Wix.PreferredGrant));
        services.AddHostedService<StorageInitializer>();
    }

    private static void AddShardMessages(this IServiceCollection services, ServiceSettings settings)
    {
        if (settings.Tokens.SweepBy != SweepBy.Queue)
        {
            return;
        }

        services.AddSingleton(provider => ShardMessages.Open(settings.Sweep, provider.GetService<TokenCredential>()));
        services.AddSingleton<ShardMessages>();
    }

    private static void AddWixClient(this IServiceCollection services)
    {
        services.AddOutgoingHttp(WixHttp, connectionLifetime: TimeSpan.FromMinutes(5), connectTimeout: TimeSpan.FromSeconds(4));
        services.AddOutgoingHttp(WixExchangeHttp, connectionLifetime: TimeSpan.Zero, connectTimeout: TimeSpan.FromSeconds(4));
        services.AddSingleton<WixMetrics>();
        services.AddSingleton<WixCircuit>();
        services.AddSingleton(provider =>
        {
            var clients = provider.GetRequiredService<IHttpClientFactory>();
            return ActivatorUtilities.CreateInstance<WixTransport>(provider, clients.CreateClient(WixHttp), clients.CreateClient(WixExchangeHttp));
        });
        services.AddSingleton<WixClient>();
    }
}
