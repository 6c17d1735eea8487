using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>Installations, for our own apps and operators.</summary>
public sealed class InstanceFunctions(IServiceProvider services)
{
    [Function(nameof(GetToken))]
    public Task<IResult> GetToken(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "instances/{instanceId}/token")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<TokenEndpoints>(endpoint => endpoint.GetToken(request, instanceId, cancellationToken));

    [Function(nameof(RefreshInstance))]
    public Task<IResult> RefreshInstance(
        [HttpTrigger(AuthorizationLevel.Function, "post", Route = "instances/{instanceId}/refresh")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<TokenEndpoints>(endpoint => endpoint.RefreshInstance(request, instanceId, cancellationToken));

    [Function(nameof(GetInstance))]
    public Task<IResult> GetInstance(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "instances/{instanceId}")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<InstanceEndpoints>(endpoint => endpoint.GetInstance(request, instanceId, cancellationToken));

    [Function(nameof(ListInstances))]
    public Task<IResult> ListInstances(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "instances")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<InstanceEndpoints>(endpoint => endpoint.ListInstances(request, cancellationToken));

    [Function(nameof(ForgetInstance))]
    public Task<IResult> ForgetInstance(
        [HttpTrigger(AuthorizationLevel.Function, "delete", Route = "instances/{instanceId}")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<InstanceEndpoints>(endpoint => endpoint.ForgetInstance(request, instanceId, cancellationToken));

    [Function(nameof(CompleteSetup))]
    public Task<IResult> CompleteSetup(
        [HttpTrigger(AuthorizationLevel.Function, "post", Route = "instances/{instanceId}/setup")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<InstanceEndpoints>(endpoint => endpoint.CompleteSetup(request, instanceId, cancellationToken));

    [Function(nameof(CreateInstallLink))]
    public Task<IResult> CreateInstallLink(
        [HttpTrigger(AuthorizationLevel.Function, "post", Route = "install-links")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<InstanceEndpoints>(endpoint => endpoint.CreateInstallLink(request, cancellationToken));

    [Function(nameof(SetCustomer))]
    public Task<IResult> SetCustomer(
        [HttpTrigger(AuthorizationLevel.Function, "put", Route = "instances/{instanceId}/customer")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<InstanceEndpoints>(endpoint => endpoint.SetCustomer(request, instanceId, cancellationToken));

    [Function(nameof(ImportInstance))]
    public Task<IResult> ImportInstance(
        [HttpTrigger(AuthorizationLevel.Admin, "put", Route = "instances/{instanceId}")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<ImportEndpoint>(endpoint => endpoint.ImportInstance(request, instanceId, cancellationToken));
}
