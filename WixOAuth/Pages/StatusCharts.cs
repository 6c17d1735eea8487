using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Pages;

internal sealed record LifePart(string Css, string X, string Width, string Words, string Count, bool IsBad)
{
    private const double ChartWidth = 600;

    public static IReadOnlyList<LifePart> ListOf(Overview overview)
    {
        (string Words, int Count)[] parts =
        [
            ("no token, though they should have one", overview.Overdue),
            ("no token: not in use", overview.Resting),
            ("up to 30 s", overview.ByLife[0]),
            ("up to 1 min", overview.ByLife[1]),
            ("up to 2 min", overview.ByLife[2]),
            ("up to 5 min", overview.ByLife[3]),
            ("longer", overview.ByLife[4]),
        ];
        var total = Math.Max(1, parts.Sum(part => part.Count));
        List<LifePart> list = [];
        var x = 0.0;
        foreach (var (words, count) in parts)
        {
            var width = ChartWidth * count / total;
            list.Add(new($"k{list.Count}", Figures.Length(x), Figures.Length(width), words, Figures.N(count), list.Count == 0 && count > 0));
            x += width;
        }

        return list;
    }
}

internal sealed record HourBar(int X, string GoodY, string GoodHeight, string BadY, string BadHeight);

internal sealed record HourChart(IReadOnlyList<HourBar> Bars, string Succeeded, string Failed)
{
    private const double ChartHeight = 80;
    private const int BarDistance = 50;

    public static HourChart Of(IReadOnlyList<RefreshCount> history)
    {
        var most = Math.Max(1, history.Max(count => count.Succeeded + count.Failed));
        return new(
            [.. history.Select((count, i) => Bar(i, ChartHeight * count.Succeeded / most, ChartHeight * count.Failed / most))],
            Figures.N(history.Sum(count => count.Succeeded)),
            Figures.N(history.Sum(count => count.Failed)));
    }

    private static HourBar Bar(int i, double good, double bad) =>
        new(i * BarDistance, Figures.Length(ChartHeight - good), Figures.Length(good), Figures.Length(ChartHeight - good - bad), Figures.Length(bad));
}
