using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>The contract, for programs that generate clients.</summary>
public sealed class OpenApiFunctions(Endpoints endpoints)
{
    [Function(nameof(OpenApi))]
    public Task<IResult> OpenApi(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "openapi.json")] HttpRequest request, CancellationToken cancellationToken) =>
        endpoints.Get<OpenApiEndpoint>().OpenApi();
}
