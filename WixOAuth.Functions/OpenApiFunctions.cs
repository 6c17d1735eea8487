using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>The contract, for programs that generate clients.</summary>
public sealed class OpenApiFunctions(IServiceProvider services)
{
    [Function(nameof(OpenApi))]
    public Task<IResult> OpenApi(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "openapi.json")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<OpenApiEndpoint>(endpoint => endpoint.OpenApi());
}
