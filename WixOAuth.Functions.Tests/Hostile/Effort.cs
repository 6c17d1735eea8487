using System.Globalization;

namespace WixOAuth.Functions.Tests.Hostile;

/// <summary>How hard the properties are tried: a little in every run, and as long as <c>HOSTILE_SECONDS</c> says where it is set.</summary>
internal static class Effort
{
    private static readonly int s_seconds =
        int.TryParse(Environment.GetEnvironmentVariable("HOSTILE_SECONDS"), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) ? seconds : 0;

    /// <summary>Tries a property with samples, two at a time. What fails is made smaller, and printed with the seed to try it again.</summary>
    public static Task TryAsync<T>(this CsCheck.Gen<T> samples, int usually, Func<T, Task> property) =>
        s_seconds > 0
            ? CsCheck.Check.SampleAsync(samples, property, time: s_seconds, threads: 2)
            : CsCheck.Check.SampleAsync(samples, property, iter: usually, threads: 2);

    public static Task TryAsync<T1, T2>(this CsCheck.Gen<(T1, T2)> samples, int usually, Func<T1, T2, Task> property) =>
        samples.TryAsync(usually, sample => property(sample.Item1, sample.Item2));

    public static Task TryAsync<T1, T2, T3>(this CsCheck.Gen<(T1, T2, T3)> samples, int usually, Func<T1, T2, T3, Task> property) =>
        samples.TryAsync(usually, sample => property(sample.Item1, sample.Item2, sample.Item3));
}
