using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text.Json;
using Azure.Data.Tables;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Trace;
using WixOAuth.Functions.Tests.Secrets;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Hosting;
using WixOAuth.Http;
using WixOAuth.Local;
using WixOAuth.PretendWix;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>The whole program over real HTTP, with the pretend Wix and a separate table in the real Azurite.</summary>
internal sealed class TestBed : IAsyncDisposable
{
    public const string AppId = "1a1b1c1d-2222-4333-8444-555555555555";
    public const string AppSecret = "the-app-secret-of-the-tests";
    public const string FunctionKey = "the-function-key-of-the-tests";
    public const string ProtectionKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    private readonly HttpClient _http = new();
    private readonly Dictionary<string, string?> _settings;
    private readonly Action<IServiceCollection>? _overrides;
    private LocalHost? _host;

    private TestBed(PretendWixServer wix, Dictionary<string, string?> settings, Action<IServiceCollection>? overrides, OffsetClock clock, CapturedLogs logs) =>
        (Wix, _settings, _overrides, Clock, Logs) = (wix, settings, overrides, clock, logs);

    public PretendWixServer Wix { get; }

    public LocalHost Host => _host!;

    public OffsetClock Clock { get; }

    public CapturedLogs Logs { get; }

    public Uri Api => new(Host.Url, "/api/");

    public static Task<TestBed> StartAsync(
        AzuriteFixture azurite, Action<IServiceCollection>? overrides = null, params (string Name, string Value)[] settings) =>
        StartAsync(azurite, overrides, webhooks: false, settings);

    /// <summary>As <see cref="StartAsync(AzuriteFixture, Action{IServiceCollection}?, ValueTuple{string, string}[])"/>, and Wix sends webhooks.</summary>
    public static Task<TestBed> StartWithWebhooksAsync(AzuriteFixture azurite, params (string Name, string Value)[] settings) =>
        StartWithWebhooksAsync(azurite, overrides: null, settings);

    public static Task<TestBed> StartWithWebhooksAsync(
        AzuriteFixture azurite, Action<IServiceCollection>? overrides, params (string Name, string Value)[] settings) =>
        StartAsync(azurite, overrides, webhooks: true, settings);

