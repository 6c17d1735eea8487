using System.Text.Json.Nodes;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>An event as it is sent: CloudEvents 1.0 in the structured JSON format.</summary>
internal static class CloudEvent
{
    public const string MediaType = "application/cloudevents+json";

    public static string TypeOf(InstanceEventType type) => "instance." + SnakeCaseEnum.Of(type);

    /// <summary>The body of an event, with the instance as it is stored now: null when it is gone. The source is the public URL of the service.</summary>
    public static string Serialize(OutboxEvent occurred, Instance? instance, Uri source) => new JsonObject
    {
        ["specversion"] = "1.0",
        ["id"] = occurred.Id,
        ["source"] = source.AbsoluteUri.TrimEnd('/'),
        ["type"] = TypeOf(occurred.Type),
        ["time"] = occurred.OccurredAt,
        ["subject"] = occurred.InstanceId.ToString(),
        ["datacontenttype"] = "application/json",
        ["data"] = new JsonObject
        {
            ["instance_id"] = occurred.InstanceId.ToString(),
            ["customer"] = instance?.Customer,
            ["site"] = instance?.Site is { } site ? new JsonObject { ["id"] = site.Id, ["name"] = site.Name, ["url"] = site.Url } : null,
            ["reason"] = occurred.Reason,
        },
    }.ToJsonString();
}
