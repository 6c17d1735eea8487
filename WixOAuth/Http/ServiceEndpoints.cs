using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Events;
using WixOAuth.Settings;

namespace WixOAuth.Http;

internal sealed class ServiceEndpoints(HealthChecks checks, ParkedEvents parked, ServiceSettings settings, ILogger<ServiceEndpoints> logger)
{
    // docs/openapi.json, built into the assembly.
    private static readonly byte[] s_document = BinaryData.FromStream(typeof(ServiceEndpoints).Assembly.GetManifestResourceStream("openapi.json")!).ToArray();

    public Task<IResult> Health(CancellationToken cancellationToken) => logger.GuardUnexpectedAsync(async () =>
    {
        var finding = await checks.FindAsync(cancellationToken);
        return finding.Status == HealthChecks.Healthy
            ? new JsonAnswer<HealthBody>(finding, Json.Default.HealthBody)
            : new JsonAnswer<HealthBody>(finding, Json.Default.HealthBody, StatusCodes.Status503ServiceUnavailable);
    });

    public Task<IResult> OpenApi() => logger.GuardUnexpectedAsync(() => Task.FromResult<IResult>(new OpenApiAnswer(s_document)));

    public Task<IResult> RedeliverEvents(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(request, async () =>
    {
        // Without a receiver nobody would send what is made due.
        var count = settings.Events.Url is null ? 0 : await parked.RedeliverAsync(cancellationToken);
        return new JsonAnswer<RedeliveryBody>(new RedeliveryBody(count), Json.Default.RedeliveryBody, StatusCodes.Status202Accepted);
    });
}
