using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Install;

/// <summary>What is logged of installs: instances and outcomes; never a code, a state, a token or a customer.</summary>
internal static partial class InstallLog
{
    [LoggerMessage(201, LogLevel.Information, "Redirect for instance {InstanceId} ended: {Outcome}")]
    public static partial void RedirectEnded(this ILogger logger, InstanceId instanceId, ConsumedStateOutcome outcome);

    [LoggerMessage(207, LogLevel.Information, "Redirects end without a connected site: {Outcome} (and {Suppressed} more since the last such message)")]
    public static partial void RedirectRefused(this ILogger logger, ConsumedStateOutcome outcome, int suppressed);

    [LoggerMessage(208, LogLevel.Warning, "Instance {InstanceId}: a consent named another customer than the one it belongs to; its tokens are saved, its customer stays")]
    public static partial void CustomerConflict(this ILogger logger, InstanceId instanceId);

    [LoggerMessage(202, LogLevel.Warning, "The outcome {Outcome} of a redirect could not be saved (and {Suppressed} more since the last such message)")]
    public static partial void OutcomeNotRecorded(this ILogger logger, ConsumedStateOutcome outcome, int suppressed);

    [LoggerMessage(203, LogLevel.Warning, "A state was used again with another code or instance (and {Suppressed} more since the last such message)")]
    public static partial void StateReplayed(this ILogger logger, int suppressed);

    [LoggerMessage(204, LogLevel.Information, "Instance {InstanceId}: the set-up event was sent to Wix")]
    public static partial void SetupCompleted(this ILogger logger, InstanceId instanceId);

    [LoggerMessage(205, LogLevel.Warning, "Instance {InstanceId}: the set-up event could not be sent to Wix ({Delivery})")]
    public static partial void SetupNotCompleted(this ILogger logger, InstanceId instanceId, Wix.WixResponseKind delivery);

    [LoggerMessage(206, LogLevel.Error, "Redirect for instance {InstanceId}: its tokens could not be saved ({Error}); its owner is asked to start again")]
    public static partial void NotSaved(this ILogger logger, InstanceId instanceId, string error);
}
