using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Playwright;
using WixOAuth.Functions.Tests;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Browser.Tests;

/// <summary>Attacks on installs from another site's pages, in a real browser, and what their victim sees.</summary>
public sealed class InstallLinkTests(AzuriteFixture azurite, BrowserFixture chromium) : BrowserTest(azurite, chromium)
{
    [SkippableFact]
    public async Task A_page_of_an_attacker_that_opens_their_link_gets_no_site()
    {
        var link = await Bed.CreateLinkAsync("attacker");
        await using var attacker = await PageOfAsync($"<script>location.href = {JsonSerializer.Serialize(link)}</script>");
        await Page.GotoAsync(attacker.Urls.Single());
        await AssertHeadingAsync(Page, "Connect a Wix site to attacker");

        // The visitor leaves, and adds the app from Wix a little later.
        var site = Bed.Wix.CreateSite("Victim");
        await OpenConsentAsync(site.Name);
        await AgreeButton(Page).ClickAsync();

        await AssertInstalledAsync(Page, site.InstanceId);
        Assert.Equal(JsonValueKind.Null, (await Bed.GetInstanceAsync(site.InstanceId)).GetProperty("customer").ValueKind);
    }

    // A form that is sent at once; the same without a referrer, and from a sandbox, which makes the Origin null.
    [SkippableTheory]
    [InlineData("<form method=post action='{0}'><input name=start value='{1}'></form><script>document.forms[0].submit()</script>")]
    [InlineData("<meta name=referrer content=no-referrer><form method=post action='{0}'><input name=start value='{1}'></form><script>document.forms[0].submit()</script>")]
    [InlineData("<iframe sandbox='allow-scripts allow-forms allow-top-navigation' srcdoc=\"<form method=post target=_top action='{0}'><input name=start value='{1}'></form><script>document.forms[0].submit()</script>\"></iframe>")]
    public async Task A_page_of_an_attacker_cannot_press_the_button(string page)
    {
        var link = await Bed.CreateLinkAsync("attacker");
        await using var attacker = await PageOfAsync(
            page.Replace("{0}", $"{Bed.Api}install", StringComparison.Ordinal).Replace("{1}", link.Split("start=")[1], StringComparison.Ordinal));
        ExpectFailedLoad(403, "Forbidden", "/api/install");

        await Page.GotoAsync(attacker.Urls.Single());

        await AssertHeadingAsync(Page, "This install was not confirmed on our page");
        Assert.Empty(await Browser.CookiesAsync());
        Assert.Empty(await Bed.RowsAsync());
    }

    [SkippableFact]
    public async Task A_page_of_an_attacker_cannot_frame_the_button()
    {
        var link = await Bed.CreateLinkAsync("attacker");
        await using var attacker = await PageOfAsync($"<iframe src='{link}'></iframe>");
        ExpectConsole("frame-ancestors 'none'");

        await Page.GotoAsync(attacker.Urls.Single());

        await Assertions.Expect(Page.FrameLocator("iframe").GetByRole(AriaRole.Button)).ToHaveCountAsync(0);
    }

    // A page that asks for a double click and closes its window, or leaves for the link, at the first click of it.
    [SkippableFact]
    public async Task A_click_that_was_meant_for_another_page_does_not_press_the_button()
    {
        await Page.Clock.InstallAsync();
        await Page.Clock.PauseAtAsync(Bed.Clock.GetUtcNow().AddHours(1).UtcDateTime);
        await Page.GotoAsync(await Bed.CreateLinkAsync("attacker"));
        var button = Page.GetByRole(AriaRole.Button, new() { Name = "Choose a site" });

        await button.ClickAsync(new() { Force = true });
        await AssertHeadingAsync(Page, "Connect a Wix site to attacker");
        await Page.Clock.RunForAsync(1_000);
        await Page.EvaluateAsync("dispatchEvent(new FocusEvent('focus'))");
        await button.ClickAsync(new() { Force = true });
        await AssertHeadingAsync(Page, "Connect a Wix site to attacker");
        Assert.Empty(await Bed.RowsAsync());

        await Page.Clock.RunForAsync(1_000);
        await button.ClickAsync();
        await AssertHeadingAsync(Page, "Where should Your app go?");
    }

    [SkippableFact]
    public async Task A_double_click_presses_the_button_once()
    {
        var (submitted, sent) = (0, 0);
        var clickedTwice = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await Page.ExposeFunctionAsync("submitted", () => Interlocked.Increment(ref submitted));
        await Page.RouteAsync(url => new Uri(url).AbsolutePath == "/api/install", async route =>
        {
            if (route.Request.Method == "POST")
            {
                // Otherwise the next page may be there by the second click, and be what is clicked.
                Interlocked.Increment(ref sent);
                await clickedTwice.Task;
            }

            await route.ContinueAsync();
        });
        await Page.GotoAsync(await Bed.CreateLinkAsync("acme"));
        var button = Page.GetByRole(AriaRole.Button, new() { Name = "Choose a site" });
        await Assertions.Expect(button).ToBeEnabledAsync();

        await Page.EvaluateAsync("addEventListener('submit', event => { if (!event.defaultPrevented) submitted(); })");
        await button.DblClickAsync();
        clickedTwice.SetResult();

        await AssertHeadingAsync(Page, "Where should Your app go?");
        Assert.Equal((1, 1), (submitted, sent));
    }

