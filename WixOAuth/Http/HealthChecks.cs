using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Http;

/// <summary>Looks at the storage and the secrets. A result is cached for 10 seconds, because the endpoint is public.</summary>
internal sealed class HealthChecks(
    IInstanceStore store,
    ISecretSource<AppSecretVersion> appSecret,
    IKeyRing protectionKeys,
    TokenProtector protector,
    ServiceTroubles troubles,
    TimeProvider time,
    ILogger<HealthChecks> logger)
{
    internal const string Healthy = "healthy";
    private const string Unhealthy = "unhealthy";

    private static readonly TimeSpan s_longestCheck = TimeSpan.FromSeconds(5);
    private readonly SharedResult<HealthBody> _finding = new(time, keptFor: TimeSpan.FromSeconds(10));

    internal Task<HealthBody> FindAsync(CancellationToken cancellationToken) => _finding.GetAsync(CheckAsync, forceRefresh: false, cancellationToken);

    private async Task<HealthBody> CheckAsync()
    {
        // No instance has the empty id: reading it is the cheapest request.
        var storage = CheckAsync(async cancellationToken => await store.FindAsync(default, cancellationToken));
        var secrets = CheckAsync(async cancellationToken =>
        {
            await appSecret.GetAsync(cancellationToken);
            await protectionKeys.GetCurrentAsync(cancellationToken);
            try
            {
                await protector.EnsureCanSealAsync(cancellationToken);
            }
            catch (StorageUnavailableException)
            {
                // Reported as the storage's health, not as the secrets'.
            }
        });
        var degraded = troubles.FindAsync(CancellationToken.None);
        var (storageStatus, secretsStatus) = (await storage, await secrets);
        return new HealthBody(storageStatus == Healthy && secretsStatus == Healthy ? Healthy : Unhealthy, storageStatus, secretsStatus, await degraded);
    }

    private async Task<string> CheckAsync(Func<CancellationToken, Task> check)
    {
        using var inTime = new CancellationTokenSource(s_longestCheck, time);
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
