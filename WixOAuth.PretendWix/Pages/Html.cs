using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace WixOAuth.PretendWix.Pages;

/// <summary>Markup. <see cref="Of"/> encodes every value that is not markup itself, so that encoding one cannot be forgotten.</summary>
internal sealed class Html
{
    private static readonly HtmlEncoder _encoder = HtmlEncoder.Create(UnicodeRanges.All);
    private readonly string _text;

    private Html(string text) => _text = text;

    public static Html Empty { get; } = new("");

    public override string ToString() => _text;

    public static Html Of(Template template) => new(template.Text);

    public static Html Join(IEnumerable<Html> parts) => new(string.Concat(parts.Select(part => part._text)));

    /// <summary>The text of a style sheet or script of this service, which is not encoded inside its element.</summary>
    public static Html FromAsset(Asset asset) => new(asset.Text);

    [InterpolatedStringHandler]
    public readonly struct Template(int literalLength, int formattedCount)
    {
        private readonly StringBuilder _builder = new(literalLength + (formattedCount * 32));

        internal string Text => _builder.ToString();

        public void AppendLiteral(string text) => _builder.Append(text);

        public void AppendFormatted(Html html) => _builder.Append(html._text);

        public void AppendFormatted(string? text) => _builder.Append(_encoder.Encode(text ?? ""));

        public void AppendFormatted(Guid id) => _builder.Append(id.ToString());

        public void AppendFormatted(int number) => _builder.Append(System.Globalization.CultureInfo.InvariantCulture, $"{number}");
    }
}
