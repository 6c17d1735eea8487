using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Lifecycle;

/// <summary>Messages of webhooks and their effects; no content of a webhook that is not verified.</summary>
internal static partial class LifecycleLog
{
    [LoggerMessage(601, LogLevel.Information, "Instance {InstanceId}: {What}, now {Status} (removal in doubt: {Doubted})")]
    public static partial void Changed(this ILogger logger, InstanceId instanceId, string what, InstanceStatus status, bool doubted);

    [LoggerMessage(602, LogLevel.Information, "Instance {InstanceId}: {What} changed nothing, still {Status}")]
    public static partial void NoNews(this ILogger logger, InstanceId instanceId, string what, InstanceStatus status);

    [LoggerMessage(603, LogLevel.Warning, "A webhook was refused: {Reason}")]
    public static partial void WebhookRefused(this ILogger logger, string reason);

    [LoggerMessage(604, LogLevel.Information, "A webhook of a kind that is not used here was ignored")]
    public static partial void WebhookNotUsed(this ILogger logger);

    [LoggerMessage(605, LogLevel.Warning, "A webhook of another app was ignored: is Wix__AppId the app that these keys belong to?")]
    public static partial void WebhookOfAnotherApp(this ILogger logger);
}
