using System.Text.Json.Serialization;

namespace WixOAuth.Client;

/// <summary>An event of the service: something happened to an installation. It holds no secret.</summary>
public sealed record WixOAuthEvent
{
    /// <summary>The version of CloudEvents: <c>1.0</c>.</summary>
    [JsonPropertyName("specversion")]
    public string SpecVersion { get; init; } = "";

    /// <summary>The event's id: the same each time the event is sent.</summary>
    [JsonPropertyName("id")]
    public string Id { get; init; } = "";

    /// <summary>The public address of the service that sent it.</summary>
    [JsonPropertyName("source")]
    public string? Source { get; init; }

    /// <summary>What happened: one of <see cref="WixOAuthEventTypes"/>, or one that a later version adds.</summary>
    [JsonPropertyName("type")]
    public string Type { get; init; } = "";

    /// <summary>When it happened.</summary>
    [JsonPropertyName("time")]
    public DateTimeOffset? Time { get; init; }

    /// <summary>The instance id as text.</summary>
    [JsonPropertyName("subject")]
    public string? Subject { get; init; }

    /// <summary>Whom it is about.</summary>
    [JsonPropertyName("data")]
    public WixOAuthEventData? Data { get; init; }
}

/// <summary>Whom an event is about.</summary>
public sealed record WixOAuthEventData
{
    /// <summary>What Wix calls <c>instanceId</c>.</summary>
    [JsonPropertyName("instance_id")]
    public Guid InstanceId { get; init; }

    /// <summary>Your customer, where an install link named one.</summary>
    [JsonPropertyName("customer")]
    public string? Customer { get; init; }

    /// <summary>The site, where it is known. Its texts are what the site's owner wrote.</summary>
    [JsonPropertyName("site")]
    public WixOAuthEventSite? Site { get; init; }

    /// <summary>Why, where the type alone does not say.</summary>
    [JsonPropertyName("reason")]
    public string? Reason { get; init; }
}

/// <summary>The site of an event.</summary>
public sealed record WixOAuthEventSite
{
    /// <summary>Wix's id of the site.</summary>
    [JsonPropertyName("id")]
    public string? Id { get; init; }

    /// <summary>Its name.</summary>
    [JsonPropertyName("name")]
    public string? Name { get; init; }

    /// <summary>Its address.</summary>
    [JsonPropertyName("url")]
    public string? Url { get; init; }
}

/// <summary>The types of events.</summary>
public static class WixOAuthEventTypes
{
    /// <summary>A site's owner installed the app.</summary>
    public const string InstanceConnected = "instance.connected";

    /// <summary>A site's owner consented again.</summary>
    public const string InstanceReconnected = "instance.reconnected";

    /// <summary>The app was removed from a site.</summary>
    public const string InstanceRemoved = "instance.removed";

    /// <summary>Wix no longer accepts an installation.</summary>
    public const string InstanceReinstallRequired = "instance.reinstall_required";

    /// <summary>An installation that needed a reinstall works again without one.</summary>
    public const string InstanceRecovered = "instance.recovered";

    /// <summary>Wix was told that the set-up is complete.</summary>
    public const string InstanceSetupCompleted = "instance.setup_completed";

    /// <summary>A consent named another customer than the one the site is tied to; the old one stays.</summary>
    public const string InstanceCustomerConflict = "instance.customer_conflict";
}

[JsonSerializable(typeof(WixOAuthEvent))]
internal sealed partial class EventJson : JsonSerializerContext;
