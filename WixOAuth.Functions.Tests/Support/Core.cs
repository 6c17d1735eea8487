using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Events;
using WixOAuth.Hosting;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Lifecycle;
using WixOAuth.Maintenance;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>The service as it is registered, on a clock, a store, secrets and a Wix that the test owns. Its hosted services are not started.</summary>
internal sealed class Core : IDisposable
{
    private readonly ServiceProvider _services;
    private readonly SingleThreadSynchronizationContext _turns = new();

    public static readonly byte[] Key = RandomNumberGenerator.GetBytes(ProtectionKey.Length);

    public Core(
        IInstanceStore? store = null,
        FakeTimeProvider? clock = null,
        ISecretSource<AppSecretVersion>? appSecret = null,
        IKeyRing? keys = null,
        params (string, string)[] settings)
    {
        Clock = clock ?? TestClock.New();
        var memory = new MemoryInstanceStore();
        var services = new ServiceCollection();
        services.AddSingleton<ILoggerFactory>(Logs).AddSingleton(typeof(ILogger<>), typeof(Logger<>));
        services.AddWixOAuth(Configure(settings));
        services
            .Replace(ServiceDescriptor.Singleton<TimeProvider>(Clock))
            .Replace(ServiceDescriptor.Singleton(store ?? memory))
            .Replace(ServiceDescriptor.Singleton(store as IConsumedStateStore ?? memory))
            .Replace(ServiceDescriptor.Singleton(store as IRefreshTallyStore ?? memory))
            .Replace(ServiceDescriptor.Singleton(store as ISweepStateStore ?? memory))
            .Replace(ServiceDescriptor.Singleton(store as IKeyCheckStore ?? memory))
            .Replace(ServiceDescriptor.Singleton(store as IOutbox ?? memory));
        if (appSecret is not null)
        {
            services.Replace(ServiceDescriptor.Singleton(appSecret));
        }

        if (keys is not null)
        {
            services.Replace(ServiceDescriptor.Singleton(keys));
        }

        services.ConfigureAll<HttpClientFactoryOptions>(options => options.HttpMessageHandlerBuilderActions.Add(builder => builder.PrimaryHandler = Wix));
        _services = services.BuildServiceProvider();

        // Put together here: tests ask from many threads at once.
        Get<RefreshSweep>();
    }

    public FakeTimeProvider Clock { get; }

    public LogLines Logs { get; } = new();

    public StubWix Wix { get; } = new();

    public IMeterFactory Meters => Get<IMeterFactory>();

    public ServiceSettings Settings => Get<ServiceSettings>();

    public IInstanceStore Store => Get<IInstanceStore>();

    public IRefreshTallyStore Tallies => Get<IRefreshTallyStore>();

    public WixCircuit Circuit => Get<WixCircuit>();

    public ISweepStateStore SweepStates => Get<ISweepStateStore>();

    public WixClient Client => Get<WixClient>();

    public TokenProtector Protector => Get<TokenProtector>();

    public InstanceTokens InstanceTokens => Get<InstanceTokens>();

    public TokenMemory Memory => Get<TokenMemory>();

    public TokenSchedule Schedule => Get<TokenSchedule>();

    public InstanceWriter Writer => Get<InstanceWriter>();

    public BackgroundWork Background => Get<BackgroundWork>();

    public AppSecretLedger Ledger => Get<AppSecretLedger>();

    public AppSecretProbe Probe => Get<AppSecretProbe>();

    public TokenReencryption TokenReencryption => Get<TokenReencryption>();

    public LastUsedTracker Uses => Get<LastUsedTracker>();

    public RefreshHistory History => Get<RefreshHistory>();

    public Housekeeping Housekeeping => Get<Housekeeping>();

    public TokenService Tokens => Get<TokenService>();

    public InstallLinkService Links => Get<InstallLinkService>();

    public InstallStart Start => Get<InstallStart>();

    public ExchangeLimiter Limiter => Get<ExchangeLimiter>();

    public ConsumedStateCleanup Cleanup => Get<ConsumedStateCleanup>();

    public InstanceLifecycle Life => Get<InstanceLifecycle>();

    public InstallStateService States => Get<InstallStateService>();

    public WebhookEndpoint Webhooks => Get<WebhookEndpoint>();

    public SetupCompleter Setup => Get<SetupCompleter>();

    public RefreshSweep Sweep => Get<RefreshSweep>();

    public InstallFlow Flow => Get<InstallFlow>();

    /// <summary>Any other part of the service.</summary>
    public T Get<T>()
        where T : notnull => _services.GetRequiredService<T>();

