using Microsoft.Extensions.Logging;
using WixOAuth.Events;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Http;

/// <summary>
/// Finds conditions that need attention although the service answers, named as in the contract (<c>degraded</c> of
/// <c>HealthBody</c>). A condition that cannot be checked now is left out, and logged.
/// </summary>
internal sealed partial class ServiceTroubles(
    ISweepStateStore states,
    AppSecretLedger ledger,
    WixCircuit circuit,
    BackupMonitor backups,
    ParkedEvents parked,
    ServiceSettings settings,

    // Eight: the five sources of six troubles, the settings, the clock and the log.
    TimeProvider time,
    ILogger<ServiceTroubles> logger)
{
    /// <summary>A sweep is overdue this long after the last one: sweeps run each minute, and the alert waits longer.</summary>
    private static readonly TimeSpan s_sweepOverdueAfter = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan s_longestCheck = TimeSpan.FromSeconds(5);

    // Stands in for the last sweep until there is one, so that a first sweep that never runs is reported as overdue.
    private readonly DateTimeOffset _startedAt = time.GetUtcNow();

    /// <summary>The words that hold now. Costs one storage request, and a few more at times.</summary>
    public async Task<IReadOnlyList<string>> FindAsync(CancellationToken cancellationToken)
    {
        var state = ReadAsync(
            async inTime => await states.ReadSweepStateAsync(inTime) ?? new SweepState(_startedAt, OnFallback: 0, Unreadable: 0, ledger.IsSuspect, IsWixThrottled: false),
            cancellationToken);
        var isAnyParked = settings.Events.Url is null ? Task.FromResult(false) : ReadAsync(parked.IsAnyAsync, cancellationToken);
        var isBackupOverdue = ReadAsync(backups.IsOverdueAsync, cancellationToken);
        var swept = await state;

        // A time in the future comes from a clock that was ahead: it does not show that sweeps run.
        var isOverdue = (time.GetUtcNow() - swept?.SweptAt)?.Duration() > s_sweepOverdueAfter;
        (bool Holds, string Word)[] findings =
        [
            (swept is { OnFallback: > 0 }, "sites_on_fallback"),

            // While sweeps run, their finding decides. A process that only serves tokens which they refreshed asks Wix for nothing,
            // so it would not learn that its own suspicion has ended.
            (swept is { IsSecretSuspect: true } || (ledger.IsSuspect && (swept is null || isOverdue)), "secret_suspect"),
            (circuit.IsOpen || swept is { IsWixThrottled: true }, "wix_throttled"),
            (isOverdue, "sweep_overdue"),
            (await isAnyParked, "events_parked"),
            (await isBackupOverdue, "backup_overdue"),
        ];
        return [.. findings.Where(finding => finding.Holds).Select(finding => finding.Word)];
    }

    private async Task<T?> ReadAsync<T>(Func<CancellationToken, Task<T>> read, CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(s_longestCheck, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(inTime.Token, cancellationToken);
        try
        {
            return await read(until.Token);
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            CheckFailed(exception.GetType().Name);
            return default;
        }
    }

    [LoggerMessage(304, LogLevel.Warning, "A health check failed: {Error}")]
    private partial void CheckFailed(string error);
}
