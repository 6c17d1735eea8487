using System.Text.Json;
using System.Text.Json.Serialization;
using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>An event as it is sent: CloudEvents 1.0 in the structured JSON format.</summary>
internal sealed record CloudEvent(
    [property: JsonPropertyName("specversion")] string SpecVersion,
    string Id,
    string Source,
    string Type,
    DateTimeOffset Time,
    string Subject,
    [property: JsonPropertyName("datacontenttype")] string DataContentType,
    CloudEventData Data)
{
    public const string MediaType = "application/cloudevents+json";

    /// <summary>The body of an event, with the instance as it is stored now: null when it is gone. The source is the public URL of the service.</summary>
    public static string Serialize(OutboxEvent occurred, Instance? instance, Uri source)
    {
        var id = occurred.InstanceId.ToString();
        var site = instance?.Site is { } known ? new CloudEventSite(known.Id, known.Name, known.Url) : null;
        var body = new CloudEvent(
            "1.0",
            occurred.Id,
            source.AbsoluteUri.TrimEnd('/'),
            InstanceEventTypes.NameOf(occurred.Type),
            occurred.OccurredAt,
            id,
            "application/json",
            new CloudEventData(id, instance?.Customer, site, occurred.Reason));
        return JsonSerializer.Serialize(body, CloudEventJson.Default.CloudEvent);
    }
}

internal sealed record CloudEventData(string InstanceId, string? Customer, CloudEventSite? Site, string Reason);

internal sealed record CloudEventSite(string? Id, string? Name, string? Url);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CloudEvent))]
internal sealed partial class CloudEventJson : JsonSerializerContext;