    public static ServiceSettings Read(params (string Name, string Value)[] more)
    {
        var settings = ServiceSettings.Read(Configure(more));
        Assert.Empty(settings.Problems);
        return settings;
    }

    /// <summary>Settings that are good, and more.</summary>
    public static IConfiguration Configure(params (string Name, string Value)[] more)
    {
        var values = new Dictionary<string, string?>
        {
            ["Wix:AppId"] = "11111111-2222-4333-8444-555555555555",
            ["Wix:AppSecret"] = "the-app-secret",
            ["Wix:RedirectUrl"] = "https://tokens.example.com/api/redirect",
            ["Tables:ConnectionString"] = "UseDevelopmentStorage=true",
            ["Tokens:ProtectionKey"] = Convert.ToBase64String(Key),
        };
        foreach (var (name, value) in more)
        {
            values[name.Replace("__", ":", StringComparison.Ordinal)] = value;
        }

        return new ConfigurationBuilder().AddInMemoryCollection(values).Build();
    }

    /// <summary>Saves an instance with tokens, as if it had just been installed.</summary>
    public async Task<StoredInstance> InstallAsync(InstanceId id, string access = "access-1", string refresh = "refresh-1", TimeSpan? lifetime = null)
    {
        var now = Clock.GetUtcNow();
        var granted = new TokenAnswer.Granted(new AccessToken(access), new RefreshToken(refresh), now, now + (lifetime ?? TimeSpan.FromMinutes(5)));
        var tokens = await InstanceTokens.SealAsync(id, 1, granted, granted.RefreshToken);
        var instance = Instance.Consented(null, id, new Consent(null, null, null, null, false), tokens, Guid.NewGuid().ToString("N"), now);
        return (await Store.TryWriteAsync(null, instance with { DueAt = Schedule.DueAt(instance, now) }, CancellationToken.None))!;
    }

    public async Task<Instance> ReadAsync(InstanceId id) => (await Store.FindAsync(id, CancellationToken.None))!.Instance;

    public async Task<string?> RefreshTokenOfAsync(InstanceId id)
    {
        var instance = await ReadAsync(id);
        return instance.RefreshToken is { } text
            ? (await Protector.UnprotectRefreshTokenAsync(id, instance.RefreshTokenGeneration ?? instance.Generation, text, CancellationToken.None))?.Reveal()
            : null;
    }

    public Task<TokenResult> GetAsync(InstanceId id, TokenRequirements? requirements = null, CancellationToken cancellationToken = default) =>
        _turns.Begin(() => Tokens.GetTokenAsync(id, requirements ?? TokenRequirements.Default, cancellationToken).AsTask());

    /// <summary>Begins work that goes on turn by turn, so that a test knows when it waits for the clock.</summary>
    public Task<T> Begin<T>(Func<Task<T>> work) => _turns.Begin(work);

    /// <summary>Begins work turn by turn, and lets time pass whenever it waits, until it has ended.</summary>
    public Task<T> RunAsync<T>(Func<Task<T>> work, TimeSpan? step = null) => Clock.RunAsync(Begin(work), step);

    /// <summary>A reader that knows the keys of the settings.</summary>
    public static WebhookReader ReaderOf(ServiceSettings settings, TimeProvider time) =>
        new(new ConfiguredSource<WebhookKeys>(new WebhookKeys(settings.Wix.WebhookPublicKeys)), settings, time);

    internal static IKeyRing KeyRingOf(ProtectionKey key) =>
        new KeyRing(new ConfiguredSource<ProtectionKeys>(new ProtectionKeys(key)), NullLogger<KeyRing>.Instance);

    /// <summary>
    /// As in Key Vault while a version is disabled. Without <paramref name="areAll"/> the versions may not be listed, so that
    /// nothing is known of it.
    /// </summary>
    internal static IKeyRing KeyRingOf(ProtectionKey key, ProtectionKey disabled, bool areAll = true) => new KeyRing(
        new ConfiguredSource<ProtectionKeys>(new ProtectionKeys(key) with
        {
            Unusable = areAll ? new Dictionary<string, string> { [disabled.Id] = "It is disabled." } : new Dictionary<string, string>(),
            AreAll = areAll,
        }),
        NullLogger<KeyRing>.Instance);

    /// <summary>A new id, of a site whose name is asked for just before midnight: no test meets that by chance.</summary>
    public static InstanceId NewId()
    {
        var bytes = Guid.NewGuid().ToByteArray();
        bytes[12] = 0;
        bytes[13] &= 0x0F;
        return new InstanceId(new Guid(bytes));
    }

    public void Dispose()
    {
        _turns.Dispose();
        _services.Dispose();
        Wix.Dispose();
    }
}
