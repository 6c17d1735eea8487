using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;

namespace WixOAuth.Pages;

/// <summary>
/// Markup. <c>Html.Of($"…{value}…")</c> encodes every value that is not markup itself, so that encoding one cannot be
/// forgotten: there is no other way to put a value into markup.
/// </summary>
internal readonly struct Html
{
    private readonly string? _markup;

    private Html(string markup) => _markup = markup;

    /// <summary>Markup with values in it.</summary>
    public static Html Of(Interpolated markup) => new(markup.ToMarkup());

    /// <summary>Parts one after another.</summary>
    public static Html Concat(IEnumerable<Html> parts) => new(string.Concat(parts));

    /// <summary>The text of a style sheet or script of this service, which is not encoded inside its element.</summary>
    public static Html FromAsset(Asset asset) => new(asset.Text);

    /// <summary>The markup.</summary>
    public override string ToString() => _markup ?? "";

    /// <summary>What the compiler makes of an interpolated text.</summary>
    [InterpolatedStringHandler]
    internal readonly struct Interpolated(int literalLength, int formattedCount)
    {
        private readonly StringBuilder _markup = new(literalLength + (formattedCount * 16));

        public void AppendLiteral(string markup) => _markup.Append(markup);

        public void AppendFormatted(Html markup) => _markup.Append(markup.ToString());

        public void AppendFormatted(string? text) => _markup.Append(HtmlEncoder.Default.Encode(text ?? ""));

        public void AppendFormatted<T>(T value, string? format = null)
            where T : IFormattable => AppendFormatted(value.ToString(format, CultureInfo.InvariantCulture));

        public string ToMarkup() => _markup.ToString();
    }
}
