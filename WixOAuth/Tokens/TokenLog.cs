using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>What is logged of tokens. Instances are named, tokens never.</summary>
internal static partial class TokenLog
{
    [LoggerMessage(401, LogLevel.Information, "Instance {InstanceId}: refreshed to generation {Generation} using {Grant} in {Milliseconds:F0} ms")]
    public static partial void Refreshed(this ILogger logger, InstanceId instanceId, long generation, Grant grant, double milliseconds);

    [LoggerMessage(402, LogLevel.Warning, "Instance {InstanceId}: no token from Wix ({Error}, failure {Count}), now {Status}")]
    public static partial void RefreshFailed(this ILogger logger, InstanceId instanceId, TokenError error, int count, InstanceStatus status);

    [LoggerMessage(403, LogLevel.Error, "Instance {InstanceId}: its new tokens could not be saved ({Error}); they are served from memory, and the save is retried")]
    public static partial void CommitFailed(this ILogger logger, InstanceId instanceId, string error);

    [LoggerMessage(404, LogLevel.Information, "Instance {InstanceId}: another attempt committed first; generation {Generation} is used")]
    public static partial void WinnerAdopted(this ILogger logger, InstanceId instanceId, long generation);

    [LoggerMessage(405, LogLevel.Information, "Instance {InstanceId}: took over a lease that its owner had not released")]
    public static partial void LeaseTakenOver(this ILogger logger, InstanceId instanceId);

    [LoggerMessage(406, LogLevel.Error, "Instance {InstanceId}: the refresh token cannot be decrypted with protection key {KeyId}")]
    public static partial void Undecryptable(this ILogger logger, InstanceId instanceId, string keyId);

    [LoggerMessage(407, LogLevel.Error, "Instance {InstanceId}: the storage is not available")]
    public static partial void StorageUnavailable(this ILogger logger, InstanceId instanceId);

    [LoggerMessage(408, LogLevel.Error, "Instance {InstanceId}: the app secret or the protection key is not available")]
    public static partial void SecretUnavailable(this ILogger logger, InstanceId instanceId);

    [LoggerMessage(411, LogLevel.Critical, "Instance {InstanceId}: its row cannot be read by this version of the program: {Problem}")]
    public static partial void Unreadable(this ILogger logger, InstanceId instanceId, string problem);

    [LoggerMessage(412, LogLevel.Critical, "Wix rejects all {Asked} sites that were asked with the app secret: is it right? Until a site has a token again, nothing is concluded from rejections")]
    public static partial void SecretSuspect(this ILogger logger, int asked);

    [LoggerMessage(413, LogLevel.Information, "The app secret is no longer suspect")]
    public static partial void SecretTrusted(this ILogger logger);

    [LoggerMessage(414, LogLevel.Warning, "{Count} last uses could not be saved: the storage is not available")]
    public static partial void LastUsesNotWritten(this ILogger logger, int count);

    [LoggerMessage(422, LogLevel.Warning, "The counts of refreshes could not be saved for the operators' page: the storage is not available; tried again")]
    public static partial void TalliesNotWritten(this ILogger logger);

    [LoggerMessage(421, LogLevel.Error, "Instance {InstanceId}: an attempt to obtain a token failed unexpectedly: {Error} {Stack}")]
    public static partial void RefreshBroke(this ILogger logger, InstanceId instanceId, string error, string? stack);

    [LoggerMessage(423, LogLevel.Warning, "Instance {InstanceId}: the removal that was in doubt is confirmed, since Wix rejects every grant; its tokens are erased")]
    public static partial void RemovalConfirmed(this ILogger logger, InstanceId instanceId);

    [LoggerMessage(424, LogLevel.Warning, "A rejection by Wix was false; {Count} instances that were rejected or marked within a day are due again")]
    public static partial void FalseRejection(this ILogger logger, int count);

    [LoggerMessage(425, LogLevel.Error, "A probe of the app secret failed: {Error}")]
    public static partial void ProbeFailed(this ILogger logger, string error);

    [LoggerMessage(426, LogLevel.Warning, "Instance {InstanceId}: its refresh token is {Fault}; it is kept, and client credentials serve the instance meanwhile")]
    public static partial void OnFallback(this ILogger logger, InstanceId instanceId, RefreshTokenFaultKind fault);

    [LoggerMessage(427, LogLevel.Information, "Instance {InstanceId}: its refresh token is in use again")]
    public static partial void OffFallback(this ILogger logger, InstanceId instanceId);
}
