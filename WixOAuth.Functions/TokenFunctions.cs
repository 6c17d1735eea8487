using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>Tokens for our own apps.</summary>
public sealed class TokenFunctions(IServiceProvider services)
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
}
