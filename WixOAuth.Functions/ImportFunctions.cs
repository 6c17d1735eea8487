using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>Sites that come from another system.</summary>
public sealed class ImportFunctions(IServiceProvider services)
{
    [Function(nameof(ImportInstance))]
    public Task<IResult> ImportInstance(
        [HttpTrigger(AuthorizationLevel.Admin, "put", Route = "instances/{instanceId}")] HttpRequest request,
        string instanceId,
        CancellationToken cancellationToken) =>
        services.AnswerAsync<ImportEndpoint>(endpoint => endpoint.ImportInstance(request, instanceId, cancellationToken));
}
