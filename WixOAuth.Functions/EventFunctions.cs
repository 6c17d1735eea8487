using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>Events to our own apps, for operators.</summary>
public sealed class EventFunctions(IServiceProvider services)
{
    [Function(nameof(RedeliverEvents))]
    public Task<IResult> RedeliverEvents(
        [HttpTrigger(AuthorizationLevel.Function, "post", Route = "events/redeliver")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<EventEndpoints>(endpoint => endpoint.RedeliverEvents(request, cancellationToken));
}
