using Microsoft.Playwright;

namespace WixOAuth.Browser.Tests;

/// <summary>Looks at a page as its readers do: by axe-core's rules for accessibility, and with a camera.</summary>
public static class Axe
{
    private const string Violations = """
        async () => (await axe.run(document, { iframes: false, rules: { 'target-size': { enabled: true } } }))
          .violations.map(v => `${v.id}: ${v.help}\n` + v.nodes.map(n => `  ${n.html}\n  ${n.failureSummary}`).join('\n'))
        """;

    private static readonly string Root = FindRoot();
    private static readonly string Script = Path.Combine(Root, "tools", "axe", "node_modules", "axe-core", "axe.min.js");

    private static readonly (string Name, ColorScheme Scheme, int Width, int Height)[] Looks =
    [
        ("light", ColorScheme.Light, 1000, 750),
        ("dark", ColorScheme.Dark, 1000, 750),
        ("phone", ColorScheme.Light, 390, 844),
        ("phone-dark", ColorScheme.Dark, 390, 844),
    ];

    /// <summary>Skips the test, saying why, where axe-core could not be installed.</summary>
    public static void Require() => Skip.IfNot(File.Exists(Script), "axe-core is not installed: run 'npm ci' in tools/axe to see why.");

    /// <summary>
    /// In light and dark, on a desk and on a phone: no violation, nothing to scroll sideways for. A picture of each look
    /// stays in artifacts/screenshots.
    /// </summary>
    public static async Task AssertAccessibleAsync(IPage page, string name)
    {
        foreach (var (look, scheme, width, height) in Looks)
        {
            await page.EmulateMediaAsync(new() { ColorScheme = scheme });
            await page.SetViewportSizeAsync(width, height);
            await page.ScreenshotAsync(new() { Path = Path.Combine(Root, "artifacts", "screenshots", $"{name}-{look}.png"), FullPage = true });
            foreach (var frame in page.Frames)
            {
                Assert.True(await ViolationsAsync(frame) is var violations && violations.Length == 0, $"{name} ({look}):\n{string.Join('\n', violations)}");
            }

            Assert.True(
                await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= document.documentElement.clientWidth"),
                $"{name} ({look}) is wider than the window.");
        }

        await page.EmulateMediaAsync(new() { ColorScheme = ColorScheme.Light });
        await page.SetViewportSizeAsync(Looks[0].Width, Looks[0].Height);
    }

    /// <summary>What axe-core finds in one frame. Its script comes through the debugger: the pages' policy would not let it in.</summary>
    public static async Task<string[]> ViolationsAsync(IFrame frame)
    {
        if (!await frame.EvaluateAsync<bool>("'axe' in window"))
        {
            await frame.EvaluateAsync(await File.ReadAllTextAsync(Script));
        }

        return await frame.EvaluateAsync<string[]>(Violations);
    }

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "WixOAuth.slnx")))
        {
            folder = folder.Parent!;
        }

        return folder.FullName;
    }
}
