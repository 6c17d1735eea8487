using System.Diagnostics;
using System.Net.Http.Json;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace WixOAuth.Client.Tests.EndToEnd;

/// <summary>The built WixOAuth.Local as a process: the service, the pretend Wix and Azurite, with data of its own.</summary>
public sealed partial class LocalProgram : IAsyncLifetime
{
    public const string FunctionKey = "the-function-key-of-the-tests";

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("wixoauth-client-");
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false });
    private Process? _process;

    public Uri Url { get; private set; } = null!;

    public Uri WixUrl { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        _process = Start(
            Repository.Output("WixOAuth.Local", "WixOAuth.Local.dll"),
            ("urls", "http://127.0.0.1:0"),
            ("Local__DataFolder", _folder.FullName),
            ("Local__SettingsFile", "none.json"),
            ("Functions__Key", FunctionKey),
            ("Logging__LogLevel__Default", "Warning"));
        WixUrl = new Uri(new Uri(await LineAsync(_process, InstallLine())), "/");
        Url = await AddressAsync(_process);
    }

    /// <summary>Starts the service alone, on this program's storage and pretend Wix: a process that a test may kill.</summary>
    /// <param name="urls">Where it listens; a free port by default.</param>
    public async Task<(Process Process, Uri Url)> StartServiceAsync(string urls = "http://127.0.0.1:0")
    {
        var process = Start(
            Repository.Output("WixOAuth.Local", "WixOAuth.Local.dll"),
            ("urls", urls),
            ("Local__DataFolder", _folder.FullName),
            ("Local__SettingsFile", Path.Combine(_folder.FullName, "settings.json")),
            ("Functions__Key", FunctionKey),
            ("Logging__LogLevel__Default", "Warning"));
        return (process, await AddressAsync(process));
    }

    public async Task DisposeAsync()
    {
        _http.Dispose();
        if (_process is not null)
        {
            await EndAsync(_process);
        }

        _folder.Delete(recursive: true);
    }

    /// <summary>A whole install in a browser.</summary>
    public async Task<Guid> InstallAsync(string siteName)
    {
        var id = (await ControlAsync("install", new { name = siteName })).GetProperty("instanceId").GetGuid();
        await ConsentAsync(id);
        return id;
    }

    /// <summary>The owner opens the app, which may be removed, and consents.</summary>
    public async Task ConsentAsync(Guid id)
    {
        using var opened = await _http.GetAsync(new Uri(WixUrl, $"sites/{id}/open"));
        using var asked = await _http.GetAsync(opened.Headers.Location);
        using var form = new FormUrlEncodedContent([KeyValuePair.Create("decision", "agree")]);
        using var agreed = await _http.PostAsync(asked.Headers.Location, form);
        using var back = new HttpRequestMessage(HttpMethod.Get, agreed.Headers.Location);
        back.Headers.Add("Cookie", asked.Headers.GetValues("Set-Cookie").Select(cookie => cookie.Split(';')[0]));
        using var end = await _http.SendAsync(back);
        Assert.Equal("/installer/close-window", end.Headers.Location!.AbsolutePath);
    }

    /// <summary>Asks for something at the pretend Wix's control endpoints; without a path its switches are set.</summary>
    public async Task<JsonElement> ControlAsync(string path, object body)
    {
        using var response = await _http.PostAsJsonAsync(new Uri(WixUrl, $"_control/{path}".TrimEnd('/')), body);
        return await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>();
    }

    /// <summary>Asks Wix whose token this is.</summary>
    public async Task<string?> SiteOfAsync(string token)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(WixUrl, "apps/v1/instance"));
        request.Headers.TryAddWithoutValidation("Authorization", token);
        using var response = await _http.SendAsync(request);
        return (await response.EnsureSuccessStatusCode().Content.ReadFromJsonAsync<JsonElement>()).GetProperty("site").GetProperty("siteDisplayName").GetString();
    }

    public static Process Start(string assembly, params (string Name, string Value)[] settings)
    {
        var start = new ProcessStartInfo("dotnet", [assembly]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in settings)
        {
            start.Environment[name] = value;
        }

        var process = Process.Start(start)!;
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginErrorReadLine();
        return process;
    }

    /// <summary>Reads a program's output up to a line, and answers what the pattern's group has of it.</summary>
    public static async Task<string> LineAsync(Process process, Regex pattern)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3), TimeProvider.System);
        while (await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
        {
            if (pattern.Match(line) is { Success: true } match)
            {
                return match.Groups[1].Value;
            }
        }

        throw new InvalidOperationException("The program ended.");
    }

    private static async Task<Uri> AddressAsync(Process process) => new(new Uri(await LineAsync(process, TokenLine())), "/");

    public static async Task EndAsync(Process process)
    {
        using (process)
        {
            // By a signal: Azurite is to end with it.
            using var kill = Process.Start("kill", ["-s", "TERM", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
            await process.WaitForExitAsync();
        }
    }

    [GeneratedRegex(@"^Install: +(\S+)")]
    private static partial Regex InstallLine();

    [GeneratedRegex(@"^GetToken: .* (http://[^/]+)/")]
    private static partial Regex TokenLine();
}

[CollectionDefinition(nameof(LocalProgram))]
public sealed class LocalProgramDefinition : ICollectionFixture<LocalProgram>;
