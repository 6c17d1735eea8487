using Microsoft.Playwright;
using WixOAuth.Functions.Tests;

namespace WixOAuth.Browser.Tests;

[CollectionDefinition(BrowserFixture.Name)]
public sealed class BrowserShared : ICollectionFixture<AzuriteFixture>, ICollectionFixture<BrowserFixture>;

/// <summary>One Chromium for all tests: the one that is installed, since nothing is downloaded here.</summary>
public sealed class BrowserFixture : IAsyncLifetime
{
    public const string Name = "Browser";

    // The first three are for containers, where Chromium runs as root and has no GPU; the next keep it from calling home.
    // The last one blocks the cookies of third parties, as more and more browsers do by themselves: only partitioned
    // ones are kept in a frame.
    private static readonly string[] Flags =
    [
        "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--test-third-party-cookie-phaseout",
    ];

    // For a machine that is busy with other tests; in milliseconds.
    private const float Patience = 180_000;

    private static readonly string? Chromium = FindChromium();

    private IPlaywright? _playwright;
    private IBrowser? _browser;

    public IBrowser Browser => _browser!;

    /// <summary>Skips the test, saying why, where there is no Chromium.</summary>
    public static void RequireChromium() => Skip.If(
        Chromium is null, "No Chromium was found: install chromium or google-chrome, or set CHROMIUM_PATH to one.");

    public async Task InitializeAsync()
    {
        if (Chromium is not null)
        {
            Assertions.SetDefaultExpectTimeout(Patience);
            _playwright = await Playwright.CreateAsync();
            _browser = await _playwright.Chromium.LaunchAsync(new() { ExecutablePath = Chromium, Args = Flags, Timeout = Patience });
        }
    }

    /// <summary>A separate Chromium whose owner has forbidden all cookies.</summary>
    public Task<IBrowserContext> LaunchWithoutCookiesAsync(string profile)
    {
        Directory.CreateDirectory(Path.Combine(profile, "Default"));
        File.WriteAllText(Path.Combine(profile, "Default", "Preferences"), """{"profile":{"default_content_setting_values":{"cookies":2}}}""");
        return _playwright!.Chromium.LaunchPersistentContextAsync(profile, new() { ExecutablePath = Chromium, Args = Flags, Timeout = Patience });
    }

    /// <summary>Has the actions and navigations of a browser wait as long as everything else here.</summary>
    public static void BePatient(IBrowserContext context)
    {
        context.SetDefaultTimeout(Patience);
        context.SetDefaultNavigationTimeout(Patience);
    }

    public async Task DisposeAsync()
    {
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
        }

        _playwright?.Dispose();
    }

    private static string? FindChromium()
    {
        if (Environment.GetEnvironmentVariable("CHROMIUM_PATH") is { Length: > 0 } told)
        {
            return File.Exists(told) ? told : null;
        }

        string[] names = ["chromium", "chromium-browser", "google-chrome"];
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        return names.SelectMany(name => folders.Select(folder => Path.Combine(folder, name))).FirstOrDefault(File.Exists);
    }
}
