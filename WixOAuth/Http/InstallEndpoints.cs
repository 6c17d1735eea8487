using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Pages;
using WixOAuth.Secrets;
using WixOAuth.Settings;

namespace WixOAuth.Http;

/// <summary>
/// The handshake's URLs as HTTP: a request goes to <see cref="InstallStart"/> or <see cref="InstallFlow"/>, and the result
/// becomes a response. Nothing is ever thrown to the host, which would answer an empty 200.
/// </summary>
internal sealed class InstallEndpoints(InstallStart start, InstallFlow flow, ServiceSettings settings, TimeProvider time, ILogger<InstallEndpoints> logger)
{
    private readonly LogThrottle _unavailable = new(time);
    private readonly string _confirmPolicy = Page.ConfirmPolicy(settings.Wix.InstallerUrl);

    /// <summary><c>GET</c> and <c>HEAD /api/install</c>: see the contract's <c>AppUrl</c>.</summary>
    public async Task<IResult> AppUrl(HttpRequest request, CancellationToken cancellationToken) => AnswerOf(await TryAsync(async () =>
        Parameters.TryRead(request, ["token", "start"], out var values)
            ? await start.BeginAsync(
                new AppUrlRequest(
                    Parameters.Raw(request, "token") is { } token ? new InstallToken(token) : null, values["start"], InstallCookies.Read(request)),
                cancellationToken)
            : new InstallResult.Stopped(InstallProblem.BadRequest)));

    /// <summary><c>POST /api/install</c>: see the contract's <c>ConfirmLink</c>.</summary>
    public async Task<IResult> ConfirmLink(HttpRequest request, CancellationToken cancellationToken) => AnswerOf(await TryAsync(async () =>
        RequestOrigin.IsOurs(request, settings.Wix.RedirectUrl)
            ? await start.ConfirmLinkAsync(
                new AppUrlRequest(Token: null, await ReadStartAsync(request, cancellationToken), InstallCookies.Read(request)), cancellationToken)
            : new InstallResult.Stopped(InstallProblem.CrossSite)));

    /// <summary><c>GET</c> and <c>HEAD /api/redirect</c>: see the contract's <c>Redirect</c>.</summary>
    public async Task<IResult> Redirect(HttpRequest request, CancellationToken cancellationToken)
    {
        if (!Parameters.TryRead(request, ["code", "state", "instanceId", "error", "problem"], out var values))
        {
            return HttpMethods.IsHead(request.Method) ? new HandshakePage(200, InstallPages.Connected()) : Refuse(InstallProblem.BadRequest);
        }

        // Only by itself: whatever comes with a code must not keep the code in the address.
        if (values.Values.Count(value => value is not null) == 1 && values["problem"] is { } word && SnakeCaseEnum.Parse<InstallProblem>(word) is { } problem)
        {
            return Stopped(problem);
        }

        // Mail scanners and previews look at an address by HEAD, and must not spend the code in it.
        if (HttpMethods.IsHead(request.Method))
        {
            return new HandshakePage(200, InstallPages.Connected());
        }

        var result = await TryAsync(async () => await flow.CompleteAsync(
            new RedirectRequest(
                values["code"] is { } code ? new AuthorizationCode(code) : null,
                values["state"],
                values["instanceId"],
                values["error"] is not null,
                InstallCookies.Read(request)),
            cancellationToken));
        return result is InstallResult.Stopped stopped ? Refuse(stopped.Problem) : AnswerOf(result);
    }

    // The form of the button contains it, and so does its URL.
    private static async Task<string?> ReadStartAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (Parameters.TryRead(request, "start", out var inAddress) && inAddress is not null)
        {
            return inAddress;
        }

        return await BodyReader.ReadAsync(request, cancellationToken) is { } body
            && QueryHelpers.ParseQuery(Encoding.UTF8.GetString(body.Span)).TryGetValue("start", out var inForm)
            && inForm is [{ Length: > 0 and <= Parameters.MaxLength } text]
                ? text
                : null;
    }

    /// <summary>What came of it; null when the caller has left.</summary>
    private async Task<InstallResult?> TryAsync(Func<Task<InstallResult>> work)
    {
        try
        {
            return await work();
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        catch (Exception exception) when (exception is StorageUnavailableException or SecretUnavailableException or InvalidDataException)
        {
            if (_unavailable.TryPass(out _))
            {
                logger.Unavailable(exception.GetType().Name);
            }

            return new InstallResult.Stopped(InstallProblem.StorageUnavailable);
        }
        catch (Exception exception)
        {
            logger.Unexpected(exception.GetType().Name, exception.StackTrace);
            return new InstallResult.Stopped(InstallProblem.Unexpected);
        }
    }

    private IResult AnswerOf(InstallResult? result) => result switch
    {
        null => new EmptyAnswer(EndpointFailure.ClientClosedRequest),
        InstallResult.Confirm confirm => new HandshakePage(200, InstallPages.Confirm(confirm), _confirmPolicy),
        InstallResult.UsedHere => new HandshakePage(StatusCodes.Status400BadRequest, InstallPages.UsedHere()),
        InstallResult.Consent consent => new RedirectAnswer(consent.Url, [consent.Set], consent.Removed),
        InstallResult.CloseWindow close => new RedirectAnswer(close.Url, close.Finished),
        InstallResult.Stopped stopped => Stopped(stopped.Problem),
        _ => new HandshakePage(200, InstallPages.Connected()),
    };

    // The code may be unspent, so it must not stay in the address bar.
    private SeeOtherAnswer Refuse(InstallProblem problem) => new($"{settings.Wix.RedirectUrl.AbsolutePath}?problem={SnakeCaseEnum.Of(problem)}");

    private static HandshakePage Stopped(InstallProblem problem) => new(
        problem switch
        {
            InstallProblem.WixUnavailable => StatusCodes.Status502BadGateway,
            InstallProblem.StorageUnavailable or InstallProblem.Busy => StatusCodes.Status503ServiceUnavailable,
            InstallProblem.CrossSite => StatusCodes.Status403Forbidden,
            InstallProblem.Unexpected => StatusCodes.Status500InternalServerError,
            _ => StatusCodes.Status400BadRequest,
        },
        InstallPages.Of(problem));
}
