using System.Security.Cryptography;
using System.Text;

namespace WixOAuth.PretendWix.Pages;

/// <summary>A style sheet or script beside this file and is compiled into the assembly.</summary>
internal sealed class Asset
{
    /// <summary>Reads one by its file name.</summary>
    public Asset(string name)
    {
        using var stream = typeof(Asset).Assembly.GetManifestResourceStream(name) ?? throw new FileNotFoundException("Not embedded in the assembly.", name);
        using var reader = new StreamReader(stream, Encoding.UTF8);

        // A browser hashes what it parsed, where every line ends with a line feed.
        Text = reader.ReadToEnd().ReplaceLineEndings("\n");
        Source = $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(Text)))}'";
    }

    /// <summary>The text, as it goes into its element.</summary>
    public string Text { get; }

    /// <summary>What a Content-Security-Policy calls it.</summary>
    public string Source { get; }
}
