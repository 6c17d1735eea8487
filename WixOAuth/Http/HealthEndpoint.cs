using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Http;

/// <summary>The health of the service over HTTP. Nothing is ever thrown to the host.</summary>
internal sealed class HealthEndpoint(HealthChecks checks, ILogger<HealthEndpoint> logger)
{
    /// <summary><c>GET /api/health</c>: see the contract's <c>Health</c>.</summary>
    public Task<IResult> Health(CancellationToken cancellationToken) => logger.GuardAsync(async () =>
    {
        var finding = await checks.FindAsync(cancellationToken);
        return new JsonAnswer<HealthBody>(finding.Status == HealthChecks.Healthy ? 200 : 503, finding, Json.Default.HealthBody);
    });
}
