using WixOAuth.Functions.Tests.Support;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>The tables of docs/faults.md.</summary>
internal static class FaultTable
{
    private const string Document = "docs/faults.md";

    /// <summary>The rows of one call: one for each outcome.</summary>
    public static IEnumerable<string> RowsOf(Call call, IEnumerable<(string Fault, string Outcome)> outcomes) =>
        outcomes.GroupBy(each => each.Outcome).Select(same => $"| {call} | {string.Join("; ", same.Select(each => each.Fault))} | {same.Key} |");

    /// <summary>Compares the rows with the document. Where they differ, writes them to artifacts/faults: review them, and copy them if they are right.</summary>
    public static async Task AssertAsync(string operation, IReadOnlyList<string> rows)
    {
        // Background work makes its calls before or after the others by chance, so the order does not count.
        var (expected, actual) = (InOrder(Expected(operation)), InOrder(rows));
        if (actual != expected)
        {
            var found = Directory.CreateDirectory(Path.Combine(Repository.Root, "artifacts", "faults"));
            await File.WriteAllLinesAsync(Path.Combine(found.FullName, $"{operation}.md"), rows);
        }

        Assert.Equal(expected, actual);
    }

    private static IEnumerable<string> Expected(string operation) =>
        Repository.Read(Document.Split('/')).ReplaceLineEndings("\n").Split('\n')
            .SkipWhile(line => line != $"## {operation}")
            .SkipWhile(line => !line.StartsWith('|'))
            .TakeWhile(line => line.StartsWith('|'))
            .Skip(2);

    private static string InOrder(IEnumerable<string> rows) => string.Join('\n', rows.Order(StringComparer.Ordinal));
}