    [SkippableFact]
    public async Task The_button_stays_pressed_until_its_answer_is_there()
    {
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await Page.RouteAsync(url => new Uri(url).AbsolutePath == "/api/install", async route =>
        {
            if (route.Request.Method == "POST")
            {
                await answer.Task;
            }

            await route.ContinueAsync();
        });

        // The page's second takes no time.
        await Page.AddInitScriptAsync("const timeout = setTimeout; window.setTimeout = run => timeout(run, 0);");
        await Page.GotoAsync(await Bed.CreateLinkAsync("acme"));
        await Assertions.Expect(Page.GetByRole(AriaRole.Button, new() { Name = "Choose a site" })).ToBeEnabledAsync();

        var state = await Page.EvaluateAsync<string?>("""
            async () => {
              const button = document.querySelector('button');
              button.click();
              dispatchEvent(new FocusEvent('focus'));
              await new Promise(setTimeout);
              return button.ariaDisabled;
            }
            """);

        answer.SetResult();
        Assert.Equal("true", state);
        await AssertHeadingAsync(Page, "Where should Your app go?");
    }

    [SkippableFact]
    public async Task The_pages_of_a_link_are_accessible()
    {
        Axe.Require();
        var link = await Bed.CreateLinkAsync("acme", "Acme Web Studio & Sons");
        await Page.GotoAsync(link);
        await AssertHeadingAsync(Page, "Connect a Wix site to Acme Web Studio & Sons");
        await Assertions.Expect(Page.GetByRole(AriaRole.Button)).ToBeEnabledAsync();
        await Axe.AssertAccessibleAsync(Page, "install-link");
        await Page.GetByRole(AriaRole.Button, new() { Name = "Choose a site" }).ClickAsync();
        await AssertHeadingAsync(Page, "Where should Your app go?");

        // The user goes back and presses the button again.
        await Page.GoBackAsync();
        ExpectFailedLoad(400, "Bad Request", "/api/install");
        await Assertions.Expect(Page.GetByRole(AriaRole.Button)).ToBeEnabledAsync();
        await Page.GetByRole(AriaRole.Button, new() { Name = "Choose a site" }).ClickAsync();
        await AssertHeadingAsync(Page, "You have confirmed this link already");
        await Axe.AssertAccessibleAsync(Page, "install-link-used-here");

        var site = Bed.Wix.CreateSite("Linked");
        var window = await Browser.RunAndWaitForPageAsync(() => Page.GetByRole(AriaRole.Link, new() { Name = "Start again" }).ClickAsync());
        await window.GetByRole(AriaRole.Link, new() { Name = site.Name }).ClickAsync();
        await AgreeButton(window).ClickAsync();
        await AssertInstalledAsync(window, site.InstanceId);
        Assert.Equal("acme", (await Bed.GetInstanceAsync(site.InstanceId)).GetProperty("customer").GetString());
    }

    [SkippableFact]
    public async Task A_refusal_leaves_no_code_in_the_address_bar_and_none_in_the_history()
    {
        Axe.Require();
        using var first = new TestBrowser();
        var redirect = await Bed.WalkToRedirectAsync(first, Bed.Wix.CreateSite("Two browsers").InstanceId);
        ExpectFailedLoad(400, "Bad Request", "/api/redirect");
        await OpenSitesAsync();

        await Page.GotoAsync(redirect.AbsoluteUri);

        await AssertHeadingAsync(Page, "We could not match this install to your browser");
        await Assertions.Expect(Page).ToHaveURLAsync($"{Bed.Api}redirect?problem=foreign_state");
        await Axe.AssertAccessibleAsync(Page, "install-refused");
        ExpectFailedLoad(400, "Bad Request", "/api/redirect");
        await Page.ReloadAsync();
        await AssertHeadingAsync(Page, "We could not match this install to your browser");
        await Page.GoBackAsync();
        Assert.Equal(Bed.Wix.Url.ToString(), Page.Url);
    }

    [SkippableFact]
    public async Task Twelve_installs_in_twelve_tabs_all_succeed()
    {
        List<(IPage Page, Guid Id)> tabs = [];
        for (var tab = 0; tab < 12; tab++)
        {
            var site = Bed.Wix.CreateSite($"Tab {tab}");
            var page = await Browser.NewPageAsync();
            await page.GotoAsync($"{Bed.Wix.Url}sites/{site.InstanceId}/open");
            tabs.Add((page, site.InstanceId));
        }

        foreach (var (page, id) in tabs)
        {
            await AgreeButton(page).ClickAsync();
            await AssertInstalledAsync(page, id);
        }
    }

    /// <summary>A page of another site.</summary>
    private static async Task<WebApplication> PageOfAsync(string html)
    {
        var builder = WebApplication.CreateBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Urls.Add($"http://127.0.0.1:{FreePort.Next()}");
        app.MapGet("/", () => Results.Content($"<!DOCTYPE html><link rel=icon href='data:,'>{html}", "text/html"));
        await app.StartAsync();
        return app;
    }
}
