using Microsoft.Playwright;

namespace WixOAuth.Browser.Tests;

/// <summary>A way to look at a page.</summary>
public sealed record Look(string Name, ColorScheme Scheme, int Width, int Height)
{
    public static readonly Look Desk = new("light", ColorScheme.Light, 1000, 750);
    public static readonly Look Phone = new("phone", ColorScheme.Light, 390, 844);
    public static readonly IReadOnlyList<Look> All =
        [Desk, new("dark", ColorScheme.Dark, 1000, 750), Phone, new("phone-dark", ColorScheme.Dark, 390, 844)];

    /// <summary>Looks at the page so. There must be nothing to scroll sideways for; a picture stays in artifacts/screenshots.</summary>
    public static async Task AtAsync(IPage page, string name, Look look)
    {
        await page.EmulateMediaAsync(new() { ColorScheme = look.Scheme });
        await page.SetViewportSizeAsync(look.Width, look.Height);
        await page.ScreenshotAsync(new() { Path = Repository.File("artifacts", "screenshots", $"{name}-{look.Name}.png"), FullPage = true });
        Assert.True(
            await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
            $"{name} ({look.Name}) is wider than the window.");
    }
}
