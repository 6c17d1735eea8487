using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Html;

namespace WixOAuth.Pages;

/// <summary>A style sheet or script in this folder, embedded in the assembly.</summary>
internal sealed class Asset
{
    public Asset(string name)
    {
        using var stream = typeof(Asset).Assembly.GetManifestResourceStream(name) ?? throw new FileNotFoundException("Not embedded in the assembly.", name);
        using var reader = new StreamReader(stream, Encoding.UTF8);

        // A browser hashes what it parsed, where every line ends with a line feed.
        var text = reader.ReadToEnd().ReplaceLineEndings("\n");
        Text = new HtmlString(text);
        Source = $"'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(text)))}'";
    }

    /// <summary>The text to put into its element: part of the program, and the only text that a page does not encode.</summary>
    public HtmlString Text { get; }

    /// <summary>Its hash, as a Content-Security-Policy names it.</summary>
    public string Source { get; }
}
