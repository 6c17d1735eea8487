using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Playwright;
using Moq;
using WixOAuth.Functions.Tests;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Instances;
using WixOAuth.PretendWix;

namespace WixOAuth.Browser.Tests;

/// <summary>Every page of the handshake and of the pretend Wix can be read by everybody.</summary>
public sealed class PageTests(AzuriteFixture azurite, BrowserFixture chromium) : BrowserTest(azurite, chromium)
{
    public override Task InitializeAsync()
    {
        Axe.Require();
        return base.InitializeAsync();
    }

    [SkippableFact]
    public async Task Findings_of_axe_fail_the_check()
    {
        await Page.SetContentAsync("<p style='color:#bbb;background:#fff'>Pale<img src='data:,'></p>");

        var found = string.Join('\n', await Axe.ViolationsAsync(Page.MainFrame));

        Assert.All(["color-contrast", "image-alt", "document-title", "html-has-lang"], rule => Assert.Contains(rule, found, StringComparison.Ordinal));
    }

    [SkippableFact]
    public async Task The_pages_of_the_pretend_Wix_are_accessible()
    {
        var site = Bed.Wix.CreateSite("Ann's Café");
        Bed.Wix.Remove(await Bed.InstallAsync("Removed"));
        await Bed.InstallAsync("Installed");
        await OpenSitesAsync();
        await Axe.AssertAccessibleAsync(Page, "wix-sites");
        await OpenConsentAsync(site.Name);
        await Axe.AssertAccessibleAsync(Page, "wix-consent");
        await AgreeButton(Page).ClickAsync();
        await AssertInstalledAsync(Page, site.InstanceId);
        await Axe.AssertAccessibleAsync(Page, "wix-finished");
        await Page.GotoAsync($"{Bed.Api}install");
        await AssertHeadingAsync(Page, "Where should Your app go?");
        await Axe.AssertAccessibleAsync(Page, "wix-choose-a-site");
        await Page.GotoAsync($"{Bed.Wix.Url}sites/{site.InstanceId}/frame");
        await Assertions.Expect(Page.FrameLocator("iframe").GetByRole(AriaRole.Heading, new() { Name = "Update Your app?" })).ToBeVisibleAsync();
        await Axe.AssertAccessibleAsync(Page, "wix-frame");

        Bed.Wix.RedirectUrl = null;
        await OpenSitesAsync();
        await Axe.AssertAccessibleAsync(Page, "wix-sites-before-the-app-is-known");
    }

    [SkippableTheory]
    [InlineData("sites/00000000-0000-4000-8000-000000000000/open", 404, "Not Found", "No such site")]
    [InlineData("installer/install?appId=other", 400, "Bad Request", "We couldn't find this app")]
    [InlineData("installer/close-window", 400, "Bad Request", "This window cannot be closed")]
    public async Task A_refusal_by_the_pretend_Wix_is_an_accessible_page(string path, int status, string reason, string heading)
    {
        ExpectFailedLoad(status, reason, $"/{path.Split('?')[0]}");

        await Page.GotoAsync($"{Bed.Wix.Url}{path}");

        await AssertHeadingAsync(Page, heading);
        await Axe.AssertAccessibleAsync(Page, $"wix-refuses-{path.Split('/', '?')[1]}");
    }

    [SkippableFact]
    public async Task An_address_that_is_not_complete() =>
        await AssertProblemAsync($"{Bed.Api}install?token=a&token=b", "This address is not complete");

    [SkippableFact]
    public async Task A_link_that_is_no_longer_good() =>
        await AssertProblemAsync($"{Bed.Api}install?start=x", "This link no longer works");

    [SkippableFact]
    public async Task An_owner_who_cancelled() =>
        await AssertProblemAsync($"{Bed.Api}redirect?error=access_denied", "The app was not connected");

    [SkippableFact]
    public async Task A_state_of_another_browser() =>
        await AssertProblemAsync($"{Bed.Api}redirect?code=c&state=s&instanceId=i", "We could not match this install to your browser");

