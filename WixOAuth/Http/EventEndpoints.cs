using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Events;

namespace WixOAuth.Http;

/// <summary>Events as HTTP, for operators. Nothing is ever thrown to the host.</summary>
internal sealed class EventEndpoints(ParkedEvents parked, ILogger<EventEndpoints> logger)
{
    /// <summary><c>POST /api/events/redeliver</c>: see the contract's <c>RedeliverEvents</c>.</summary>
    public Task<IResult> RedeliverEvents(HttpRequest request, CancellationToken cancellationToken) => logger.GuardAsync(async () =>
        Parameters.RefuseUnknown(request)
        ?? new JsonAnswer<RedeliveryBody>(
            new RedeliveryBody(await parked.RedeliverAsync(cancellationToken)), Json.Default.RedeliveryBody, StatusCodes.Status202Accepted));
}
