using System.Globalization;

namespace WixOAuth.Load;

/// <summary>One line of the table of measures.</summary>
/// <param name="What">What is measured.</param>
/// <param name="Goal">What the design asks for.</param>
/// <param name="Figure">What it is here and now.</param>
/// <param name="Met">Whether that is good enough; null where the run cannot tell.</param>
/// <param name="Why">What limits it, or how the figure came about.</param>
internal sealed record Measure(string What, string Goal, string Figure, bool? Met, string Why)
{
    public override string ToString() =>
        $"| {What} | {Goal} | {Figure} | {(Met switch { true => "met", false => "missed", _ => "cannot tell" })} | {Why} |";
}

internal static class Figures
{
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToList();
        return (sorted[(sorted.Count - 1) / 2] + sorted[sorted.Count / 2]) / 2;
    }

    public static string Of(double value, string format = "F2") => value.ToString(format, CultureInfo.InvariantCulture);

    public static string Ms(TimeSpan time) => $"{Of(time.TotalMilliseconds, time.TotalMilliseconds < 10 ? "F1" : "F0")} ms";
}
