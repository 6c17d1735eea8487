using Microsoft.Playwright;
using WixOAuth.Functions.Tests;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.PretendWix;

namespace WixOAuth.Browser.Tests;

/// <summary>Installs as a site's owner lives through them.</summary>
public sealed class InstallTests(AzuriteFixture azurite, BrowserFixture chromium) : BrowserTest(azurite, chromium)
{
    [SkippableFact]
    public async Task An_install_runs_from_the_site_to_the_closing_window()
    {
        var site = Bed.Wix.CreateSite("Ann's Café");

        await OpenConsentAsync(site.Name);
        await AgreeButton(Page).ClickAsync();

        await AssertInstalledAsync(Page, site.InstanceId);
        await Bed.SettleAsync();
        await Page.ReloadAsync();
        await Assertions.Expect(Page.GetByText("Setup complete")).ToBeVisibleAsync();
        await OpenSitesAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Listitem).Filter(new() { HasText = site.Name })).ToContainTextAsync("Setup complete");
    }

    [SkippableTheory]
    [InlineData("localhost")]

    // Another site than the program's localhost: to the browser our cookie is a third party's.
    [InlineData("127.0.0.1")]
    public async Task An_install_inside_a_frame_finishes_there(string host)
    {
        var site = Bed.Wix.CreateSite("Framed");
        await Page.GotoAsync(new UriBuilder(Bed.Wix.Url) { Host = host }.Uri.ToString());
        await Page.GetByRole(AriaRole.Link, new() { Name = "Open in a frame for Framed" }).ClickAsync();

        var frame = Page.FrameLocator("iframe");
        await frame.GetByRole(AriaRole.Button, new() { Name = "Agree & Add" }).ClickAsync();

        await Assertions.Expect(frame.GetByRole(AriaRole.Heading, new() { Level = 1 })).ToHaveTextAsync("Installation finished");
        using var token = await Bed.GetTokenAsync(site.InstanceId);
        Assert.True(token.IsSuccessStatusCode);
    }

    [SkippableFact]
    public async Task A_stuck_frame_restarts_in_its_own_window()
    {
        var site = Bed.Wix.CreateSite("Framed");
        ExpectFailedLoad(400, "Bad Request", "/api/redirect");
        await Page.GotoAsync(new UriBuilder(Bed.Wix.Url) { Host = "127.0.0.1", Path = $"/sites/{site.InstanceId}/frame" }.Uri.ToString());
        var frame = Page.FrameLocator("iframe");
        await frame.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();

        await StartAgainAsync(frame.GetByRole(AriaRole.Link, new() { Name = "Start again" }), site);
    }

    [SkippableFact]
    public async Task Two_installs_in_two_tabs_at_once()
    {
        var (one, other) = (Bed.Wix.CreateSite("One"), Bed.Wix.CreateSite("Other"));
        var otherPage = await Browser.NewPageAsync();
        await OpenConsentAsync(one.Name);
        await OpenConsentAsync(other.Name, otherPage);
        var bothAtWix = Meeting.Of(2);
        Bed.Wix.Control.Gate = (endpoint, _) => endpoint == PretendWixEndpoints.Access ? bothAtWix() : Task.CompletedTask;

        await Task.WhenAll(AgreeButton(Page).ClickAsync(), AgreeButton(otherPage).ClickAsync());

        await AssertInstalledAsync(Page, one.InstanceId);
        await AssertInstalledAsync(otherPage, other.InstanceId);
    }

    [SkippableTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_owner_who_cancels_can_start_again(bool sendsError)
    {
        Bed.Wix.Control.Switches = Bed.Wix.Control.Switches with { CancelSendsError = sendsError };
        var site = Bed.Wix.CreateSite("Undecided");
        ExpectFailedLoad(400, "Bad Request", "/api/redirect");
        await OpenConsentAsync(site.Name);

        await Page.GetByRole(AriaRole.Button, new() { Name = "Cancel" }).ClickAsync();

        await AssertHeadingAsync(Page, "The app was not connected");
        Assert.Equal(0, Bed.Wix.Control.Counts.Calls["access"]);
        await StartAgainAsync(Page.GetByRole(AriaRole.Link, new() { Name = "Start again" }), site);
    }

    [SkippableFact]
    public async Task A_reload_while_the_redirect_is_under_way_ends_the_same_and_spends_the_code_once()
    {
        var site = Bed.Wix.CreateSite("Impatient");
        var (atWix, goOn) = (NewSignal(), NewSignal());
        Bed.Wix.Control.Gate = (endpoint, _) =>
        {
            if (endpoint != PretendWixEndpoints.Access)
            {
                return Task.CompletedTask;
            }

            atWix.TrySetResult();
            return goOn.Task;
        };
        await OpenConsentAsync(site.Name);
        var redirecting = Page.WaitForRequestAsync(request => new Uri(request.Url).AbsolutePath == "/api/redirect");
        var agreed = AgreeButton(Page).ClickAsync();
        await atWix.Task;
        var redirect = (await redirecting).Url;

        // What the reload button does while an address is loading: the address is requested again, the first request is aborted.
        var again = Page.WaitForRequestAsync(request => request.Url == redirect);
        var reload = Page.GotoAsync(redirect);
        await again;
        goOn.SetResult();
        await Task.WhenAll(agreed, reload);

        await AssertInstalledAsync(Page, site.InstanceId);
        Assert.Equal(2, Requests.Count(url => url.AbsoluteUri == redirect));
        Assert.Equal(1, Bed.Wix.Control.Counts.Grants["authorization_code"]);
    }

    [SkippableFact]
    public async Task Reopening_the_redirect_later_shows_that_the_site_is_connected()
    {
        var site = Bed.Wix.CreateSite("Bookmarked");
        await OpenConsentAsync(site.Name);
        await AgreeButton(Page).ClickAsync();
        await AssertInstalledAsync(Page, site.InstanceId);
        var redirect = LastRedirect();

        await Page.GotoAsync(redirect);
        await AssertInstalledAsync(Page, site.InstanceId);

        // The first token is dead by then, the cookie is not.
        Bed.Clock.Advance(TimeSpan.FromMinutes(6));
        await Page.GotoAsync(redirect);
        await AssertHeadingAsync(Page, "You are connected");
        Assert.Equal(1, Bed.Wix.Control.Counts.Grants["authorization_code"]);
    }

    [SkippableFact]
    public async Task The_back_button_leads_to_the_consent_and_a_second_consent_to_a_page_that_starts_again()
    {
        var site = Bed.Wix.CreateSite("Hesitant");
        await OpenConsentAsync(site.Name);
        await AgreeButton(Page).ClickAsync();
        await AssertInstalledAsync(Page, site.InstanceId);

        await Page.GoBackAsync();
        await AssertHeadingAsync(Page, "Update Your app?");
        ExpectFailedLoad(400, "Bad Request", "/api/redirect");
        await AgreeButton(Page).ClickAsync();

        await AssertHeadingAsync(Page, "This install was used before");
        Assert.Equal(1, Bed.Wix.Control.Counts.Grants["authorization_code"]);
        await StartAgainAsync(Page.GetByRole(AriaRole.Link, new() { Name = "Start again" }), site);
    }

    [SkippableTheory]
    [InlineData(false)]

    // Wix sends the browser through the App URL once more, with a token.
    [InlineData(true)]
    public async Task An_install_link_carries_its_customer(bool throughTheAppUrlAgain)
    {
        Bed.Wix.Control.Switches = Bed.Wix.Control.Switches with { SiteChoiceOpensAppUrl = throughTheAppUrlAgain };
        var site = Bed.Wix.CreateSite("Linked");

        await OpenLinkAsync("Customer no. 42");
        await Page.GetByRole(AriaRole.Link, new() { Name = site.Name }).ClickAsync();
        await AgreeButton(Page).ClickAsync();

        await AssertInstalledAsync(Page, site.InstanceId);
        Assert.Equal("Customer no. 42", (await Bed.GetInstanceAsync(site.InstanceId)).GetProperty("customer").GetString());
    }

    [SkippableFact]
    public async Task Another_browser_gets_the_page_that_explains_and_starts_again()
    {
        var site = Bed.Wix.CreateSite("Two browsers");
        using var first = new TestBrowser();
        var redirect = await Bed.WalkToRedirectAsync(first, site.InstanceId);
        ExpectFailedLoad(400, "Bad Request", "/api/redirect");

        await Page.GotoAsync(redirect.AbsoluteUri);

        await AssertHeadingAsync(Page, "We could not match this install to your browser");
        Assert.Equal(0, Bed.Wix.Control.Counts.Calls["access"]);
        await StartAgainAsync(Page.GetByRole(AriaRole.Link, new() { Name = "Start again" }), site);
    }

    [SkippableFact]
    public async Task A_browser_without_cookies_gets_a_page_that_explains()
    {
        var site = Bed.Wix.CreateSite("No cookies");
        using var profile = new TemporaryFolder();
        await using var strict = await OpenBrowserWithoutCookiesAsync(profile.Path);
        var page = strict.Pages[0];
        ExpectFailedLoad(400, "Bad Request", "/api/redirect");
        await OpenConsentAsync(site.Name, page);
        await AgreeButton(page).ClickAsync();

        await AssertHeadingAsync(page, "We could not match this install to your browser");
        Assert.Equal(0, Bed.Wix.Control.Counts.Calls["access"]);
    }

    private async Task OpenLinkAsync(string customer)
    {
        await Page.GotoAsync(await Bed.CreateLinkAsync(customer));
        await Page.GetByRole(AriaRole.Button, new() { Name = "Choose a site" }).ClickAsync();
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private string LastRedirect() => Requests.Last(url => url.AbsolutePath == "/api/redirect").AbsoluteUri;

    private async Task StartAgainAsync(ILocator link, PretendSite site)
    {
        var window = await link.Page.Context.RunAndWaitForPageAsync(() => link.ClickAsync());
        await window.GetByRole(AriaRole.Link, new() { Name = site.Name }).ClickAsync();
        await AgreeButton(window).ClickAsync();
        await AssertInstalledAsync(window, site.InstanceId);
    }
}
