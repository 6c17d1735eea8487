using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>Installations, for our own apps and operators.</summary>
public sealed class InstanceFunctions(InstanceEndpoints endpoints, StatusEndpoint status, HealthEndpoint health)
{
    [Function(nameof(GetInstance))]
    public Task<IResult> GetInstance(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "instances/{instanceId}")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        endpoints.GetInstance(instanceId, cancellationToken);

    [Function(nameof(ListInstances))]
    public Task<IResult> ListInstances(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "instances")] HttpRequest request, CancellationToken cancellationToken) =>
        endpoints.ListInstances(request, cancellationToken);

    [Function(nameof(ForgetInstance))]
    public Task<IResult> ForgetInstance(
        [HttpTrigger(AuthorizationLevel.Function, "delete", Route = "instances/{instanceId}")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        endpoints.ForgetInstance(instanceId, cancellationToken);

    [Function(nameof(CompleteSetup))]
    public Task<IResult> CompleteSetup(
        [HttpTrigger(AuthorizationLevel.Function, "post", Route = "instances/{instanceId}/setup")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        endpoints.CompleteSetup(instanceId, cancellationToken);

    [Function(nameof(CreateInstallLink))]
    public Task<IResult> CreateInstallLink(
        [HttpTrigger(AuthorizationLevel.Function, "post", Route = "install-links")] HttpRequest request, CancellationToken cancellationToken) =>
        endpoints.CreateInstallLink(request, cancellationToken);

    [Function(nameof(Status))]
    public Task<IResult> Status(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "status")] HttpRequest request, CancellationToken cancellationToken) =>
        status.Status(request, cancellationToken);

    [Function(nameof(Health))]
    public Task<IResult> Health(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", Route = "health")] HttpRequest request, CancellationToken cancellationToken) =>
        health.Health(cancellationToken);
}
