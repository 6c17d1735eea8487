using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Hosting;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Storage;
using WixOAuth.Tokens;
using WixOAuth.Webhooks;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>The core put together by hand, on a clock, a store and a Wix that the test owns.</summary>
public sealed class Core : IDisposable
{
    private readonly ServiceProvider _services;
    private readonly Turns _turns = new();

    public static readonly byte[] Key = RandomNumberGenerator.GetBytes(ProtectionKey.Length);

    public Core(
        IInstanceStore? store = null,
        FakeTimeProvider? clock = null,
        ISecretSource<AppSecretVersion>? appSecret = null,
        IKeyRing? keys = null,
        params (string, string)[] settings)
    {
        Clock = clock ?? TestClock.New();
        Settings = Read(settings);
        Store = store ?? new MemoryInstanceStore();
        Tallies = Store as IRefreshTallyStore ?? new MemoryInstanceStore();
        var secret = new ConfiguredSource<AppSecretVersion>(new AppSecretVersion("configured", Settings.Wix.AppSecret!));
        var secrets = KeyRingOf(Settings.Tokens.ProtectionKey!);
        Http = new HttpClient(Wix);
        ServiceRegistration.Configure(Http);
        _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        Meters = _services.GetRequiredService<IMeterFactory>();
        Telemetry = new Telemetry(Meters);
        Client = new WixClient(Http, Http, Settings, Telemetry, Clock);
        Protector = new TokenProtector(keys ?? secrets);
        Memory = new TokenMemory(Clock);
        Schedule = new TokenSchedule(Settings);
        Writer = new InstanceWriter(Store, Clock);
        Background = new BackgroundWork(NullLogger<BackgroundWork>.Instance);
        Trust = new AppSecretTrust(Telemetry, Clock, Logs.For<AppSecretTrust>());
        Uses = new LastUses(Store, Background, Settings, Telemetry, Clock, Logs.For<LastUses>());
        History = new RefreshHistory(Tallies, Clock, Logs.For<RefreshHistory>());
        var source = appSecret ?? secret;
        Keeper = new TokenKeeper(
            Store,
            Writer,
            new TokenGrants(Client, source, Trust, Settings),
            Protector,
            Memory,
            Schedule,
            Trust,
            Uses,
            Background,
            Telemetry,
            History,
            Clock,
            Logs.For<TokenKeeper>());
        Life = new InstanceLife(Writer, Keeper, new NoForgottenInstances(), Settings, Clock, NullLogger<InstanceLife>.Instance);
        Webhooks = new WebhookEndpoint(
            ReaderOf(Settings, Clock), Life, Background, Telemetry, Clock, Logs.For<WebhookEndpoint>());
        Setup = new SetupCompleter(Client, Store, Writer, Keeper, Schedule, Telemetry, Clock, Logs.For<SetupCompleter>());
        Sweep = new RefreshSweep(
            Store, Writer, Keeper, Schedule, Uses, Setup, Client, Trust, History, Settings, Telemetry, Clock, Logs.For<RefreshSweep>());
        Housekeeping = new Housekeeping(Store, Tallies, Telemetry, Clock, Logs.For<Housekeeping>());
        TokenReencryption = new TokenReencryption(Store, secrets, Protector, Telemetry, Clock, Logs.For<TokenReencryption>());
        Tickets = new InstallStateService(new StateProtector(secrets), Clock);
        Flow = new InstallFlow(
            Tickets,
            Store,
            Writer,
            new TokenGrants(Client, source, Trust, Settings),
            Client,
            Protector,
            Keeper,
            Schedule,
            Setup,
            Background,
            Settings,
            Telemetry,
            Clock,
            Logs.For<InstallFlow>());
    }

    public FakeTimeProvider Clock { get; }

    public LogLines Logs { get; } = new();

    public IMeterFactory Meters { get; }

    public Telemetry Telemetry { get; }

    public StubWix Wix { get; } = new();

    public ServiceSettings Settings { get; }

    public IInstanceStore Store { get; }

    public IRefreshTallyStore Tallies { get; }

    public HttpClient Http { get; }

    public WixClient Client { get; }

    public TokenProtector Protector { get; }

    public TokenMemory Memory { get; }

    public TokenSchedule Schedule { get; }

    public InstanceWriter Writer { get; }

    public BackgroundWork Background { get; }

    public AppSecretTrust Trust { get; }

    public LastUses Uses { get; }

    public RefreshHistory History { get; }

    public Housekeeping Housekeeping { get; }

    public TokenReencryption TokenReencryption { get; }

    public TokenKeeper Keeper { get; }

    public InstanceLife Life { get; }

    public WebhookEndpoint Webhooks { get; }

    public SetupCompleter Setup { get; }

    public RefreshSweep Sweep { get; }

    public InstallStateService Tickets { get; }

    public InstallFlow Flow { get; }

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
        var tokens = await Protector.ProtectAsync(id, 1, granted, granted.RefreshToken);
        var instance = Instance.Consented(null, id, new Consent(null, null, null, null, false), tokens, Guid.NewGuid().ToString("N"), now);
        return (await Store.TryWriteAsync(null, instance with { DueAt = Schedule.DueAt(instance, now) }, CancellationToken.None))!;
    }

    public async Task<Instance> ReadAsync(InstanceId id) => (await Store.FindAsync(id, CancellationToken.None))!.Instance;

    public async Task<string?> RefreshTokenOfAsync(InstanceId id)
    {
        var instance = await ReadAsync(id);
        return instance.RefreshToken is { } text
            ? (await Protector.UnprotectRefreshTokenAsync(id, instance.Generation, text, CancellationToken.None))?.Reveal()
            : null;
    }

    public Task<TokenResult> GetAsync(InstanceId id, TokenDemand? demand = null, CancellationToken cancellationToken = default) =>
        _turns.Begin(() => Keeper.GetTokenAsync(id, demand ?? TokenDemand.Default, cancellationToken).AsTask());

    /// <summary>Begins work that goes on turn by turn, so that a test knows when it waits for the clock.</summary>
    public Task<T> Begin<T>(Func<Task<T>> work) => _turns.Begin(work);

    /// <summary>Begins work turn by turn, and lets time pass whenever it waits, until it has ended.</summary>
    public Task<T> RunAsync<T>(Func<Task<T>> work, TimeSpan? step = null) => Clock.RunAsync(Begin(work), step);

    /// <summary>A reader that knows the keys of the settings.</summary>
    public static WebhookReader ReaderOf(ServiceSettings settings, TimeProvider time) =>
        new(new ConfiguredSource<WebhookKeys>(new WebhookKeys(settings.Wix.WebhookPublicKeys)), settings, time);

    internal static IKeyRing KeyRingOf(ProtectionKey key) =>
        new KeyRing(new ConfiguredSource<ProtectionKeys>(new ProtectionKeys(key)), NullLogger<KeyRing>.Instance);

    public static InstanceId NewId() => new(Guid.NewGuid());

    public void Dispose()
    {
        _turns.Dispose();
        Memory.Dispose();
        Http.Dispose();
        Wix.Dispose();
        Telemetry.Dispose();
        _services.Dispose();
    }
}
