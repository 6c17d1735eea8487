using System.Text.Json;

namespace WixOAuth.Local;

/// <summary>A program that has started and runs until it is told to stop.</summary>
internal interface IRunningProgram : IAsyncDisposable
{
    IReadOnlyList<string> StartLines { get; }

    Task WaitAsync(CancellationToken cancellationToken);
}

/// <summary>
/// The pretend Wix without the service, for functions that another host runs on this machine: Core Tools. It prints one
/// line of JSON: the page to start an install from, and the settings that the functions need.
/// </summary>
internal sealed class PretendWixAlone : IRunningProgram
{
    public const string Name = "pretend-wix";

    private static readonly string[] s_settings =
    [
        "Wix__AppId",
        "Wix__AppSecret",
        "Wix__RedirectUrl",
        "Wix__WebhookPublicKey",
        "Wix__ApiUrl",
        "Wix__InstallerUrl",
        "Tokens__ProtectionKey",
        "Events__Url",
        "Events__Secret",
    ];

    private readonly LocalServices _services;

    private PretendWixAlone(LocalServices services, LocalSettings settings)
    {
        _services = services;
        StartLines = [JsonSerializer.Serialize(new { install = services.InstallPage, settings = s_settings.Where(name => settings.Text(name) is not null).ToDictionary(name => name, settings.Text) })];
    }

    public IReadOnlyList<string> StartLines { get; }

    /// <summary>Starts it for functions at the addresses in the settings.</summary>
    /// <exception cref="StartFailedException">An address of a real Wix is given, an address is invalid or in use, or the data folder is in use.</exception>
    public static async Task<PretendWixAlone> StartAsync(LocalSettings settings, CancellationToken cancellationToken)
    {
        var prefix = LocalSettings.ReadRoutePrefix(Path.Combine(AppContext.BaseDirectory, "host.json"));
        var apiUrl = $"{ListenAddresses.Find(settings.Urls).BaseUrl}/{prefix}".TrimEnd('/');

        // The functions have a storage of their own, so none is started here.
        settings.Fill("Tables__ConnectionString", () => "UseDevelopmentStorage=true");
        var services = await LocalServices.StartAsync(settings, apiUrl, cancellationToken);
        if (services.InstallPage is not null)
        {
            return new PretendWixAlone(services, settings);
        }

        await services.DisposeAsync();
        throw new StartFailedException("A real Wix is given (Wix__AppId, Wix__ApiUrl or KeyVault__VaultUri): there is no need of a pretend one.");
    }

    public async Task WaitAsync(CancellationToken cancellationToken) =>
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    public ValueTask DisposeAsync() => _services.DisposeAsync();
}
