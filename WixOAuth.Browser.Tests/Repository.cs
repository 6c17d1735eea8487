namespace WixOAuth.Browser.Tests;

/// <summary>Where this repository is.</summary>
internal static class Repository
{
    private static readonly string Root = FindRoot();

    /// <summary>The path of one of its files.</summary>
    public static string File(params string[] path) => Path.Combine([Root, .. path]);

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!System.IO.File.Exists(Path.Combine(folder.FullName, "WixOAuth.slnx")))
        {
            folder = folder.Parent!;
        }

        return folder.FullName;
    }
}
