using System.Collections.Concurrent;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;
using WixOAuth.Functions.Tests;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Browser.Tests;

/// <summary>
/// A separate program, pretend Wix and browser for each test. Whatever the test looks at, the browser's console
/// must have stayed empty in the end but for what the test expected, and nothing may have been asked of another machine.
/// </summary>
[Collection(BrowserFixture.Name)]
public abstract class BrowserTest(AzuriteFixture azurite, BrowserFixture chromium) : IAsyncLifetime
{
    private readonly ConcurrentQueue<string> _console = new();
    private readonly ConcurrentQueue<string> _requests = new();
    private readonly List<string> _expected = [];
    private readonly List<IBrowserContext> _contexts = [];

    private protected TestBed Bed { get; private set; } = null!;

    protected IBrowserContext Browser { get; private set; } = null!;

    protected IPage Page { get; private set; } = null!;

    /// <summary>The addresses that were asked for, oldest first.</summary>
    protected IReadOnlyList<Uri> Requests => [.. _requests.Select(url => new Uri(url))];

    public virtual async Task InitializeAsync()
    {
        BrowserFixture.RequireChromium();
        Bed = await StartAsync();
        Browser = await OpenBrowserAsync();
        Page = await Browser.NewPageAsync();
    }

    public async Task DisposeAsync()
    {
        // A browser reports console messages in order with its other responses: after one more response nothing is outstanding.
        foreach (var page in _contexts.SelectMany(context => context.Pages))
        {
            await page.EvaluateAsync("0");
        }

        foreach (var context in _contexts)
        {
            await context.DisposeAsync();
        }

        if (Bed is not null)
        {
            await Bed.DisposeAsync();
        }

        var unexpected = _console.ToList();
        Assert.All(_expected, line => Assert.True(unexpected.Remove(unexpected.Find(it => it.Contains(line, StringComparison.Ordinal))!), line));
        Assert.Empty(unexpected);
        Assert.All(Requests.Where(url => url.Scheme != "data"), url => Assert.True(url.IsLoopback, url.Host));
    }

    /// <summary>A program as a newcomer starts it: on localhost, where cookies of http are kept.</summary>
    private protected Task<TestBed> StartAsync(Action<IServiceCollection>? overrides = null, params (string Name, string Value)[] settings)
    {
        var url = $"http://localhost:{FreePort.Next()}";
        return TestBed.StartAsync(
            azurite,
            overrides,
            [("urls", url), ("Wix__RedirectUrl", $"{url}/api/redirect"), ("Logging__LogLevel__Default", "Warning"), .. settings]);
    }

    /// <summary>A browser that shares no cookies with the others.</summary>
    protected async Task<IBrowserContext> OpenBrowserAsync() =>
        Watch(await chromium.Browser.NewContextAsync(new() { ReducedMotion = ReducedMotion.Reduce }));

    protected async Task<IBrowserContext> OpenBrowserWithoutCookiesAsync(string profile) =>
        Watch(await chromium.LaunchWithoutCookiesAsync(profile));

    /// <summary>A page that answers 4xx or 5xx is an error to the console: expected where the test says so, once each time.</summary>
    protected void ExpectFailedLoad(int status, string reason, string path) =>
        ExpectConsole($"Failed to load resource: the server responded with a status of {status} ({reason}) at {path}");

    /// <summary>A line of the console that has this in it, once.</summary>
    protected void ExpectConsole(string part) => _expected.Add(part);

    protected Task OpenSitesAsync(IPage? page = null) => (page ?? Page).GotoAsync(Bed.Wix.Url.ToString());

    /// <summary>From the pretend Wix's sites to the consent page of one.</summary>
    protected async Task OpenConsentAsync(string siteName, IPage? page = null)
    {
        await OpenSitesAsync(page);
        await (page ?? Page).GetByRole(AriaRole.Button, new() { Name = $"Add to site {siteName}", Exact = true }).ClickAsync();
    }

    protected static ILocator AgreeButton(IPage page) => page.GetByRole(AriaRole.Button, new() { Name = "Agree & Add" });

    protected static Task AssertHeadingAsync(IPage page, string heading) =>
        Assertions.Expect(page.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync(heading);

    /// <summary>The page that closes the window says so, names the site, and the site's token can be had.</summary>
    protected async Task AssertInstalledAsync(IPage page, Guid instanceId)
    {
        await AssertHeadingAsync(page, "Installation finished");
        await Assertions.Expect(page.GetByRole(AriaRole.Definition).Filter(new() { HasText = instanceId.ToString() })).ToBeVisibleAsync();
        using var token = await Bed.GetTokenAsync(instanceId);
        Assert.True(token.IsSuccessStatusCode);
    }

    private IBrowserContext Watch(IBrowserContext context)
    {
        BrowserFixture.BePatient(context);
        context.Console += (_, message) =>
        {
            if (message.Type is "error" or "warning" or "assert")
            {
                var at = message.Location[..^message.Location.Split(':').TakeLast(2).Sum(part => part.Length + 1)];
                _console.Enqueue($"{message.Text} at {(Uri.TryCreate(at, UriKind.Absolute, out var url) ? url.AbsolutePath : at)}");
            }
        };
        context.WebError += (_, error) => _console.Enqueue(error.Error);
        context.Request += (_, request) => _requests.Enqueue(request.Url);
        _contexts.Add(context);
        return context;
    }
}
