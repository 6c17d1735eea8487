using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using WixOAuth.PretendWix;
using WixOAuth.Protection;
using WixOAuth.Settings;

namespace WixOAuth.Local;

/// <summary>
/// What the service needs around it and was not given: keys, Azurite and the pretend Wix. They fill in the settings
/// they stand for, and end with this object.
/// </summary>
internal sealed class LocalServices : IAsyncDisposable
{
    /// <summary>The id of the pretend Wix's app, in the form of a real one.</summary>
    private const string PretendAppId = "0f0e0d0c-0b0a-4a0b-8c0d-0e0f00000001";

    private const string SettingsFile = "settings.json";

    private readonly List<IDisposable> _taken = [];
    private PretendWixServer? _wix;
    private string? _pretendAppSecret;
    private string? _eventsSecret;
    private Azurite? _azurite;
    private FileInfo? _settingsFile;

    private LocalServices()
    {
    }

    /// <summary>The pretend Wix's page to start an install from; null with a real Wix.</summary>
    public Uri? InstallPage => _wix?.Url;

    /// <exception cref="StartFailedException">Another program uses the same data folder, or it cannot be used, or Azurite cannot be started.</exception>
    public static async Task<LocalServices> StartAsync(LocalSettings settings, string apiUrl, CancellationToken cancellationToken)
    {
        var folder = settings.DataFolder;
        var services = new LocalServices();
        try
        {
            FillKeys(settings, folder);
            services.TakeLocks(settings, folder);
            var starting = new[]
            {
                services.StartAzuriteAsync(settings, folder, cancellationToken),
                services.StartPretendWixAsync(settings, folder, apiUrl, cancellationToken),
            };
            await Task.WhenAll(starting);
            services.FillSettings(settings, apiUrl);
            services.WriteSettings(settings, folder);
            return services;
        }
        catch
        {
            await services.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_wix is not null)
        {
            await _wix.DisposeAsync();
        }

        if (_azurite is not null)
        {
            await _azurite.DisposeAsync();
        }

        _settingsFile?.Delete();
        _taken.ForEach(taken => taken.Dispose());
    }

    private static bool NeedsAzurite(LocalSettings settings) =>
        settings.Text("Tables__ConnectionString") is null && settings.Text("Tables__ServiceUri") is null;

    private static bool NeedsQueue(LocalSettings settings) =>
        string.Equals(settings.Text("Tokens__SweepBy"), nameof(SweepBy.Queue), StringComparison.OrdinalIgnoreCase)
        && settings.Text("Sweep") is null
        && settings.Text("Sweep__queueServiceUri") is null;

    // The keys may be shared: programs that share one storage have to use the same ones.
    private static void FillKeys(LocalSettings settings, DataFolder folder)
    {
        settings.Fill("Functions__Key", () => folder.KeepSecret("function-key", NewSecret));
        if (settings.Text("KeyVault__VaultUri") is null)
        {
            settings.Fill(
                "Tokens__ProtectionKey",
                () => folder.KeepSecret("protection-key", () => Convert.ToBase64String(RandomNumberGenerator.GetBytes(ProtectionKey.Length))));
        }
    }

    private static string NewEventsSecret() => $"whsec_{Convert.ToBase64String(RandomNumberGenerator.GetBytes(32))}";

    private static string NewSecret() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    // Before either is started, so that a second program says so at once.
    private void TakeLocks(LocalSettings settings, DataFolder folder)
    {
        if (NeedsAzurite(settings))
        {
            _taken.Add(folder.TakeAlone("Azurite", "Tables__ConnectionString"));
        }

        if (settings.UsesPretendWix)
        {
            _taken.Add(folder.TakeAlone("pretend Wix", "Wix__ApiUrl"));
        }
    }

    private async Task StartAzuriteAsync(LocalSettings settings, DataFolder folder, CancellationToken cancellationToken)
    {
        if (NeedsAzurite(settings))
        {
            _azurite = await Azurite.StartAsync(folder.PathOf("azurite"), cancellationToken, withQueues: NeedsQueue(settings));
        }
    }

