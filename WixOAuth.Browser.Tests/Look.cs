using Microsoft.Playwright;

namespace WixOAuth.Browser.Tests;

/// <summary>A way to look at a page.</summary>
internal sealed record Look(string Name, ColorScheme Scheme, int Width, int Height)
{
    public static readonly Look Desk = new("light", ColorScheme.Light, 1000, 750);
    public static readonly Look Phone = new("phone", ColorScheme.Light, 390, 844);
    public static readonly IReadOnlyList<Look> All = [Desk, new("dark", ColorScheme.Dark, 1000, 750), Phone];

    /// <summary>Looks at the page so: there must be nothing to scroll sideways for.</summary>
    public async Task AtAsync(IPage page)
    {
        await page.EmulateMediaAsync(new() { ColorScheme = Scheme });
        await page.SetViewportSizeAsync(Width, Height);
        Assert.True(
            await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
            $"{page.Url} is wider than the window ({Name}).");
    }

    /// <summary>Leaves a picture in artifacts/screenshots.</summary>
    public Task KeepPictureAsync(IPage page, string name) => page.ScreenshotAsync(new()
    {
        Path = Repository.File("artifacts", "screenshots", $"{name}-{Name}.png"),
        FullPage = true,
    });
}
