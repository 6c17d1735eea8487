using System.Globalization;

namespace WixOAuth.Pages;

internal static class Figures
{
    public static string N(int number) => number.ToString("N0", CultureInfo.InvariantCulture);

    public static string Length(double length) => length.ToString("F1", CultureInfo.InvariantCulture);

    public static string Time(DateTimeOffset at) => at.UtcDateTime.ToString("HH:mm:ss 'UTC,' d MMMM yyyy", CultureInfo.InvariantCulture);

    public static string Ago(TimeSpan age) => $"{Age(age)} ago";

    public static string Age(TimeSpan age) => age switch
    {
        { TotalSeconds: < 90 } => $"{Math.Max(0, (int)age.TotalSeconds)} s",
        { TotalMinutes: < 90 } => $"{(int)age.TotalMinutes} min",
        { TotalHours: < 36 } => $"{(int)age.TotalHours} h",
        _ => $"{(int)age.TotalDays} days",
    };
}
