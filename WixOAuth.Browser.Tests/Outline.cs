using Microsoft.Playwright;

namespace WixOAuth.Browser.Tests;

/// <summary>What a page is made of, without what it says.</summary>
internal static class Outline
{
    private const string Script = """
        () => {
          const walk = (element, depth) => [
            ' '.repeat(depth) + element.tagName + ' ' + [...element.attributes].map(attribute => attribute.name).sort().join(' '),
            ...[...element.children].flatMap(child => walk(child, depth + 1))];
          return walk(document.documentElement, 0).join('\n');
        }
        """;

    /// <summary>The elements with the names of their attributes, indented by depth.</summary>
    public static Task<string> OfAsync(IPage page) => page.EvaluateAsync<string>(Script);
}
