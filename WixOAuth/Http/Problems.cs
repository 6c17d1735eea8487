using Microsoft.AspNetCore.Http;
using WixOAuth.Tokens;

namespace WixOAuth.Http;

/// <summary>The contract's errors, each in one place.</summary>
internal static class Problems
{
    public static IResult InvalidRequest(string title) => new ProblemAnswer(400, "invalid_request", title);

    public static IResult InvalidInstanceId() => InvalidRequest("The instance id should be a GUID as Wix writes it.");

    public static IResult TooLarge(string title) => new ProblemAnswer(413, "too_large", title);

    public static IResult Unauthorized(string title) => new ProblemAnswer(401, "unauthorized", title);

    public static IResult UnknownInstance() => new ProblemAnswer(404, "unknown_instance", "No such instance is installed.");

    public static IResult AppRemoved() => new ProblemAnswer(410, "app_removed", "The app was removed from this site.");

    public static IResult StorageUnavailable(TimeSpan retryAfter) =>
        new ProblemAnswer(503, "storage_unavailable", "The token storage is not available at the moment.", retryAfter);

    public static IResult WixUnavailable(TimeSpan retryAfter) =>
        new ProblemAnswer(503, "wix_unavailable", "Wix gives no token at the moment.", retryAfter);

    public static IResult ImportRejected() => new ProblemAnswer(
        409, "import_rejected", "Wix refuses this refresh token, or it belongs to another instance or app. Nothing was saved.");

    public static IResult Unexpected() => new ProblemAnswer(500, "internal_error", "Something went wrong here.");

    public static IResult Of(TokenResult result) => result switch
    {
        TokenResult.Unknown => UnknownInstance(),
        TokenResult.Removed => AppRemoved(),
        TokenResult.ReinstallRequired => new ProblemAnswer(
            409, "reinstall_required", "Wix no longer accepts this installation: the site's owner has to install the app again."),
        TokenResult.StorageUnavailable => StorageUnavailable(TimeSpan.FromSeconds(5)),
        TokenResult.WixUnavailable wix => WixUnavailable(wix.RetryAfter),
        _ => Unexpected(),
    };
}
