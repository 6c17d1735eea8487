using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Http;

/// <summary>The health of the service over HTTP. Nothing is ever thrown to the host.</summary>
internal sealed class HealthEndpoint(HealthChecks checks, ILogger<HealthEndpoint> logger)
{
    /// <summary><c>GET /api/health</c>: see the contract's <c>Health</c>.</summary>
    public Task<IResult> Health(CancellationToken cancellationToken) => logger.GuardUnexpectedAsync(async () =>
    {
        var finding = await checks.FindAsync(cancellationToken);
        return finding.Status == HealthChecks.Healthy
            ? new JsonAnswer<HealthBody>(finding, Json.Default.HealthBody)
            : new JsonAnswer<HealthBody>(finding, Json.Default.HealthBody, StatusCodes.Status503ServiceUnavailable);
    });
}
