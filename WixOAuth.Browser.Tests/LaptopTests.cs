using Microsoft.Playwright;
using WixOAuth.Functions.Tests;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Local;

namespace WixOAuth.Browser.Tests;

/// <summary>What a newcomer sees who has set nothing: the pretend Wix receives the events, and its buttons make it fail.</summary>
public sealed class LaptopTests(AzuriteFixture azurite, BrowserFixture chromium) : BrowserTest(azurite, chromium)
{
    private readonly AzuriteFixture _azurite = azurite;

    [SkippableFact]
    public async Task An_event_arrives_seconds_after_the_consent_without_a_reload()
    {
        Axe.Require();
        using var folder = new TemporaryFolder();
        await using var host = await StartAsync(folder.Path);
        await Page.GotoAsync(host.InstallPage.ToString());
        await Page.GetByRole(AriaRole.Button, new() { NameRegex = new("^Add to site") }).First.ClickAsync();
        await AgreeButton(Page).ClickAsync();
        await AssertHeadingAsync(Page, "Installation finished");

        var row = Page.GetByRole(AriaRole.Row).Filter(new() { HasText = "instance.connected" });
        await Assertions.Expect(row).ToContainTextAsync("verified");
        await Assertions.Expect(row).ToContainTextAsync("204");
        await Axe.AssertAccessibleAsync(Page, "wix-finished-with-events");

        await Page.GetByRole(AriaRole.Link, new() { Name = "Back to your sites" }).ClickAsync();
        await Page.GetByRole(AriaRole.Button, new() { NameRegex = new("^Remove from") }).First.ClickAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Row).Filter(new() { HasText = "instance.removed" })).ToContainTextAsync("verified");
        await Axe.AssertAccessibleAsync(Page, "wix-sites-with-events");
        await Page.GotoAsync("about:blank");
    }

    [SkippableFact]
    public async Task Wix_fails_at_the_press_of_a_button_and_stops_at_another()
    {
        Axe.Require();
        var site = await Bed.InstallAsync("Ann's Café");
        await OpenSitesAsync();
        await Page.GetByRole(AriaRole.Link, new() { Name = "Make Wix fail" }).ClickAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Status)).ToHaveTextAsync("All is well.");

        await Page.GetByRole(AriaRole.Button, new() { Name = "Wix is down" }).ClickAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Status)).ToContainTextAsync("The endpoint access fails (status 503).");
        using var failed = await Bed.CallAsync(HttpMethod.Post, $"instances/{site}/refresh");
        Assert.Equal(503, (int)failed.StatusCode);
        await Axe.AssertAccessibleAsync(Page, "wix-trouble");

        await Page.GetByRole(AriaRole.Button, new() { Name = "End it" }).ClickAsync();
        await Page.GetByRole(AriaRole.Button, new() { Name = "Reject its refresh token: Ann's Café" }).ClickAsync();
        Bed.Clock.Advance(TimeSpan.FromMinutes(6));
        using var served = await Bed.GetTokenAsync(site);
        Assert.Equal("rejected", (await Bed.GetInstanceAsync(site)).GetProperty("refresh_token").GetString());
    }

    private Task<LocalHost> StartAsync(string folder)
    {
        var table = _azurite.NewTable();
        return LocalHost.StartAsync(
            LocalSettings.From(new Dictionary<string, string?>
            {
                ["urls"] = $"http://localhost:{FreePort.Next()}",
                ["Local__DataFolder"] = folder,
                ["Functions__DisableTimers"] = "true",
                ["Tables__ConnectionString"] = table.ConnectionString!.Reveal(),
                ["Tables__Name"] = table.Name,
                ["Logging__LogLevel__Default"] = "Warning",
            }),
            overrides: null,
            CancellationToken.None);
    }
}
