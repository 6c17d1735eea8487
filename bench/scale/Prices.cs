namespace WixOAuth.Scale;

/// <summary>
/// List prices in US dollars, pay as you go. Where each is from, and from when, is in docs/scale.md. They differ
/// by region and change: put yours here and run again.
/// </summary>
internal static class Prices
{
    /// <summary>Table storage, ten thousand transactions of any kind.</summary>
    public const double TableTransactions = 0.00036;

    /// <summary>Flex Consumption on demand, a GB-second beyond those given each month.</summary>
    public const double OnDemandGigabyteSecond = 0.000026;

    public const double OnDemandGigabyteSecondsGiven = 100_000;

    /// <summary>Flex Consumption, a million executions beyond those given each month.</summary>
    public const double Executions = 0.40;

    public const double ExecutionsGiven = 250_000;

    /// <summary>Flex Consumption, a GB-second of an instance that is always ready.</summary>
    public const double AlwaysReadyGigabyteSecond = 0.000004;

    /// <summary>Flex Consumption, a GB-second in which that one is busy, in addition.</summary>
    public const double AlwaysReadyBusyGigabyteSecond = 0.000016;

    /// <summary>Key Vault, ten thousand operations on secrets.</summary>
    public const double KeyVaultOperations = 0.03;

    /// <summary>Log Analytics, a GB of analytics logs beyond those given each month.</summary>
    public const double LogGigabyte = 2.30;

    public const double LogGigabytesGiven = 5;
}

/// <summary>What a month costs, in US dollars.</summary>
internal sealed record Cost(double Tables, double SweepTime, double HttpTime, double Executions, double KeyVault, double Logs, double Traces)
{
    public double Total => Tables + SweepTime + HttpTime + Executions + KeyVault + Logs + Traces;

    public static Cost Of(Counts day)
    {
        // A sweep is billed for a second at least; what is always ready has nothing given.
        var lines = Month((day.WixCalls + day.Sweeps) * Model.BytesPerLogLine) / 1e9;
        var activities = Month(((day.WixCalls * Model.ActivitiesPerRefresh) + day.Sweeps) * Model.BytesPerActivity) / 1e9;
        var sweepSeconds = Math.Max(day.SweepSeconds, day.Sweeps);
        return new Cost(
            Month(day.Transactions) / 1e4 * Prices.TableTransactions,
            Beyond(Month(sweepSeconds) * Model.InstanceGigabytes, Prices.OnDemandGigabyteSecondsGiven) * Prices.OnDemandGigabyteSecond,
            Month(86_400 * Model.InstanceGigabytes) * Prices.AlwaysReadyGigabyteSecond
                + (Month(day.BusyHttpSeconds) * Model.InstanceGigabytes * Prices.AlwaysReadyBusyGigabyteSecond),
            (Beyond(Month(day.Sweeps), Prices.ExecutionsGiven) + Month(day.GetTokens)) / 1e6 * Prices.Executions,
            Month(Model.KeyVaultReadsPerDay) / 1e4 * Prices.KeyVaultOperations,
            Beyond(lines, Prices.LogGigabytesGiven) * Prices.LogGigabyte,
            Beyond(activities, Math.Max(0, Prices.LogGigabytesGiven - lines)) * Prices.LogGigabyte);
    }

    private static double Month(double perDay) => perDay * Model.DaysPerMonth;

    private static double Beyond(double used, double given) => Math.Max(0, used - given);
}
