using System.Globalization;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>How thorough the random tests are: WIXOAUTH_TEST_ROUNDS times as long as in a quick run.</summary>
internal static class Rounds
{
    public static int Factor { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("WIXOAUTH_TEST_ROUNDS"), NumberStyles.None, CultureInfo.InvariantCulture, out var factor)
            ? Math.Max(1, factor)
            : 1;
}
