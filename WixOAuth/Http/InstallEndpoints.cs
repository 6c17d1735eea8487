using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Pages;
using WixOAuth.Secrets;

namespace WixOAuth.Http;

/// <summary>
/// The handshake's URLs as HTTP: what came in goes to <see cref="InstallFlow"/>, and what the browser is to do next
/// becomes an answer. Nothing is ever thrown to the host, which would answer an empty 200.
/// </summary>
public sealed class InstallEndpoints(InstallFlow flow, ILogger<InstallEndpoints> logger)
{
    /// <summary><c>GET /api/install</c>: see the contract's <c>AppUrl</c>.</summary>
    public Task<IResult> AppUrl(HttpRequest request, CancellationToken cancellationToken) => AnswerAsync(async () =>
        Parameters.TryRead(request, ["token", "start"], out var values)
            ? await flow.BeginAsync(
                new AppUrlRequest(values[0] is { } token ? new InstallToken(token) : null, values[1], [.. request.Cookies]),
                cancellationToken)
            : new InstallResult.Stopped(InstallProblem.BadRequest));

    /// <summary><c>GET /api/redirect</c>: see the contract's <c>Redirect</c>.</summary>
    public Task<IResult> Redirect(HttpRequest request, CancellationToken cancellationToken) => AnswerAsync(async () =>
        Parameters.TryRead(request, ["code", "state", "instanceId", "error"], out var values)
            ? await flow.CompleteAsync(
                new RedirectRequest(
                    values[0] is { } code ? new AuthorizationCode(code) : null, values[1], values[2], values[3] is not null, [.. request.Cookies]),
                cancellationToken)
            : new InstallResult.Stopped(InstallProblem.BadRequest));

    private async Task<IResult> AnswerAsync(Func<Task<InstallResult>> step)
    {
        try
        {
            return await step() switch
            {
                InstallResult.Consent consent => new RedirectAnswer(consent.Url, consent.Set, consent.Removed),
                InstallResult.CloseWindow close => new RedirectAnswer(close.Url),
                InstallResult.Stopped stopped => Stopped(stopped.Problem),
                _ => new HandshakePage(200, InstallPages.Connected),
            };
        }
        catch (OperationCanceledException)
        {
            return new EmptyAnswer(EndpointFailure.ClientClosedRequest);
        }
        catch (Exception exception) when (exception is StorageUnavailableException or SecretUnavailableException or InvalidDataException)
        {
            logger.Unavailable(exception.GetType().Name);
            return Stopped(InstallProblem.StorageUnavailable);
        }
        catch (Exception exception)
        {
            logger.Unexpected(exception.GetType().Name, exception.StackTrace);
            return new HandshakePage(500, InstallPages.Unexpected);
        }
    }

    private static HandshakePage Stopped(InstallProblem problem) => new(
        problem switch
        {
            InstallProblem.WixUnavailable => StatusCodes.Status502BadGateway,
            InstallProblem.StorageUnavailable => StatusCodes.Status503ServiceUnavailable,
            _ => StatusCodes.Status400BadRequest,
        },
        InstallPages.Of(problem));
}
