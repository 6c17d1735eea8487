namespace WixOAuth.PretendWix;

/// <summary>All that the pretend Wix logs. No message holds a token, a code or a query string.</summary>
internal static partial class PretendWixLog
{
    [LoggerMessage(Level = LogLevel.Debug, Message = "Pretend Wix: {Endpoint} {Grant} of {InstanceId} answered {Status} {Detail}")]
    public static partial void Answered(ILogger logger, string endpoint, string? grant, Guid? instanceId, int status, string? detail);

    [LoggerMessage(Level = LogLevel.Information, Message = "Pretend Wix: webhook {EventType} of {InstanceId} was answered {Status} {Problem}")]
    public static partial void WebhookPosted(ILogger logger, string eventType, Guid instanceId, int? status, string? problem);
}