    private async Task StartPretendWixAsync(LocalSettings settings, DataFolder folder, string apiUrl, CancellationToken cancellationToken)
    {
        if (settings.UsesPretendWix)
        {
            _pretendAppSecret = settings.Text("Wix__AppSecret") ?? folder.KeepSecret("app-secret", NewSecret);

            // The pretend Wix also acts as the receiver of events, unless one is configured.
            _eventsSecret = settings.Text("Events__Url") is null ? settings.Text("Events__Secret") ?? folder.KeepSecret("events-secret", NewEventsSecret) : null;
            _wix = await PretendWixServer.StartAsync(
                new PretendWixOptions
                {
                    ListenUrl = ListenAddresses.FindNext(apiUrl, settings.Urls),
                    AppId = PretendAppId,
                    AppSecret = _pretendAppSecret,
                    AppUrl = new Uri($"{apiUrl}/install"),
                    RedirectUrl = RedirectUrlOf(settings, apiUrl),
                    WebhookUrl = new Uri($"{apiUrl}/webhooks"),
                    EventsSecret = _eventsSecret,
                    StateFile = folder.PathOf("pretend-wix.json"),
                },
                cancellationToken);
        }
    }

    // A bad one is left to the service, which names it with all other bad settings.
    private static Uri RedirectUrlOf(LocalSettings settings, string apiUrl) =>
        Uri.TryCreate(settings.Text("Wix__RedirectUrl"), UriKind.Absolute, out var given) ? given : new Uri($"{apiUrl}/redirect");

    // After both have started: the settings decide what is started, so none may change while that is being done.
    private void FillSettings(LocalSettings settings, string apiUrl)
    {
        // A blank one counts as not given, unlike the other schedules.
        settings.Fill("BackupSchedule", () => "0 37 2 * * *");
        if (_azurite is { } azurite)
        {
            var needsQueue = NeedsQueue(settings);
            settings.Fill("Tables__ConnectionString", azurite.ConnectionString.Reveal);
            if (settings.Text("Backup__ServiceUri") is null)
            {
                settings.Fill("Backup__ConnectionString", azurite.ConnectionString.Reveal);
            }

            if (needsQueue)
            {
                settings.Fill("Sweep", azurite.ConnectionString.Reveal);
            }
        }

        if (_wix is { } wix)
        {
            settings.Fill("Wix__AppId", () => PretendAppId);
            settings.Fill("Wix__AppSecret", () => _pretendAppSecret!);
            settings.Fill("Wix__RedirectUrl", () => $"{apiUrl}/redirect");
            settings.Fill("Wix__ApiUrl", wix.ApiUrl.ToString);
            settings.Fill("Wix__InstallerUrl", wix.InstallerUrl.ToString);
            settings.Fill("Wix__WebhookPublicKey", () => wix.WebhookPublicKeyPem);
            if (wix.EventsUrl is { } eventsUrl)
            {
                settings.Fill("Events__Url", eventsUrl.ToString);
                settings.Fill("Events__Secret", () => _eventsSecret!);
            }
        }
    }

    // Where the wixoauth command finds what was started here: the ports are known only here.
    private void WriteSettings(LocalSettings settings, DataFolder folder)
    {
        if (_azurite is null)
        {
            return;
        }

        string[] names =
        [
            "Wix__AppId", "Wix__AppSecret", "Wix__RedirectUrl", "Wix__ApiUrl", "Wix__InstallerUrl", "Wix__WebhookPublicKey", "KeyVault__VaultUri",
            "Tables__ConnectionString", "Tables__Name", "Backup__ServiceUri", "Backup__ConnectionString", "Backup__Container", "Tokens__ProtectionKey",
            "Sweep", "Events__Url", "Events__SecretName", "Events__Secret",
        ];
        var values = names.Select(name => KeyValuePair.Create(name, settings.Text(name))).Where(pair => pair.Value is not null).ToDictionary();
        folder.Replace(SettingsFile, JsonSerializer.Serialize(new { Values = values }));
        _settingsFile = new FileInfo(folder.PathOf(SettingsFile));
    }
}
