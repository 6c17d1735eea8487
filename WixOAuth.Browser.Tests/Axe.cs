using Microsoft.Playwright;

namespace WixOAuth.Browser.Tests;

/// <summary>Whether everybody can read and use a page, by axe-core's rules.</summary>
internal static class Axe
{
    private const string Violations = """
        async () => (await axe.run(document, { iframes: false, rules: { 'target-size': { enabled: true } } }))
          .violations.map(v => `${v.id}: ${v.help}\n` + v.nodes.map(n => `  ${n.html}\n  ${n.failureSummary}`).join('\n'))
        """;

    private static readonly string Script = Repository.File("tools", "axe", "node_modules", "axe-core", "axe.min.js");

    /// <summary>Skips the test, saying why, where axe-core could not be installed.</summary>
    public static void Require() => Skip.IfNot(File.Exists(Script), "axe-core is not installed: run 'npm ci' in tools/axe to see why.");

    /// <summary>In light and dark and on a phone: no violation, frames included. Pictures stay.</summary>
    public static async Task AssertAccessibleAsync(IPage page, string name)
    {
        foreach (var look in Look.All)
        {
            await look.AtAsync(page);
            await look.KeepPictureAsync(page, name);
            foreach (var frame in page.Frames)
            {
                var violations = await ViolationsAsync(frame);
                Assert.True(violations.Length == 0, $"{name} ({look.Name}):\n{string.Join('\n', violations)}");
            }
        }

        await Look.Desk.AtAsync(page);
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
}
