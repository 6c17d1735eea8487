using System.Text.Json;
using System.Text.Json.Serialization;

namespace WixOAuth.Maintenance.Backup;

/// <summary>One blob of a copy: the rows of one shard as gzipped JSON lines.</summary>
internal sealed record BackupPart(string Name, long Rows, long Instances, long Bytes, string Sha256);

/// <summary>
/// What a copy of the table is made of. It is written after everything it names, so that a copy without a manifest is
/// an unfinished one. What changed after <c>StartedAt</c>, when the first row was read, may not be in it. <c>Keys</c> counts the
/// refresh tokens that each version of the protection key has sealed.
/// </summary>
internal sealed record BackupManifest(
    int Format,
    string Table,
    DateTimeOffset StartedAt,
    DateTimeOffset FinishedAt,
    IReadOnlyDictionary<string, long> Keys,
    IReadOnlyList<BackupPart> Parts)
{
    public const int CurrentFormat = 1;

    // A few sites come and go without meaning anything.
    private const int FewestLost = 10;

    [JsonIgnore]
    public long Instances => Parts.Sum(part => part.Instances);

    [JsonIgnore]
    public long Rows => Parts.Sum(part => part.Rows);

    /// <summary>Whether a copy has so many fewer sites than an earlier one that the table may have been damaged.</summary>
    public bool HasFarFewerThan(long? before) =>
        before > 0 && (Instances == 0 || (before - Instances >= FewestLost && Instances * 2 < before));
}

[JsonSourceGenerationOptions(
    JsonSerializerDefaults.Strict, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Skip)]
[JsonSerializable(typeof(BackupManifest))]
internal sealed partial class BackupJson : JsonSerializerContext;
