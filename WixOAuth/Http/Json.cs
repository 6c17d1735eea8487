using System.Text.Json;
using System.Text.Json.Serialization;

namespace WixOAuth.Http;

internal sealed record ProblemBody(string Type, string Title, int Status, string Code);

internal sealed record TokenBody(string InstanceId, string AccessToken, long ExpiresIn, DateTimeOffset ExpiresOn)
{
    // Holds a token.
    public override string ToString() => InstanceId;
}

internal sealed record HealthBody(string Status, string Storage, string Secrets, IReadOnlyList<string> Degraded);

internal sealed record LinkRequestBody(string Customer, string? DisplayName);

internal sealed record CustomerBody([property: JsonRequired] string? Customer);

internal sealed record LinkBody(string Url, DateTimeOffset ExpiresOn)
{
    // The link authorizes its bearer to install for the customer.
    public override string ToString() => "[redacted]";
}

internal sealed record RedeliveryBody(int Events);

internal sealed record ImportRequestBody(
    string? RefreshToken, string? Customer, [property: JsonConverter(typeof(Rfc3339Converter))] DateTimeOffset? ConsentedAt)
{
    // Holds a token.
    public override string ToString() => "[redacted]";
}

internal sealed record ImportBody(string InstanceId, string Outcome);

internal sealed record SiteBody(string? Id, string? Name, string? Url);

internal sealed record TokenStateBody(
    DateTimeOffset? ExpiresOn, DateTimeOffset? RefreshedAt, long Generation, int Failures, string? LastError);

internal sealed record InstanceBody(
    string InstanceId,
    string Status,
    DateTimeOffset? SetupCompletedAt,
    string Grant,
    string RefreshToken,
    DateTimeOffset? RefreshTokenSince,
    string? Customer,
    SiteBody? Site,
    string? AppVersion,
    DateTimeOffset InstalledAt,
    DateTimeOffset UpdatedAt,
    TokenStateBody Token);

internal sealed record InstanceListBody(IReadOnlyList<InstanceBody> Instances, string? Cursor);

/// <summary>Refuses a time without the offset that RFC 3339 demands: it would be read in the time zone of this process.</summary>
internal sealed class Rfc3339Converter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.GetString() is [.., 'Z'] or [.., '+' or '-', _, _, ':', _, _] ? reader.GetDateTimeOffset() : throw new JsonException();

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) => writer.WriteStringValue(value);
}

// A misspelt member is refused: an import whose token is overlooked would lose it.
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false)]
[JsonSerializable(typeof(ProblemBody))]
[JsonSerializable(typeof(TokenBody))]
[JsonSerializable(typeof(HealthBody))]
[JsonSerializable(typeof(LinkRequestBody))]
[JsonSerializable(typeof(CustomerBody))]
[JsonSerializable(typeof(LinkBody))]
[JsonSerializable(typeof(RedeliveryBody))]
[JsonSerializable(typeof(ImportRequestBody))]
[JsonSerializable(typeof(ImportBody))]
[JsonSerializable(typeof(InstanceBody))]
[JsonSerializable(typeof(InstanceListBody))]
internal sealed partial class Json : JsonSerializerContext;
