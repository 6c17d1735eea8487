using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Events;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Http;

/// <summary>The health of the storage and the secrets, over HTTP. Results are cached for 10 seconds, since anybody may ask.</summary>
public sealed class HealthEndpoint(
    IInstanceStore store,
    ISweepStateStore states,
    AppSecretLedger ledger,
    WixCircuit circuit,
    ISecretSource<AppSecretVersion> appSecret,
    IKeyRing protectionKeys,
    TokenProtector protector,
    BackupMonitor backups,
    ParkedEvents parked,
    ServiceSettings settings,
    TimeProvider time,
    ILogger<HealthEndpoint> logger)
{
    /// <summary>So long after the last sweep it is overdue: a sweep runs each minute, and the alert waits longer.</summary>
    private static readonly TimeSpan SweepOverdueAfter = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan KeptFor = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan LongestCheck = TimeSpan.FromSeconds(5);
    private readonly Lock _lock = new();
    private (DateTimeOffset At, Task<HealthBody> Finding)? _last;

    /// <summary><c>GET /api/health</c>: see the contract's <c>Health</c>.</summary>
    public Task<IResult> Health(CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        var finding = await FindAsync().WaitAsync(cancellationToken);
        return new JsonAnswer<HealthBody>(finding.Status == Healthy ? 200 : 503, finding, Json.Default.HealthBody);
    });

    private const string Healthy = "healthy";
    private const string Unhealthy = "unhealthy";

    private Task<HealthBody> FindAsync()
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();
            if (_last is not { } last || now - last.At >= KeptFor || now < last.At)
            {
                _last = last = (now, CheckAsync());
            }

            return last.Finding;
        }
    }

    private async Task<HealthBody> CheckAsync()
    {
        // No instance has the empty id: reading it is the cheapest request.
        var storage = CheckAsync(async cancellationToken => await store.FindAsync(default, cancellationToken));
        var secrets = CheckAsync(async cancellationToken =>
        {
            await appSecret.GetAsync(cancellationToken);
            await protectionKeys.GetCurrentAsync(cancellationToken);
            await CheckKeysAsync(cancellationToken);
        });
        IReadOnlyList<string> degraded = [];
        var isBackupOverdue = false;
        var backup = CheckAsync(async cancellationToken => isBackupOverdue = await backups.IsOverdueAsync(cancellationToken));
        var isAnyParked = false;
        var events = CheckAsync(async cancellationToken => isAnyParked = settings.Events.Url is not null && await parked.IsAnyAsync(cancellationToken));
        var state = CheckAsync(async cancellationToken => degraded = DegradedBy(await states.ReadSweepStateAsync(cancellationToken)));
        var (storageStatus, secretsStatus) = (await storage, await secrets);
        await Task.WhenAll(state, backup, events);
        degraded = [.. degraded, .. isAnyParked ? ["events_parked"] : Array.Empty<string>(), .. isBackupOverdue ? ["backup_overdue"] : Array.Empty<string>()];
        return new HealthBody(storageStatus == Healthy && secretsStatus == Healthy ? Healthy : Unhealthy, storageStatus, secretsStatus, degraded);
    }

    /// <summary>What does not keep the service from answering, and should be looked at. Words of the contract.</summary>
    private List<string> DegradedBy(SweepState? state)
    {
        List<(bool Holds, string Word)> findings =
        [
            (state is { OnFallback: > 0 }, "sites_on_fallback"),
            (ledger.IsSuspect || state is { IsSecretSuspect: true }, "secret_suspect"),
            (circuit.IsOpen || state is { IsWixThrottled: true }, "wix_throttled"),
            (time.GetUtcNow() - state?.SweptAt > SweepOverdueAfter, "sweep_overdue"),
        ];
        return [.. findings.Where(finding => finding.Holds).Select(finding => finding.Word)];
    }

    private async Task CheckKeysAsync(CancellationToken cancellationToken)
    {
        try
        {
            await protector.EnsureCanSealAsync(cancellationToken);
        }
        catch (StorageUnavailableException)
        {
            // Reported as the storage's health, not as the secrets'.
        }
    }

    private async Task<string> CheckAsync(Func<CancellationToken, Task> check)
    {
        using var inTime = new CancellationTokenSource(LongestCheck, time);
        try
        {
            await Task.Yield();
            await check(inTime.Token);
            return Healthy;
        }
        catch (Exception exception)
        {
            logger.Unavailable(exception.GetType().Name);
            return Unhealthy;
        }
    }
}
