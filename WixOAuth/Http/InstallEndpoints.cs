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

/// <summary>A failed install is answered with a page. If a page cannot be rendered, the answer is <c>internal_error</c>.</summary>
internal sealed class InstallEndpoints(InstallStart start, InstallFlow flow, ServiceSettings settings, TimeProvider time, ILogger<InstallEndpoints> logger)
{
    // More than a browser has, also when it opens many tabs at once: a client can send any number.
    private const int MaxCookies = 40;

    private readonly LogThrottle _unavailable = new(time);
    private readonly string _appUrl = settings.Wix.AppUrl.AbsolutePath;
    private readonly string _confirmPolicy = Page.ConfirmPolicy(settings.Wix.InstallerUrl);

    public Task<IResult> AppUrl(HttpRequest request, CancellationToken cancellationToken) => logger.GuardUnexpectedAsync(async () =>
    {
        var result = await TryAsync(async () => Parameters.TryRead(request, ["token", "start"], out var values)
            ? await start.BeginAsync(
                Parameters.Raw(request, "token") is { } token ? new InstallToken(token) : null, values["start"], CookiesOf(request), cancellationToken)
            : new InstallResult.Stopped(InstallProblem.BadRequest));
        return await AnswerAsync(result, isOfLink: request.Query.ContainsKey("start"));
    });

    public Task<IResult> ConfirmLink(HttpRequest request, CancellationToken cancellationToken) => logger.GuardUnexpectedAsync(async () =>
    {
        var result = await TryAsync(async () => IsFromOurPage(request)
            ? await start.ConfirmLinkAsync(await ReadStartAsync(request, cancellationToken), CookiesOf(request), cancellationToken)
            : new InstallResult.Stopped(InstallProblem.CrossSite));
        return await AnswerAsync(result, isOfLink: true);
    });

    public Task<IResult> Redirect(HttpRequest request, CancellationToken cancellationToken) => logger.GuardUnexpectedAsync(async () =>
    {
        if (!Parameters.TryRead(request, ["code", "state", "instanceId", "error", "problem"], out var values))
        {
            return HttpMethods.IsHead(request.Method) ? await ConnectedAsync() : Refuse(InstallProblem.BadRequest);
        }

        // Only by itself: whatever comes with a code must not keep the code in the address.
        if (values.Values.Count(value => value is not null) == 1 && values["problem"] is { } word && SnakeCaseEnum.Parse<InstallProblem>(word) is { } problem)
        {
            return await StoppedAsync(problem, isOfLink: false);
        }

        // Mail scanners and previews look at an address by HEAD, and must not spend the code in it.
        if (HttpMethods.IsHead(request.Method))
        {
            return await ConnectedAsync();
        }

        var result = await TryAsync(async () => await flow.CompleteAsync(
            new RedirectRequest(
                values["code"] is { } code ? new AuthorizationCode(code) : null,
                values["state"],
                values["instanceId"],
                values["error"] is not null,
                CookiesOf(request)),
            cancellationToken));
        return result is InstallResult.Stopped stopped ? Refuse(stopped.Problem) : await AnswerAsync(result, isOfLink: false);
    });

    // Checks Sec-Fetch-Site, which no page can forge. Browsers from before 2023 do not send it, so Origin decides there: it is
    // "null" for our pages, which send no referrer. Our origin comes from the settings, because the Host header can be forged.
    private bool IsFromOurPage(HttpRequest request)
    {
        var site = request.Headers["Sec-Fetch-Site"];
        var origin = request.Headers.Origin;
        return site.Count > 0 ? site is ["same-origin"] : origin is ["null"] || origin == settings.Wix.RedirectUrl.GetLeftPart(UriPartial.Authority);
    }

    // The form of the button contains it, and so does its URL.
    private static async Task<string?> ReadStartAsync(HttpRequest request, CancellationToken cancellationToken)
    {
        if (!Parameters.TryRead(request, ["start"], out var values))
        {
            return null;
        }

        if (values["start"] is { } inAddress)
        {
            return inAddress;
        }

        return await BodyReader.ReadAsync(request, BodyReader.MaxLength, cancellationToken) is ({ } body, _)
            && QueryHelpers.ParseQuery(Encoding.UTF8.GetString(body.Span)).TryGetValue("start", out var inForm)
            && inForm is [{ Length: > 0 and <= Parameters.MaxLength } text]
                ? text
                : null;
    }

    // Trims only the white space of RFC 6265. A browser lets a neighbouring host set "\u2000__Host-…", which a Unicode trim would
    // make a cookie of ours.
    private static List<KeyValuePair<string, string>> CookiesOf(HttpRequest request)
    {
        var cookies =
            from header in request.Headers.Cookie
            from cookie in (header ?? "").Split(';')
            let pair = cookie.Trim(' ', '\t').Split('=', 2)
            where pair.Length == 2 && pair[0].StartsWith(InstallStateService.CookiePrefix, StringComparison.Ordinal)
            select KeyValuePair.Create(pair[0], pair[1]);
        return [.. cookies.Take(MaxCookies)];
    }

    private async Task<InstallResult> TryAsync(Func<Task<InstallResult>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception exception) when (EndpointFailure.IsUnavailable(exception))
        {
            if (_unavailable.TryPass(out _))
            {
                logger.Unavailable(exception.GetType().Name);
            }

            return new InstallResult.Stopped(InstallProblem.StorageUnavailable);
        }
        catch (Exception exception) when (exception is not OperationCanceledException)
        {
            logger.Unexpected(exception.GetType().Name, exception.StackTrace);
            return new InstallResult.Stopped(InstallProblem.Unexpected);
        }
    }

    private async Task<IResult> AnswerAsync(InstallResult result, bool isOfLink) => result switch
    {
        InstallResult.Confirm confirm => new HandshakePage(200, await InstallPages.ConfirmAsync(confirm), _confirmPolicy),
        InstallResult.UsedHere => new HandshakePage(StatusCodes.Status400BadRequest, await InstallPages.UsedHereAsync(_appUrl)),
        InstallResult.Consent consent => new RedirectAnswer(consent.Url, [consent.Set], consent.Removed),
        InstallResult.CloseWindow close => new RedirectAnswer(close.Url, close.Finished),
        InstallResult.Stopped stopped => await StoppedAsync(stopped.Problem, isOfLink),
        _ => await ConnectedAsync(),
    };

    // The code may be unspent, so it must not stay in the address bar.
    private SeeOtherAnswer Refuse(InstallProblem problem) => new($"{settings.Wix.RedirectUrl.AbsolutePath}?problem={SnakeCaseEnum.Of(problem)}");

    private static async Task<IResult> ConnectedAsync() => new HandshakePage(200, await InstallPages.ConnectedAsync());

    private async Task<IResult> StoppedAsync(InstallProblem problem, bool isOfLink) =>
        new HandshakePage(StatusOf(problem), isOfLink ? await InstallPages.LinkProblemAsync(problem) : await InstallPages.ProblemAsync(problem, _appUrl));

    internal static int StatusOf(InstallProblem problem) => problem switch
    {
        InstallProblem.WixUnavailable => StatusCodes.Status502BadGateway,
        InstallProblem.StorageUnavailable or InstallProblem.Busy => StatusCodes.Status503ServiceUnavailable,
        InstallProblem.CrossSite => StatusCodes.Status403Forbidden,
        InstallProblem.Unexpected => StatusCodes.Status500InternalServerError,
        _ => StatusCodes.Status400BadRequest,
    };
}
