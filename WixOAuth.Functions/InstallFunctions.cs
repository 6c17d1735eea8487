using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;
using WixOAuth.Http;

namespace WixOAuth.Functions;

/// <summary>The URLs that Wix opens in a site owner's browser.</summary>
public sealed class InstallFunctions(IServiceProvider services)
{
    [Function(nameof(AppUrl))]
    public Task<IResult> AppUrl(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "install")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<InstallEndpoints>(endpoint => endpoint.AppUrl(request, cancellationToken));

    [Function(nameof(ConfirmLink))]
    public Task<IResult> ConfirmLink(
        [HttpTrigger(AuthorizationLevel.Anonymous, "post", Route = "install")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<InstallEndpoints>(endpoint => endpoint.ConfirmLink(request, cancellationToken));

    [Function(nameof(Redirect))]
    public Task<IResult> Redirect(
        [HttpTrigger(AuthorizationLevel.Anonymous, "get", "head", Route = "redirect")] HttpRequest request, CancellationToken cancellationToken) =>
        services.AnswerAsync<InstallEndpoints>(endpoint => endpoint.Redirect(request, cancellationToken));
}