    private static async Task<TestBed> StartAsync(
        AzuriteFixture azurite, Action<IServiceCollection>? overrides, bool webhooks, (string Name, string Value)[] settings)
    {
        var clock = new OffsetClock();
        var table = azurite.NewTable();

        // The program makes it in the background, and the first request of a test may come before.
        await TableConnection.Open(table, null).CreateAsync();
        var wix = await PretendWixServer.StartAsync(
            new PretendWixOptions { AppId = AppId, AppSecret = AppSecret, TimeProvider = clock }, CancellationToken.None);
        var values = new Dictionary<string, string?>
        {
            ["urls"] = $"http://127.0.0.1:{FreePort.Next()}",
            ["Wix__AppId"] = AppId,
            ["Wix__AppSecret"] = AppSecret,
            ["Wix__ApiUrl"] = wix.ApiUrl.ToString(),
            ["Wix__InstallerUrl"] = wix.InstallerUrl.ToString(),
            ["Tables__ConnectionString"] = table.ConnectionString!.Reveal(),
            ["Tables__Name"] = table.Name,
            ["Tokens__ProtectionKey"] = ProtectionKey,
            ["Functions__Key"] = FunctionKey,
            ["Functions__DisableTimers"] = "true",
            ["Logging__LogLevel__Default"] = "Trace",
        };
        values["Wix__RedirectUrl"] = $"{values["urls"]}/api/redirect";
        if (webhooks)
        {
            values["Wix__WebhookPublicKey"] = wix.WebhookPublicKeyPem;
            wix.WebhookUrl = new Uri($"{values["urls"]}/api/webhooks");
        }

        foreach (var (name, value) in settings)
        {
            values[name] = value;
        }

        var bed = new TestBed(wix, values, overrides, clock, new CapturedLogs());
        wix.AppUrl = new Uri($"{values["urls"]}/api/install");
        wix.RedirectUrl = new Uri(values["Wix__RedirectUrl"]!);
        wix.Control.Switches = wix.Control.Switches with { SendWebhooks = webhooks };
        try
        {
            await bed.StartHostAsync();
            return bed;
        }
        catch
        {
            await bed.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts the program with a storage that refuses every connection, and does not pause between its attempts.</summary>
    public static Task<TestBed> StartWithoutStorageAsync(AzuriteFixture azurite) => StartAsync(azurite, services => services.Replace(ServiceDescriptor.Singleton(
        TableConnection.Open(
            new TablesOptions { ConnectionString = new ConnectionString("DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:1/a") },
            credential: null,
            pause: TimeSpan.Zero))));

    /// <summary>Stops the program and starts it again, on the same storage, with some settings changed.</summary>
    public async Task RestartAsync(params (string Name, string Value)[] settings)
    {
        await Host.DisposeAsync();
        foreach (var (name, value) in settings)
        {
            _settings[name] = value;
        }

        await StartHostAsync();
    }

    /// <summary>Puts the program into a separate process, which can be killed; <see cref="StartHostAsync"/> puts it back.</summary>
    public async Task<Process> MoveToProcessAsync()
    {
        await Host.DisposeAsync();
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "WixOAuth.Local.dll")])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["Local__SettingsFile"] = "none" },
        };
        foreach (var (name, value) in _settings)
        {
            start.Environment[name] = value;
        }

        var process = Process.Start(start)!;
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            if (line.StartsWith("GetToken:", StringComparison.Ordinal))
            {
                // A pipe that nobody reads fills up, and then the program waits.
                _ = process.StandardOutput.BaseStream.CopyToAsync(Stream.Null);
                _ = process.StandardError.BaseStream.CopyToAsync(Stream.Null);
                return process;
            }
        }

        throw new InvalidOperationException(await process.StandardError.ReadToEndAsync());
    }

    /// <summary>The program's settings, for starting another one beside it.</summary>
    public IReadOnlyDictionary<string, string?> Settings => _settings;

    /// <summary>Walks an install from the site's page up to Wix's redirect, which is answered but not followed.</summary>
    public async Task<Uri> WalkToRedirectAsync(TestBrowser browser, Guid instanceId)
    {
        var appUrl = TestBrowser.LocationOf(await browser.GetAsync(new Uri(Wix.Url, $"/sites/{instanceId}/open")));
        var consent = TestBrowser.LocationOf(await browser.GetAsync(appUrl));
        return TestBrowser.LocationOf(await browser.PostAsync(consent, ("decision", "agree")));
    }

    /// <summary>The address of a new install link.</summary>
    public async Task<string> CreateLinkAsync(string customer, string? displayName = null)
    {
        using var content = System.Net.Http.Json.JsonContent.Create(new { customer, display_name = displayName });
        using var made = await CallAsync(HttpMethod.Post, "install-links", content);
        Assert.Equal(System.Net.HttpStatusCode.Created, made.StatusCode);
        return (await ReadJsonAsync(made)).GetProperty("url").GetString()!;
    }

    /// <summary>A whole install with a link for a customer; answers the instance.</summary>
    public async Task<Guid> InstallForAsync(string customer, string siteName = "Ann's Café")
    {
        using var browser = new TestBrowser();
        await browser.ConfirmAsync(await CreateLinkAsync(customer));
        var site = Wix.CreateSite(siteName);
        TestBrowser.LocationOf(await browser.GetAsync(await WalkToRedirectAsync(browser, site.InstanceId)));
        await SettleAsync();
        return site.InstanceId;
    }

    /// <summary>A whole install; answers the instance.</summary>
    public async Task<Guid> InstallAsync(string siteName = "Ann's Café")
    {
        using var browser = new TestBrowser();
        var site = Wix.CreateSite(siteName);
        var response = await browser.GetAsync(await WalkToRedirectAsync(browser, site.InstanceId));
        Assert.Equal("/installer/close-window", TestBrowser.LocationOf(response).AbsolutePath);
        await SettleAsync();
        return site.InstanceId;
    }

    /// <summary>Waits for what goes on after answers.</summary>
    public Task SettleAsync() => Host.Services.GetRequiredService<BackgroundWork>().WhenIdleAsync(CancellationToken.None);

    public async Task<HttpResponseMessage> CallAsync(HttpMethod method, string path, HttpContent? content = null, string? key = FunctionKey)
    {
        using var request = new HttpRequestMessage(method, new Uri(Api, path)) { Content = content };
        if (key is not null)
        {
            request.Headers.Add("x-functions-key", key);
        }

        return await _http.SendAsync(request);
    }

    public Task<HttpResponseMessage> GetTokenAsync(Guid instanceId, string query = "", string? key = FunctionKey) =>
        CallAsync(HttpMethod.Get, $"instances/{instanceId}/token{query}", key: key);

    public async Task<JsonElement> GetInstanceAsync(Guid instanceId) =>
        await ReadJsonAsync(await CallAsync(HttpMethod.Get, $"instances/{instanceId}"));

    /// <summary>Posts a webhook as Wix does: again where the answer is 503, which is also that of a busy machine after a second.</summary>
    public async Task<HttpResponseMessage> PostWebhookAsync(string body)
    {
        for (var tries = 1; ; tries++)
        {
            var answer = await CallAsync(HttpMethod.Post, "webhooks", new StringContent(body, System.Text.Encoding.UTF8, "text/plain"), key: null);
            if ((int)answer.StatusCode != 503 || tries == 20)
            {
                return answer;
            }

            answer.Dispose();
        }
    }

    /// <summary>The rows of the table that are about an instance.</summary>
    public async Task<List<TableEntity>> RowsOfAsync(Guid instanceId) =>
        [.. (await RowsAsync()).Where(row => row.RowKey.EndsWith($"|{instanceId}", StringComparison.Ordinal))];

    /// <summary>All rows of the table but the key-check row.</summary>
    public async Task<List<TableEntity>> RowsAsync() =>
        await Table.QueryAsync<TableEntity>(row => row.RowKey != InstanceRows.KeyCheckKey).ToListAsync();

    /// <summary>Waits until an event is parked.</summary>
    public async Task WaitForParkedEventAsync()
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        while (!(await RowsAsync()).Any(row => row.RowKey.StartsWith("p|", StringComparison.Ordinal)))
        {
            patience.Token.ThrowIfCancellationRequested();
            await SettleAsync();
        }
    }

    /// <summary>The key-check row; null when there is none.</summary>
    public async Task<TableEntity?> FindKeyCheckRowAsync() =>
        await Table.QueryAsync<TableEntity>(row => row.RowKey == InstanceRows.KeyCheckKey).SingleOrDefaultAsync();

    public TableClient Table => new(_settings["Tables__ConnectionString"], _settings["Tables__Name"]);

    /// <summary>Runs what the timer RefreshTokens runs, and waits for its end.</summary>
    public async Task SweepAsync()
    {
        await Host.Services.GetRequiredService<TimerEndpoints>().RefreshTokens(CancellationToken.None);
        await SettleAsync();
    }

    /// <summary>
    /// Sweeps until a receiver has what the test waits for: a sweep skips the events of an instance while the result of an
    /// earlier attempt is being written, which happens after the receiver has answered.
    /// </summary>
    public async Task SweepUntilAsync(Func<bool> condition, TimeSpan between = default)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        while (!condition())
        {
            patience.Token.ThrowIfCancellationRequested();
            Clock.Advance(between);
            await SweepAsync();
        }
    }

    public static async Task<JsonElement> ReadJsonAsync(HttpResponseMessage response)
    {
        var text = await response.Content.ReadAsStringAsync();
        return JsonSerializer.Deserialize<JsonElement>(text);
    }

    public static async Task AssertProblemAsync(HttpResponseMessage response, int status, string code)
    {
        Assert.Equal(status, (int)response.StatusCode);
        Assert.Equal("application/problem+json", response.Content.Headers.ContentType?.MediaType);
        var problem = await ReadJsonAsync(response);
        Assert.Equal((code, status), (problem.GetProperty("code").GetString(), problem.GetProperty("status").GetInt32()));
        Assert.False(string.IsNullOrWhiteSpace(problem.GetProperty("title").GetString()));
        Assert.Equal(status == 503, response.Headers.RetryAfter is RetryConditionHeaderValue { Delta.TotalSeconds: > 0 });
        AssertCommonHeaders(response);
    }

    public static void AssertCommonHeaders(HttpResponseMessage response)
    {
        Assert.Equal("no-store", response.Headers.CacheControl?.ToString());
        Assert.Equal("no-referrer", Header(response, "Referrer-Policy"));
        Assert.Equal("nosniff", Header(response, "X-Content-Type-Options"));
        Assert.Equal("max-age=31536000", Header(response, "Strict-Transport-Security"));
    }

    public static string? Header(HttpResponseMessage response, string name) =>
        response.Headers.TryGetValues(name, out var values) || response.Content.Headers.TryGetValues(name, out values)
            ? string.Join(", ", values)
            : null;

    public static Dictionary<string, string> QueryOf(Uri url) =>
        QueryHelpers.ParseQuery(url.Query).ToDictionary(pair => pair.Key, pair => pair.Value.Single()!);

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        if (_host is not null)
        {
            await _host.DisposeAsync();
        }

        await Wix.DisposeAsync();

        // Nothing else disposes it, and it would receive the Azure SDK's events of every later test.
        Logs.Dispose();
    }

    /// <summary>Has what was exported so far sent: at the end of the program the exporters have five seconds, which may be too few on a busy machine.</summary>
    public Task FlushTelemetryAsync() => Task.Run(() =>
    {
        const int Patience = 120_000;
        Host.Services.GetService<LoggerProvider>()?.ForceFlush(Patience);
        Host.Services.GetService<TracerProvider>()?.ForceFlush(Patience);
        Host.Services.GetService<MeterProvider>()?.ForceFlush(Patience);
    });

    public async Task StartHostAsync() => _host = await LocalHost.StartAsync(
        LocalSettings.From(_settings),
        services =>
        {
            services.Replace(ServiceDescriptor.Singleton<TimeProvider>(Clock));

            // Azurite's clock does not move with the test's.
            services.Replace(ServiceDescriptor.Singleton(new StorageClock(time: null)));
            services.AddSingleton<ILoggerProvider>(Logs);
            _overrides?.Invoke(services);
        },
        CancellationToken.None);
}
