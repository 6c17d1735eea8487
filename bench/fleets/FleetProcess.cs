using System.Globalization;
using Microsoft.Extensions.DependencyInjection.Extensions;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Protection;
using WixOAuth.Scale;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Fleets;

/// <summary>One process of the service as it is registered, but for its storage, Wix and clock.</summary>
internal sealed class FleetProcess : IDisposable
{
    /// <summary>The protection key that the fleet's tokens are sealed with.</summary>
    public static readonly ProtectionKey Key = KeyOf(1);

    private readonly ServiceProvider _services;
    private readonly HttpClient _http;
    private readonly ProcessClock _clock;
    private readonly SimulatedTime _time;
    private readonly FleetWix _wix;
    private readonly RefreshSweep _sweep;
    private readonly TokenService _tokens;
    private bool _isSweeping;

    public FleetProcess(SimulatedTime time, FleetStorage storage, FleetWix wix, FleetSchedule schedule, LogCounts logs, bool hasWrongKey, TimeSpan offset)
    {
        (_time, _wix, _clock) = (time, wix, new ProcessClock(time) { Offset = offset });
        _http = new HttpClient(wix, disposeHandler: false) { Timeout = Timeout.InfiniteTimeSpan };
        var settings = new Dictionary<string, string?>
        {
            ["Wix:AppId"] = "11111111-2222-4333-8444-555555555555",
            ["Wix:AppSecret"] = "the-app-secret",
            ["Wix:RedirectUrl"] = "https://tokens.example.com/api/redirect",
            ["Wix:ClientCredentialsFallback"] = schedule.Fallback.ToString(CultureInfo.InvariantCulture),
            ["Tables:ConnectionString"] = "UseDevelopmentStorage=true",
            ["Tokens:ProtectionKey"] = Convert.ToBase64String(BytesOf(hasWrongKey ? (byte)2 : (byte)1)),
            ["Tokens:IdleAfter"] = schedule.KeepsWarm ? "00:00:00" : "01:00:00",
        };
        var services = new ServiceCollection();
        services.AddSingleton<ILoggerFactory>(logs).AddSingleton(typeof(ILogger<>), typeof(Logger<>));
        services.AddWixOAuth(new ConfigurationBuilder().AddInMemoryCollection(settings).Build());
        services
            .Replace(ServiceDescriptor.Singleton<TimeProvider>(_clock))
            .Replace(ServiceDescriptor.Singleton(storage.SeenBy(_clock)))
            .Replace(ServiceDescriptor.Singleton<IConsumedStateStore>(storage.Memory))
            .Replace(ServiceDescriptor.Singleton<IRefreshTallyStore>(storage.Memory))
            .Replace(ServiceDescriptor.Singleton<ISweepStateStore>(storage.Memory))
            .Replace(ServiceDescriptor.Singleton<IKeyCheckStore>(storage.Memory))
            .Replace(ServiceDescriptor.Singleton(provider => ActivatorUtilities.CreateInstance<WixTransport>(provider, _http, _http)));
        _services = services.BuildServiceProvider();
        (_sweep, _tokens) = (_services.GetRequiredService<RefreshSweep>(), _services.GetRequiredService<TokenService>());
    }

    /// <summary>How far its clock is ahead.</summary>
    public TimeSpan Offset
    {
        get => _clock.Offset;
        set => _clock.Offset = value;
    }

    public Task<TokenResult> GetTokenAsync(InstanceId id) => _tokens.GetTokenAsync(id, TokenRequirements.Default, CancellationToken.None).AsTask();

    /// <summary>Sweeps, unless it still does: the host starts no timer that still runs.</summary>
    public async Task SweepAsync()
    {
        if (_isSweeping)
        {
            return;
        }

        _isSweeping = true;
        await _sweep.RunAsync(CancellationToken.None);
        _isSweeping = false;
    }

    /// <summary>An operator asks for a new token.</summary>
    public Task RefreshAsync(InstanceId id) => _tokens.GetTokenAsync(id, TokenRequirements.New, CancellationToken.None).AsTask();

    /// <summary>A browser comes back from Wix with a code. As the Redirect does, it spends no code whose tokens it cannot save.</summary>
    public async Task ConsentAsync(InstanceId id)
    {
        try
        {
            await _services.GetRequiredService<TokenProtector>().EnsureCanSealAsync(CancellationToken.None);
        }
        catch (SecretUnavailableException)
        {
            return;
        }

        var granted = await _wix.ConsentAsync(id, _clock.GetUtcNow());
        var consent = new Consent(null, null, null, WixIssuedAt: _time.GetUtcNow(), SendSetupCompleted: false);
        await _services.GetRequiredService<ConsentSaver>().SaveAsync(id, consent, granted, granted.RefreshToken!);
    }

    public void Dispose()
    {
        _services.Dispose();
        _http.Dispose();
    }

    private static ProtectionKey KeyOf(byte number) => new(ProtectionKey.IdOf(BytesOf(number)), BytesOf(number));

    private static byte[] BytesOf(byte number) => [.. Enumerable.Repeat(number, ProtectionKey.Length)];

    /// <summary>The true time, put forward or back for this process alone. Pauses last as long as they say.</summary>
    private sealed class ProcessClock(SimulatedTime time) : TimeProvider
    {
        public TimeSpan Offset { get; set; }

        public override long TimestampFrequency => time.TimestampFrequency;

        public override DateTimeOffset GetUtcNow() => time.GetUtcNow() + Offset;

        public override long GetTimestamp() => time.GetTimestamp();

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            time.CreateTimer(callback, state, dueTime, period);
    }
}
