namespace WixOAuth.Functions.Tests.Support;

/// <summary>The files that this was built from.</summary>
internal static class Repository
{
    public static readonly string Root = FindRoot();

    public static string Read(params string[] path) => File.ReadAllText(Path.Combine([Root, .. path]));

    /// <summary>The C# files below a folder, without what a build put there.</summary>
    public static IEnumerable<string> Sources(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
            .Where(file => Path.GetRelativePath(Path.Combine(Root, folder), file).Split(Path.DirectorySeparatorChar)[0] is not ("obj" or "bin"));

    /// <summary>The rows of the first table below a heading of a Markdown file, each cell without its ticks.</summary>
    public static IReadOnlyList<string[]> Table(string file, string heading)
    {
        var rows = Read(file.Split('/')).ReplaceLineEndings("\n").Split('\n')
            .SkipWhile(line => line != heading)
            .SkipWhile(line => !line.StartsWith('|'))
            .TakeWhile(line => line.StartsWith('|'))
            .Skip(2)
            .Select(line => line[1..^1].Split('|').Select(cell => cell.Trim()).Select(cell => cell is ['`', .. var word, '`'] && !word.Contains('`', StringComparison.Ordinal) ? word : cell).ToArray())
            .ToList();
        Assert.NotEmpty(rows);
        return rows;
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
