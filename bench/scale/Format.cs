using System.Globalization;

namespace WixOAuth.Scale;

/// <summary>Figures as text, the same on every machine.</summary>
internal static class Format
{
    public static string Of(double figure, string format) => figure.ToString(format, CultureInfo.InvariantCulture);

    /// <summary>Three digits that mean something: 1,234,567 as 1.23 M.</summary>
    public static string Short(double figure) => Math.Abs(figure) switch
    {
        0 => "0",
        >= 1e9 => Of(figure / 1e9, "G3") + " G",
        >= 1e6 => Digits(figure / 1e6) + " M",
        >= 1e4 => Digits(figure / 1e3) + " k",
        >= 100 => Of(figure, "N0"),
        _ => Of(figure, "0.#"),
    };

    public static string Dollars(double dollars) => dollars >= 100 ? Of(dollars, "N0") : Of(dollars, "F2");

    private static string Digits(double figure) => Of(figure, figure >= 100 ? "F0" : figure >= 10 ? "F1" : "F2");
}
