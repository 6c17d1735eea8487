using Microsoft.Extensions.Logging;

namespace WixOAuth.Wix;

/// <summary>What is logged of calls to Wix: statuses and Wix's request ids, never a body or a URL.</summary>
internal static partial class WixLog
{
    [LoggerMessage(701, LogLevel.Warning, "The circuit to Wix opened (status {Status}, Wix request id {RequestId}): refreshes pause, and one call each {Seconds} s checks whether Wix is back")]
    public static partial void CircuitOpened(this ILogger logger, int? status, string? requestId, double seconds);

    [LoggerMessage(702, LogLevel.Information, "The circuit to Wix closed after {Seconds:F0} s")]
    public static partial void CircuitClosed(this ILogger logger, double seconds);

    [LoggerMessage(703, LogLevel.Warning, "Call {Endpoint} to Wix failed: {Outcome}, status {Status}, Wix request id {RequestId}")]
    public static partial void CallFailed(this ILogger logger, string endpoint, string outcome, int? status, string? requestId);

    [LoggerMessage(704, LogLevel.Warning, "{Count} more failed calls to Wix in the previous minute were not logged individually")]
    public static partial void CallsNotLogged(this ILogger logger, int count);
}
