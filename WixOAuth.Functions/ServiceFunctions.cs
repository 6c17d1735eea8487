using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>The service as a whole, for operators and programs that generate clients.</summary>
public sealed class ServiceFunctions(IServiceProvider services)
{
    [Function(nameof(Status))]
    public Task<IResult> Status(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "status")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<StatusEndpoint>(endpoint => endpoint.Status(request));

    [Function(nameof(StatusView))]
    public Task<IResult> StatusView(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "status/view")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<StatusEndpoint>(endpoint => endpoint.StatusView(request, cancellationToken));

    [Function(nameof(Health))]
    public Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "health")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<ServiceEndpoints>(endpoint => endpoint.Health(cancellationToken));

    [Function(nameof(OpenApi))]
    public Task<IResult> OpenApi(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "openapi.json")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<ServiceEndpoints>(endpoint => endpoint.OpenApi());

    [Function(nameof(RedeliverEvents))]
    public Task<IResult> RedeliverEvents(
        [HttpTrigger(AuthorizationLevel.Function, "post", Route = "events/redeliver")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<ServiceEndpoints>(endpoint => endpoint.RedeliverEvents(request, cancellationToken));
}
