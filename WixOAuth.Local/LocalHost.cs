using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OpenTelemetry;
using WixOAuth.Functions;

namespace WixOAuth.Local;

/// <summary>The functions on Kestrel, with what they need around them.</summary>
internal sealed class LocalHost : IRunningProgram
{
    private static readonly TimeSpan s_stopsWithin = TimeSpan.FromSeconds(5);

    private readonly WebApplication _app;
    private readonly LocalServices _services;
    private readonly string _apiUrl;
    private readonly IReadOnlyList<string> _notes;

    private LocalHost(WebApplication app, LocalServices services, LocalSettings settings, string baseUrl, string apiUrl)
    {
        (_app, _services, _apiUrl) = (app, services, apiUrl);
        Url = new Uri(baseUrl);
        FunctionKey = settings.Text("Functions__Key")!;
        InstallPage = services.InstallPage ?? AppUrl(settings, apiUrl);
        _notes = [.. StartNotes.Of(settings, services.InstallPage, apiUrl)];
    }

    /// <summary>Where it serves; the functions are below <c>/api</c>.</summary>
    public Uri Url { get; }

    /// <summary>The page to start an install from: the pretend Wix's, or the App URL with a real Wix.</summary>
    public Uri InstallPage { get; }

    public string FunctionKey { get; }

    public IServiceProvider Services => _app.Services;

    /// <summary>What is printed when the host has started. Holds the function key, on purpose.</summary>
    public IReadOnlyList<string> StartLines =>
    [
        $"Install:  {InstallPage}",
        $"Status:   {_apiUrl}/status",
        $"Key:      {FunctionKey}",
        $"GetToken: curl -H \"x-functions-key: {FunctionKey}\" {_apiUrl}/instances/$INSTANCE_ID/token",
        .. _notes,
    ];

    /// <summary>Starts the service's functions and everything they need.</summary>
    /// <exception cref="Microsoft.Extensions.Options.OptionsValidationException">Settings are bad, one line for each.</exception>
    /// <exception cref="StartFailedException">An address or the data folder cannot be used.</exception>
    public static Task<LocalHost> StartAsync(LocalSettings settings, Action<IServiceCollection>? overrides, CancellationToken cancellationToken) =>
        StartAsync(
            settings,
            new FunctionMap(typeof(InstallFunctions).Assembly.GetExportedTypes()),
            services =>
            {
                // Traces begin at the request, as they do on the Functions host; FunctionHost names them.
                services.AddWixOAuthHost(settings.Configuration)?.WithTracing(tracing => tracing.AddSource("Microsoft.AspNetCore"));
                overrides?.Invoke(services);
            },
            cancellationToken);

    internal static async Task<LocalHost> StartAsync(
        LocalSettings settings, FunctionMap map, Action<IServiceCollection> add, CancellationToken cancellationToken)
    {
        var addresses = ListenAddresses.Find(settings.Urls);
        var prefix = LocalSettings.ReadRoutePrefix(Path.Combine(AppContext.BaseDirectory, "host.json"));
        var apiUrl = $"{addresses.BaseUrl}/{prefix}".TrimEnd('/');
        var services = await LocalServices.StartAsync(settings, apiUrl, cancellationToken);
        WebApplication? app = null;
        try
        {
            app = Build(settings, addresses, map, add);
            app.Services.GetRequiredService<FunctionHost>().Map(app, prefix);
            await app.StartAsync(cancellationToken);
            return new LocalHost(app, services, settings, addresses.BaseUrl, apiUrl);
        }
        catch
        {
            if (app is not null)
            {
                await app.DisposeAsync();
            }

            await services.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until the caller cancels, or until the host stops because of a fault.</summary>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var told = cancellationToken.Register(() => stopped.TrySetResult());
        using var failed = _app.Lifetime.ApplicationStopping.Register(() => stopped.TrySetResult());
        await stopped.Task;
    }

    /// <summary>Answers what was asked, then stops the host and what was started for it.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await _app.StopAsync(CancellationToken.None);
        }
        catch (OperationCanceledException)
        {
            // Something did not end in time; the process does.
        }
        finally
        {
            await _app.DisposeAsync();
            await _services.DisposeAsync();
        }
    }

    // From an empty builder: it reads no other settings, watches no file, and starts as fast as ASP.NET Core can.
    private static WebApplication Build(LocalSettings settings, ListenAddresses addresses, FunctionMap map, Action<IServiceCollection> add)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions
        {
            ContentRootPath = AppContext.BaseDirectory,
            EnvironmentName = Environments.Production,
        });
        builder.Configuration.AddConfiguration(settings.Configuration);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(Limit).UseUrls([.. addresses.Urls]);
        AddLogging(builder.Logging, settings.Configuration);

        var services = builder.Services;
        services.AddRoutingCore();
        services.Configure<HostOptions>(options => options.ShutdownTimeout = s_stopsWithin);

        // Signals are Program.cs's: they have to end a start under way too.
        services.RemoveAll<IHostLifetime>();
        services.AddSingleton<IHostLifetime, NoLifetime>();
        services.AddSingleton(map);
        services.AddSingleton<FunctionHost>();
        services.AddSingleton<TimerService>();
        services.TryAddSingleton(TimeProvider.System);
        add(services);

        // Last, so that timers start when what they use has started.
        services.AddHostedService(provider => provider.GetRequiredService<TimerService>());
        services.AddHostedService<QueueService>();
        return builder.Build();
    }

    private static void Limit(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;

        // As long as the front end of Flex Consumption takes them: what works here works there.
        kestrel.Limits.MaxRequestLineSize = 8 * 1024;
        kestrel.Limits.MaxRequestBodySize = 1024 * 1024;
    }

    private static void AddLogging(ILoggingBuilder logging, IConfiguration configuration)
    {
        logging.AddConfiguration(configuration.GetSection("Logging"));
        logging.AddSimpleConsole(console => console.SingleLine = true);
        logging.KeepQueryStringsOut();
    }

    // The App URL is on the Redirect URL's host, which may be a tunnel to this machine.
    private static Uri AppUrl(LocalSettings settings, string apiUrl) =>
        Uri.TryCreate(settings.Text("Wix__RedirectUrl"), UriKind.Absolute, out var redirect)
            ? new Uri(redirect, $"{new Uri(apiUrl).AbsolutePath.TrimEnd('/')}/install")
            : new Uri($"{apiUrl}/install");

    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
