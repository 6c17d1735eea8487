using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Events;

internal static partial class EventLog
{
    [LoggerMessage(901, LogLevel.Warning, "The receiver of events does not answer; delivery is retried once a minute until it does")]
    public static partial void ReceiverUnavailable(this ILogger logger);

    [LoggerMessage(902, LogLevel.Error, "Event {Type} of instance {InstanceId} is parked after {Attempts} attempts: POST /api/events/redeliver sends it again")]
    public static partial void EventParked(this ILogger logger, InstanceId instanceId, InstanceEventType type, int attempts);

    [LoggerMessage(903, LogLevel.Warning, "The outbox could not be read or written; events wait for the next sweep")]
    public static partial void OutboxUnavailable(this ILogger logger);

    [LoggerMessage(904, LogLevel.Error, "The signing secret of events cannot be read; no event is delivered until it can be")]
    public static partial void EventSecretUnavailable(this ILogger logger);

    [LoggerMessage(905, LogLevel.Error, "The event {RowKey} could not be stored and is lost; its change was saved")]
    public static partial void EventLost(this ILogger logger, string rowKey);

    [LoggerMessage(906, LogLevel.Information, "{Count} parked events were made due again")]
    public static partial void EventsRedelivered(this ILogger logger, int count);

    [LoggerMessage(907, LogLevel.Error, "The events of an instance could not be delivered ({Error}); they wait for the next sweep")]
    public static partial void DeliveryFailed(this ILogger logger, string error);
}
