using System.Collections.Concurrent;
using Microsoft.Playwright;
using WixOAuth.Functions.Tests;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.PretendWix;

namespace WixOAuth.Browser.Tests;

/// <summary>The operators' page, used with a mouse, a keyboard or a phone, and by an attacker.</summary>
public sealed class StatusPageTests(AzuriteFixture azurite, BrowserFixture chromium) : BrowserTest(azurite, chromium)
{
    private readonly ConcurrentQueue<IRequest> _asked = new();

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        Page.Request += (_, request) => _asked.Enqueue(request);
    }

    [SkippableFact]
    public async Task The_key_goes_in_a_header_and_is_in_no_address_history_or_page()
    {
        var site = await Bed.InstallAsync("Ann's Café");
        await PauseClockAsync();

        await OpenStatusAsync();

        await Assertions.Expect(Page).ToHaveURLAsync($"{Bed.Api}status");
        await ActAsync("refresh", site);
        await RefreshItselfAsync();
        Assert.Equal(["GET", "POST"], _asked.Select(request => request.Method).Distinct().Order(StringComparer.Ordinal));
        Assert.All(_asked, request =>
        {
            Assert.DoesNotContain(TestBed.FunctionKey, request.Url, StringComparison.Ordinal);
            Assert.DoesNotContain(TestBed.FunctionKey, request.Headers.GetValueOrDefault("referer", ""), StringComparison.Ordinal);
            Assert.Equal(new Uri(request.Url).AbsolutePath == "/api/status" ? "" : TestBed.FunctionKey, request.Headers.GetValueOrDefault("x-functions-key", ""));
        });
        Assert.DoesNotContain(TestBed.FunctionKey, await Page.ContentAsync(), StringComparison.Ordinal);
        Assert.Equal("", await Page.EvaluateAsync<string>("document.getElementById('key').value"));
        Assert.Equal(0, await Page.EvaluateAsync<int>("localStorage.length"));
        Assert.Equal("", await Page.EvaluateAsync<string>("document.cookie"));
    }

    [SkippableFact]
    public async Task The_sign_in_survives_a_reload_and_stays_in_its_tab()
    {
        await Bed.InstallAsync("Ann's Café");
        await OpenStatusAsync();

        await Page.ReloadAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "Ann's Café" })).ToBeVisibleAsync();

        var other = await Browser.NewPageAsync();
        await other.GotoAsync($"{Bed.Api}status");
        await Assertions.Expect(other.GetByLabel("Function key")).ToBeVisibleAsync();
        await Assertions.Expect(other.GetByRole(AriaRole.Link, new() { Name = "Ann's Café" })).ToHaveCountAsync(0);
    }

    [SkippableFact]
    public async Task Signing_out_leaves_nothing_behind()
    {
        await Bed.InstallAsync("Ann's Café");
        await OpenStatusAsync();

        await Page.GetByRole(AriaRole.Button, new() { Name = "Sign out" }).ClickAsync();

        await AssertSignedOutAsync("You are signed out.");
        await Page.ReloadAsync();
        await AssertSignedOutAsync("");
    }

    [SkippableFact]
    public async Task A_wrong_key_is_refused_and_kept_nowhere()
    {
        await Bed.InstallAsync("Ann's Café");
        ExpectFailedLoad(401, "Unauthorized", "/api/status/view");

        await SignInAsync(Bed, "wrong");

        await AssertSignedOutAsync("This key is not accepted. Check it, and sign in again.");
    }

    [SkippableFact]
    public async Task A_key_that_is_deleted_signs_out()
    {
        await Bed.InstallAsync("Ann's Café");
        await PauseClockAsync();
        await OpenStatusAsync();
        await Page.RouteAsync("**/api/status/view*", route => route.FulfillAsync(new() { Status = 401 }));
        ExpectFailedLoad(401, "Unauthorized", "/api/status/view");

        await Page.Clock.RunForAsync(10_500);

        await AssertSignedOutAsync("This key is not accepted. Check it, and sign in again.");
    }

    [SkippableFact]
    public async Task The_sign_in_accepts_a_bearer_token()
    {
        await Page.GotoAsync($"{Bed.Api}status");
        await Page.GetByLabel("Function key").FillAsync(TestBed.FunctionKey);
        await Page.GetByText("Microsoft Entra ID stands in front").ClickAsync();
        await Page.GetByLabel("Access token of Microsoft Entra ID").FillAsync("an-entra-token");
        await Page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();

        await Assertions.Expect(Page.GetByRole(AriaRole.Button, new() { Name = "Sign out" })).ToBeVisibleAsync();
        Assert.Equal("Bearer an-entra-token", _asked.Last().Headers["authorization"]);
    }

    [SkippableFact]
    public async Task A_key_in_the_address_gets_a_page_that_says_where_it_belongs()
    {
        Axe.Require();
        await Bed.InstallAsync("Ann's Café");
        ExpectFailedLoad(400, "Bad Request", "/api/status");

        await Page.GotoAsync($"{Bed.Api}status?code={TestBed.FunctionKey}");

        await AssertHeadingAsync(Page, "Do not put the key in the address");
        await Axe.AssertAccessibleAsync(Page, "status-key-in-the-address");
        await Page.GetByRole(AriaRole.Link, new() { Name = "Open the page" }).ClickAsync();
        await Assertions.Expect(Page).ToHaveURLAsync($"{Bed.Api}status?");
        await Assertions.Expect(Page.GetByLabel("Function key")).ToBeVisibleAsync();
    }

    [SkippableFact]
    public async Task Everybody_can_sign_in()
    {
        Axe.Require();
        await Page.GotoAsync($"{Bed.Api}status");
        await Axe.AssertAccessibleAsync(Page, "status-sign-in");
        ExpectFailedLoad(401, "Unauthorized", "/api/status/view");
        await SignInAsync(Bed, "wrong");
        await Assertions.Expect(Page.GetByText("This key is not accepted")).ToBeVisibleAsync();
        await Page.GetByText("Microsoft Entra ID stands in front").ClickAsync();
        await Axe.AssertAccessibleAsync(Page, "status-sign-in-refused");
    }

    [SkippableFact]
    public async Task Each_site_is_named_with_a_link_and_how_it_stands()
    {
        var (active, removed) = (await Bed.InstallAsync("Ann's Café"), await Bed.InstallAsync("Gone"));
        using var forgotten = await Bed.CallAsync(HttpMethod.Delete, $"instances/{removed}");

        await OpenStatusAsync();

        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "Ann's Café" }))
            .ToHaveAttributeAsync("href", Bed.Wix.GetSite(active).Url.AbsoluteUri);
        await Assertions.Expect(Button("refresh", active)).ToBeVisibleAsync();
        await Assertions.Expect(Button("forget", active)).ToBeVisibleAsync();
        await Assertions.Expect(Button("refresh", removed)).ToHaveCountAsync(0);
    }

    [SkippableFact]
    public async Task Refresh_now_gets_new_tokens()
    {
        var site = await Bed.InstallAsync("Ann's Café");
        await OpenStatusAsync();

        await ActAsync("refresh", site);

        await AssertSaidAsync("Ann's Café has a new token.");
        Assert.Equal(1, Bed.Wix.Control.Counts.Grants["refresh_token"]);
    }

    [SkippableFact]
    public async Task A_refresh_that_fails_says_so()
    {
        var site = await Bed.InstallAsync("Ann's Café");
        Bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Kind = PretendWixFaultKind.ResetBefore });
        await OpenStatusAsync();
        ExpectFailedLoad(503, "Service Unavailable", $"/api/instances/{site}/refresh");

        await ActAsync("refresh", site, succeeds: false);

        await AssertSaidAsync("Ann's Café: Wix gives no token at the moment.");
        await Assertions.Expect(Page.GetByText("Wix could not be reached")).ToBeVisibleAsync();
    }

    [SkippableFact]
    public async Task While_the_service_is_away_the_page_says_so_and_no_longer()
    {
        await Bed.InstallAsync("Ann's Café");
        await PauseClockAsync();
        await OpenStatusAsync();

        await Page.RouteAsync("**/api/status/view*", route => route.FulfillAsync(new() { Status = 503 }));
        ExpectFailedLoad(503, "Service Unavailable", "/api/status/view");
        await Page.Clock.RunForAsync(10_500);
        await AssertSaidAsync("The page could not be brought up to date. It tries again.");

        await Page.UnrouteAllAsync();
        await RefreshItselfAsync();
        await AssertSaidAsync("");
    }

    [SkippableFact]
    public async Task Complete_set_up_tells_Wix_and_its_button_goes()
    {
        await using var bed = await StartAsync(overrides: null, ("Wix__SetupCompletion", "ByApp"));
        var site = await bed.InstallAsync("Ann's Café");
        await OpenStatusAsync(bed);

        await ActAsync("setup", site);

        await Assertions.Expect(Button("setup", site)).ToHaveCountAsync(0);
        Assert.True(bed.Wix.GetSite(site).SetupComplete);
    }

    [SkippableFact]
    public async Task Forget_asks_first()
    {
        var site = await Bed.InstallAsync("Ann's Café");
        await OpenStatusAsync();

        await Button("forget", site).ClickAsync();
        var dialog = Page.GetByRole(AriaRole.Dialog);
        await Assertions.Expect(dialog).ToContainTextAsync("Ann's Café");
        await Page.Keyboard.PressAsync("Escape");
        await Assertions.Expect(dialog).ToBeHiddenAsync();
        await Assertions.Expect(Button("forget", site)).ToBeFocusedAsync();
        Assert.Equal("active", (await Bed.GetInstanceAsync(site)).GetProperty("status").GetString());

        await Button("forget", site).ClickAsync();
        await Page.RunAndWaitForResponseAsync(
            () => dialog.GetByRole(AriaRole.Button, new() { NameRegex = new("^Forget") }).ClickAsync(),
            response => response.Request.Method == "DELETE" && response.Status == 204);
        await Assertions.Expect(Button("forget", site)).ToHaveCountAsync(0);
        await Assertions.Expect(Page.GetByRole(AriaRole.Button, new() { Name = "0 active", Exact = true })).ToBeVisibleAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Button, new() { Name = "1 removed" })).ToBeVisibleAsync();
        Assert.Equal("removed", (await Bed.GetInstanceAsync(site)).GetProperty("status").GetString());
    }

    [SkippableFact]
    public async Task Parked_events_are_sent_again_at_the_press_of_a_button()
    {
        Axe.Require();
        await using var receiver = await EventReceiver.StartAsync();
        await using var bed = await StartAsync(overrides: null, ("Events__Url", receiver.Url.AbsoluteUri), ("Events__Secret", EventReceiver.Secret), ("Wix__SetupCompletion", "ByApp"));
        receiver.Answer = (_, context) => EventReceiver.Status(context, 410);
        var site = await bed.InstallAsync("Ann's Café");
        await receiver.WaitForAsync(1);
        await bed.WaitForParkedEventAsync();

        receiver.Answer = (_, context) => EventReceiver.Status(context, 204);
        await OpenStatusAsync(bed);
        var events = Page.GetByRole(AriaRole.Region, new() { Name = "Events to your apps" });
        await Assertions.Expect(events).ToContainTextAsync($"instance.connected of {site}");
        await Axe.AssertAccessibleAsync(Page, "status-events-parked");

        var button = events.GetByRole(AriaRole.Button, new() { Name = "Send parked events again" });
        await TabToAsync(button);
        await Page.Keyboard.PressAsync("Enter");

        await AssertSaidAsync("Parked events: 1 is sent again within a minute.");
        await Assertions.Expect(button).ToHaveCountAsync(0);
        await Assertions.Expect(events).ToBeFocusedAsync();
        await Assertions.Expect(Page.Locator("#events-parked")).ToHaveCountAsync(0);
        await bed.SweepUntilAsync(() => receiver.All.Count > 1);
        Assert.Equal(2, receiver.All.Count);
    }

    [SkippableFact]
    public async Task It_refreshes_itself_and_leaves_the_focus_where_it_is()
    {
        var site = await Bed.InstallAsync("Ann's Café");
        await PauseClockAsync();
        await OpenStatusAsync();
        await Page.EvaluateAsync("window.sameDocument = true");
        await TabToAsync(Button("refresh", site));

        await Bed.InstallAsync("A newcomer");
        await RefreshItselfAsync();

        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "A newcomer" })).ToBeVisibleAsync();
        Assert.True(await Page.EvaluateAsync<bool>("window.sameDocument"));
        await Assertions.Expect(Button("refresh", site)).ToBeFocusedAsync();
    }

    [SkippableFact]
    public async Task The_whole_page_can_be_used_with_the_keyboard()
    {
        await Bed.InstallAsync("Ann's Café");
        var site = await Bed.InstallAsync("Bob's Bikes");
        await OpenStatusAsync();

        await TabToAsync(Page.GetByRole(AriaRole.Searchbox));
        await Page.Keyboard.TypeAsync("bikes");
        await Page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "Ann's Café" })).ToHaveCountAsync(0);
        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "Bob's Bikes" })).ToBeVisibleAsync();

        await TabToAsync(Button("refresh", site));
        await Page.Keyboard.PressAsync("Enter");
        await AssertSaidAsync("Bob's Bikes has a new token.");
        await Assertions.Expect(Button("refresh", site)).ToBeFocusedAsync();

        await TabToAsync(Button("forget", site));
        await Page.Keyboard.PressAsync("Enter");
        await TabToAsync(Page.GetByRole(AriaRole.Button, new() { Name = "Forget it" }));
        await Page.Keyboard.PressAsync("Enter");
        await AssertSaidAsync("Bob's Bikes is forgotten.");

        // The button that had the focus is gone, and so is the name that was searched for: reading goes on in the list.
        await Assertions.Expect(Button("forget", site)).ToHaveCountAsync(0);
        await Assertions.Expect(Page.GetByRole(AriaRole.Heading, new() { Name = "No instance found" })).ToBeFocusedAsync();
    }

    [SkippableFact]
    public async Task Many_sites_come_a_page_at_a_time()
    {
        var sites = await Task.WhenAll(Enumerable.Range(1, 30).Select(number => Bed.InstallAsync($"Site {number}")));
        await OpenStatusAsync();
        var first = await IdsAsync();

        await Page.GetByRole(AriaRole.Link, new() { Name = "Next page" }).Or(Page.GetByRole(AriaRole.Button, new() { Name = "Next page" })).ClickAsync();
        await Assertions.Expect(Button("refresh", first[0])).ToHaveCountAsync(0);
        var second = await IdsAsync();

        Assert.Equal(25, first.Length);
        Assert.Equal(sites.Order(), first.Concat(second).Order());
        Assert.DoesNotContain(TestBed.FunctionKey, Page.Url, StringComparison.Ordinal);
        await Page.GetByText("Back to the beginning").ClickAsync();
        await Assertions.Expect(Button("refresh", first[0])).ToBeVisibleAsync();
        Assert.Equal(first, await IdsAsync());
    }

    [SkippableFact]
    public async Task The_sites_that_are_not_well_are_one_press_away()
    {
        await using var bed = await StartAsync(overrides: null, ("Wix__ClientCredentialsFallback", "false"));
        await bed.InstallAsync("Ann's Café");
        var failing = await bed.InstallAsync("Bob's Bikes");
        bed.Wix.Control.RejectRefreshToken(failing);
        bed.Clock.Advance(TimeSpan.FromMinutes(6));
        using var refused = await bed.GetTokenAsync(failing);
        await OpenStatusAsync(bed);
        await Page.GetByRole(AriaRole.Searchbox).FillAsync("nobody");
        await Page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(Page.GetByText("No instance found")).ToBeVisibleAsync();

        await TabToAsync(Page.GetByRole(AriaRole.Button, new() { Name = "1 active, last refresh failed" }), backwards: true);
        await Page.Keyboard.PressAsync("Enter");

        await Assertions.Expect(Page.GetByRole(AriaRole.Heading, new() { Name = "1 instance" })).ToBeFocusedAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "Bob's Bikes" })).ToBeVisibleAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "Ann's Café" })).ToHaveCountAsync(0);
        await Assertions.Expect(Page.GetByLabel("Status")).ToHaveValueAsync("failing");
        await Assertions.Expect(Page.GetByRole(AriaRole.Searchbox)).ToHaveValueAsync("");
        await Page.GetByRole(AriaRole.Button, new() { Name = "2 active", Exact = true }).ClickAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Link, new() { Name = "Ann's Café" })).ToBeVisibleAsync();
    }

    [SkippableFact]
    public async Task No_other_page_can_frame_it()
    {
        ExpectConsole("frame-ancestors 'none'");
        await OpenSitesAsync();
        var response = await Page.RunAndWaitForResponseAsync(
            () => Page.EvaluateAsync("url => { const frame = document.createElement('iframe'); frame.src = url; document.body.append(frame); }", $"{Bed.Api}status"),
            answer => new Uri(answer.Url).AbsolutePath == "/api/status");

        Assert.Contains("frame-ancestors 'none'", response.Headers["content-security-policy"], StringComparison.Ordinal);
        await Assertions.Expect(Page.FrameLocator("iframe").GetByRole(AriaRole.Searchbox)).ToHaveCountAsync(0);
    }

    [SkippableFact]
    public async Task Everybody_can_read_it()
    {
        Axe.Require();
        await OpenStatusAsync();
        await Axe.AssertAccessibleAsync(Page, "status-empty");

        await using var bed = await SetSceneAsync();
        await OpenStatusAsync(bed);
        Assert.Equal(
            ["active", "failing", "reinstall required", "removed"],
            (await Page.Locator(".pill").AllTextContentsAsync()).Distinct().Order(StringComparer.Ordinal));
        await Axe.AssertAccessibleAsync(Page, "status");
        await Page.Locator("[data-act=forget]").First.ClickAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Dialog)).ToBeVisibleAsync();
        await Axe.AssertAccessibleAsync(Page, "status-forget");
    }

    [SkippableFact]
    public async Task Hostile_names_change_nothing_but_the_text()
    {
        var plain = await OutlineAsync("Plain");
        foreach (var name in HostileNameTests.Names)
        {
            Assert.Equal(plain, await OutlineAsync(name));
        }

        async Task<string> OutlineAsync(string name)
        {
            await using var bed = await StartAsync();
            var site = await InstallForAsync(bed, name, customer: name);
            await OpenStatusAsync(bed);
            await Look.Phone.AtAsync(Page);
            await Assertions.Expect(Page.GetByRole(AriaRole.Heading, new() { Level = 3 })).ToHaveTextAsync(name, new() { UseInnerText = false });

            // The dialog and the message are made by the script.
            await Button("forget", site).ClickAsync();
            Assert.Equal($"Forget {name}?", await Page.Locator("#sure-title").TextContentAsync());
            await Page.GetByRole(AriaRole.Button, new() { Name = "Keep it" }).ClickAsync();
            await ActAsync("refresh", site);
            await AssertSaidAsync($"{name} has a new token.");
            Assert.True(await Page.Locator("#said").EvaluateAsync<bool>(HostileNameTests.ReadsOn), $"{name} turned around what stands behind it.");
            return await Outline.OfAsync(Page);
        }
    }

    private async Task OpenStatusAsync(TestBed? bed = null)
    {
        await SignInAsync(bed ?? Bed, TestBed.FunctionKey);
        await Assertions.Expect(Page.GetByRole(AriaRole.Button, new() { Name = "Sign out" })).ToBeVisibleAsync();
    }

    private async Task SignInAsync(TestBed bed, string key)
    {
        await Page.GotoAsync($"{bed.Api}status");
        if (await Page.GetByLabel("Function key").IsVisibleAsync())
        {
            await Page.GetByLabel("Function key").FillAsync(key);
            await Page.GetByRole(AriaRole.Button, new() { Name = "Sign in" }).ClickAsync();
        }
    }

    private async Task AssertSignedOutAsync(string says)
    {
        await Assertions.Expect(Page.Locator("#sign-in-said")).ToHaveTextAsync(says);
        await Assertions.Expect(Page.GetByLabel("Function key")).ToBeVisibleAsync();
        await Assertions.Expect(Page.GetByRole(AriaRole.Button, new() { Name = "Sign out" })).ToHaveCountAsync(0);
        Assert.DoesNotContain("Ann", await Page.ContentAsync(), StringComparison.Ordinal);
        Assert.Equal(0, await Page.EvaluateAsync<int>("sessionStorage.length"));
    }

    private ILocator Button(string action, Guid instanceId) => Page.Locator($"button[data-act={action}][data-id='{instanceId}']");

    private async Task ActAsync(string action, Guid instanceId, bool succeeds = true) => await Page.RunAndWaitForResponseAsync(
        () => Button(action, instanceId).ClickAsync(),
        response => response.Url.EndsWith($"/api/instances/{instanceId}/{action}", StringComparison.Ordinal) && response.Ok == succeeds);

    /// <summary>Holds the page's time: on a busy machine it would bring itself up to date more often than the test lets it.</summary>
    private async Task PauseClockAsync()
    {
        await Page.Clock.InstallAsync();
        await Page.Clock.PauseAtAsync(Bed.Clock.GetUtcNow().AddHours(1).UtcDateTime);
    }

    /// <summary>Lets ten seconds pass for the page.</summary>
    private async Task RefreshItselfAsync() => await Page.RunAndWaitForResponseAsync(
        () => Page.Clock.RunForAsync(10_500), response => new Uri(response.Url).AbsolutePath == "/api/status/view" && response.Ok);

    private Task<Guid[]> IdsAsync() => Page.EvaluateAsync<Guid[]>("[...document.querySelectorAll('[data-act=refresh]')].map(button => button.dataset.id)");

    /// <summary>Presses Tab until it has the focus, which must be seen.</summary>
    private async Task TabToAsync(ILocator target, bool backwards = false)
    {
        for (var presses = 0; !await target.EvaluateAsync<bool>("element => element === document.activeElement"); presses++)
        {
            Assert.True(presses < 50, "The keyboard does not get there.");
            await Page.Keyboard.PressAsync(backwards ? "Shift+Tab" : "Tab");
        }

        Assert.NotEqual("none", await target.EvaluateAsync<string>("element => getComputedStyle(element).outlineStyle"));
    }

    private Task AssertSaidAsync(string text) => Assertions.Expect(Page.Locator("#said")).ToHaveTextAsync(text);

    private static Task<Guid> InstallForAsync(TestBed bed, string siteName, string customer) => bed.InstallForAsync(customer, siteName);

    /// <summary>Sites of every kind.</summary>
    private async Task<TestBed> SetSceneAsync()
    {
        var bed = await StartAsync(overrides: null, ("Wix__ClientCredentialsFallback", "false"), ("Wix__SetupCompletion", "ByApp"), ("Tokens__IdleAfter", "00:20:00"));
        var lost = await InstallForAsync(bed, "Old Mill Books", "shop-1000");
        bed.Wix.Control.RejectRefreshToken(lost);
        List<Guid> well = [];
        foreach (var name in new[] { "Rosemary & Rye Bakery", "Nordlicht Ceramics", "Halden Bike Repair", "Ann's Café", "Casa Olivo" })
        {
            well.Add(await InstallForAsync(bed, name, $"shop-{1001 + well.Count}"));
            bed.Clock.Advance(TimeSpan.FromSeconds(70));
        }

        // A rejection is final after it was repeated for two hours. The last site's token is not used, so it rests.
        foreach (var minutes in Enumerable.Repeat(5, 30).Concat(Enumerable.Repeat(1, 10)))
        {
            bed.Clock.Advance(TimeSpan.FromMinutes(minutes));
            await bed.SweepAsync();
            foreach (var id in well.SkipLast(1))
            {
                using var token = await bed.GetTokenAsync(id);
            }
        }

        foreach (var id in well.Skip(1).SkipLast(1))
        {
            using var completed = await bed.CallAsync(HttpMethod.Post, $"instances/{id}/setup");
        }

        bed.Wix.Control.Fail(PretendWixEndpoints.Access, new PretendWixFault { Kind = PretendWixFaultKind.ResetBefore, InstanceId = well[2] });
        using var failed = await bed.CallAsync(HttpMethod.Post, $"instances/{well[2]}/refresh");
        using var forgotten = await bed.CallAsync(HttpMethod.Delete, $"instances/{await InstallForAsync(bed, "Paper & Twine", "shop-1006")}");
        await bed.SweepAsync();
        return bed;
    }
}
