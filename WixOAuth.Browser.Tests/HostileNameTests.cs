using Microsoft.Playwright;
using WixOAuth.Functions.Tests;
using WixOAuth.Functions.Tests.EndToEnd;

namespace WixOAuth.Browser.Tests;

/// <summary>What comes from a site's owner or from a customer is text on every page, whatever it looks like.</summary>
public sealed class HostileNameTests(AzuriteFixture azurite, BrowserFixture chromium) : BrowserTest(azurite, chromium)
{
    /// <summary>Markup, quotes, entities and templates, text that runs backwards, characters of many code points, and no end.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "<script>document.title='x'</script><img src=x onerror=alert(1)>",
        "\"><h1 autofocus onfocus=alert(1) x='</h1></title></style></form><form action=\"//evil.example",
        "&lt;b&gt; &#60;b> {{7*7}} ${7*7} <!-- <![CDATA[",
        "invoice\u202Egpj.exe \u2066\u2067left open",
        "👩‍👩‍👧‍👦🏳️‍🌈 Ȩ̸̛͕͖͗v̶͈̎i̷̺͝l̵̗͠",
        new('W', 200),
    ];

    /// <summary>Whether the full stop at the paragraph's end is still right of the last letter.</summary>
    internal const string ReadsOn = """
        paragraph => {
          const text = paragraph.lastChild, end = text.data.trimEnd().length;
          const left = at => { const range = new Range(); range.setStart(text, at); range.setEnd(text, at + 1); return range.getBoundingClientRect().left; };
          return left(end - 1) > left(end - 2);
        }
        """;

    [SkippableFact]
    public async Task A_hostile_name_changes_no_page()
    {
        var plain = await WalkAsync(Bed, "Plain");
        Assert.Equal(7, plain.Count);

        foreach (var name in Names)
        {
            await using var bed = await StartAsync();
            Assert.Equal(plain, await WalkAsync(bed, name));
        }
    }

    /// <summary>The outline of each page that a site's name is on, seen in an install for a customer of the same name.</summary>
    private async Task<List<string>> WalkAsync(TestBed bed, string name)
    {
        var outlines = new List<string>();
        var site = bed.Wix.CreateSite(name);
        await Page.GotoAsync(bed.Wix.Url.ToString());
        await LookAsync();

        await Page.GotoAsync(await bed.CreateLinkAsync(name, name));
        await LookAsync();
        await Page.GetByRole(AriaRole.Button, new() { Name = "Choose a site" }).ClickAsync();
        await LookAsync();

        await Page.GetByText(name, new() { Exact = true }).ClickAsync();
        await LookAsync();

        await AgreeButton(Page).ClickAsync();
        await AssertHeadingAsync(Page, "Installation finished");
        await bed.SettleAsync();
        await Page.ReloadAsync();
        await LookAsync();
        Assert.Equal(name, (await bed.GetInstanceAsync(site.InstanceId)).GetProperty("customer").GetString());

        await Page.GotoAsync(bed.Wix.Url.ToString());
        await LookAsync();

        await Page.GotoAsync($"{bed.Wix.Url}sites/{site.InstanceId}/frame");
        await Assertions.Expect(Page.FrameLocator("iframe").GetByRole(AriaRole.Heading, new() { Level = 1 })).ToBeVisibleAsync();
        await LookAsync();
        Assert.True(await Page.Locator(".lede").EvaluateAsync<bool>(ReadsOn), $"{name} turned around what stands behind it.");
        return outlines;

        async Task LookAsync()
        {
            Assert.Equal(name, await Page.GetByText(name, new() { Exact = true }).First.TextContentAsync());
            await Look.Phone.AtAsync(Page);
            outlines.Add(await Outline.OfAsync(Page));
        }
    }
}
