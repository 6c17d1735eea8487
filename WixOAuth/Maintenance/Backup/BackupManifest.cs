using System.Text.Json;
using System.Text.Json.Serialization;

namespace WixOAuth.Maintenance.Backup;

/// <summary>One blob of a copy: the rows of one shard as gzipped JSON lines.</summary>
/// <param name="Name">The blob's name.</param>
/// <param name="Rows">How many rows.</param>
/// <param name="Instances">How many of them are instances.</param>
/// <param name="Bytes">The length of the blob.</param>
/// <param name="Sha256">The lower-case hexadecimal SHA-256 of the blob.</param>
internal sealed record BackupPart(string Name, long Rows, long Instances, long Bytes, string Sha256);

/// <summary>
/// What a copy of the table is made of. It is written after everything it names, so that a copy without a manifest is
/// an unfinished one.
/// </summary>
/// <param name="Format">The version of the format; see <see cref="CurrentFormat"/>.</param>
/// <param name="Table">The table's name.</param>
/// <param name="StartedAt">When the first row was read: what changed later may not be in the copy.</param>
/// <param name="FinishedAt">When the last row was written.</param>
/// <param name="Keys">How many refresh tokens each version of the protection key has sealed, by its id.</param>
/// <param name="Parts">The blobs.</param>
internal sealed record BackupManifest(
    int Format,
    string Table,
    DateTimeOffset StartedAt,
    DateTimeOffset FinishedAt,
    IReadOnlyDictionary<string, long> Keys,
    IReadOnlyList<BackupPart> Parts)
{
    /// <summary>The only format so far.</summary>
    public const int CurrentFormat = 1;

    /// <summary>How many instances are in the copy, removed ones included.</summary>
    [JsonIgnore]
    public long Instances => Parts.Sum(part => part.Instances);

    /// <summary>How many rows are in the copy.</summary>
    [JsonIgnore]
    public long Rows => Parts.Sum(part => part.Rows);
}

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Strict, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip)]
[JsonSerializable(typeof(BackupManifest))]
internal sealed partial class BackupJson : JsonSerializerContext;
