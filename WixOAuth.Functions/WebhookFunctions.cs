using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>Called by Wix's servers.</summary>
public sealed class WebhookFunctions(IServiceProvider services)
{
    [Function(nameof(WixWebhook))]
    public Task<IResult> WixWebhook(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "webhooks")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<WebhookEndpoint>(endpoint => endpoint.WixWebhook(request, cancellationToken));
}