    [SkippableFact]
    public async Task A_state_that_is_too_old()
    {
        var state = await BeginAsync();
        Bed.Clock.Advance(TimeSpan.FromMinutes(11));

        await AssertProblemAsync($"{Bed.Api}redirect?code=c&state={state}&instanceId={Guid.NewGuid()}", "That took a little too long");
    }

    [SkippableFact]
    public async Task An_instance_that_is_missing() =>
        await AssertProblemAsync($"{Bed.Api}redirect?code=c&state={await BeginAsync()}", "Wix did not say which site this is");

    [SkippableFact]
    public async Task A_code_that_Wix_declines() =>
        await AssertProblemAsync($"{Bed.Api}redirect?code=c&state={await BeginAsync()}&instanceId={Guid.NewGuid()}", "Wix did not accept this install");

    [SkippableFact]
    public async Task A_Wix_that_does_not_answer()
    {
        Bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Kind = PretendWixFaultKind.ResetBefore });

        await AssertProblemAsync(
            $"{Bed.Api}redirect?code=c&state={await BeginAsync()}&instanceId={Guid.NewGuid()}", "We could not reach Wix", HttpStatusCode.BadGateway, "Bad Gateway");
    }

    [SkippableTheory]
    [InlineData(typeof(StorageUnavailableException), "We are having trouble at our end", HttpStatusCode.ServiceUnavailable, "Service Unavailable")]
    [InlineData(typeof(InvalidOperationException), "Something went wrong here", HttpStatusCode.InternalServerError, "Internal Server Error")]
    public async Task Trouble_of_our_own(Type failure, string heading, HttpStatusCode status, string reason)
    {
        var states = new Mock<IConsumedStateStore> { DefaultValue = DefaultValue.Empty };
        states.Setup(it => it.TryAddConsumedStateAsync(It.IsAny<ConsumedState>(), It.IsAny<CancellationToken>()))
            .ThrowsAsync((Exception)Activator.CreateInstance(failure, "It fails.", null)!);
        await using var bed = await StartAsync(services => services
            .Replace(ServiceDescriptor.Singleton(states.Object)));

        await AssertProblemAsync($"{bed.Api}redirect?code=c&state={await BeginAsync(bed)}&instanceId={Guid.NewGuid()}", heading, status, reason);
    }

    [SkippableFact]
    public async Task A_state_that_was_used_and_the_site_that_is_connected()
    {
        var site = Bed.Wix.CreateSite("Ann's Café");
        await OpenConsentAsync(site.Name);
        await AgreeButton(Page).ClickAsync();
        await AssertInstalledAsync(Page, site.InstanceId);
        var redirect = Requests.Last(url => url.AbsolutePath == "/api/redirect");

        await AssertProblemAsync($"{Bed.Api}redirect?code=c&state={TestBed.QueryOf(redirect)["state"]}&instanceId={site.InstanceId}", "This install was used before");

        Bed.Clock.Advance(TimeSpan.FromMinutes(6));
        await Page.GotoAsync(redirect.AbsoluteUri);
        await AssertHeadingAsync(Page, "You are connected");
        await Axe.AssertAccessibleAsync(Page, "install-you-are-connected");
    }

    /// <summary>Begins an install in this browser, and answers its state.</summary>
    private async Task<string> BeginAsync(TestBed? bed = null)
    {
        await Page.GotoAsync($"{(bed ?? Bed).Api}install");
        await AssertHeadingAsync(Page, "Where should Your app go?");
        return TestBed.QueryOf(new Uri(Page.Url))["state"];
    }

    private async Task AssertProblemAsync(
        string url, string heading, HttpStatusCode status = HttpStatusCode.BadRequest, string reason = "Bad Request")
    {
        ExpectFailedLoad((int)status, reason, new Uri(url).AbsolutePath);

        var response = await Page.GotoAsync(url);

        Assert.Equal((int)status, response!.Status);
        await AssertHeadingAsync(Page, heading);
        await Axe.AssertAccessibleAsync(Page, $"install-{heading.ToLowerInvariant().Replace(' ', '-')}");
    }
}
