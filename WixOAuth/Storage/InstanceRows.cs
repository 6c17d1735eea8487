using System.Globalization;
using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// The layout of the table: which rows there are, and their keys. <see cref="OutboxRows"/> makes the keys of events.
/// </summary>
/// <remarks>
/// <code>
/// partition  one of 16 shards "00" to "15", by a hash of the instance id (of the nonce for n-rows)
/// i|id               the instance
/// d|due|id           the due index: no properties
/// s|status|id        the status index: no properties
/// u|id               the last use
/// n|issued|nonce     a consumed state or install link
/// o|id|sequence      an event that waits for its delivery
/// p|id|sequence      an event whose delivery was given up
/// h|from|process     what a process counted of its refreshes, all in one shard so that one query reads them
/// w|sweep            how the service stands by the last sweep, in the same shard
/// k|protection       the key check, in the same shard
/// </code>
/// Times in keys are UTC ticks of 19 digits, which sort as text. Properties that are not known are ignored, so that
/// an older version can read what a newer one wrote; it drops them when it writes.
/// </remarks>
internal static class InstanceRows
{
    public static IEnumerable<string> Shards { get; } = [.. InstanceShard.All.Select(Key)];

    public static string ShardOf(InstanceId id) => ShardOf(id.ToByteArray());

    public static string Key(InstanceShard shard) => shard.Number.ToString("D2", CultureInfo.InvariantCulture);

    public static string InstanceKey(InstanceId id) => $"i|{id}";

    public static string StatusKey(InstanceStatus status, InstanceId id) => $"s|{SnakeCaseEnum.Of(status)}|{id}";

    public static string LastUseKey(InstanceId id) => $"u|{id}";

    public static string DueKey(DateTimeOffset due, InstanceId id) => $"d|{Ticks(due)}|{id}";

    public static string ShardFilter(string shard) => TableClient.CreateQueryFilter($"PartitionKey eq {shard}");

    public static bool IsInstance(string rowKey) => rowKey.StartsWith("i|", StringComparison.Ordinal);

    public static string DueFilter(string shard, DateTimeOffset now) => Range(shard, "d|", $"d|{Ticks(now, 1)}");

    public static string InstanceFilter(string shard, InstanceId? after) => After(shard, "i", after);

    /// <summary>Both included.</summary>
    public static string InstanceFilter(string shard, InstanceId first, InstanceId last) =>
        Range(shard, InstanceKey(first), $"{InstanceKey(last)}|");

    public static string StatusFilter(string shard, InstanceStatus status, InstanceId? after) => After(shard, $"s|{SnakeCaseEnum.Of(status)}", after);

    public static string CustomerFilter(string shard, string customer, InstanceStatus? status, InstanceId? after) =>
        $"{InstanceFilter(shard, after)} and {TableClient.CreateQueryFilter($"Customer eq {customer}")}"
        + (status is { } only ? $" and Status eq '{SnakeCaseEnum.Of(only)}'" : "");

    /// <summary>The instance that a key of <see cref="InstanceKey"/> or <see cref="StatusKey"/> names; null for one that is not of this layout.</summary>
    public static InstanceId? ReadId(string rowKey) => InstanceId.TryParse(rowKey.Split('|')[^1], out var id) ? id : null;

    public static readonly string[] SummaryProperties =
    [
        "RowKey", "Status", "Grant", "AccessTokenGrant", "AccessTokenExpiresOn", "DueAt", "LastError", "FailedAt", "MarkedAt",
        "RefreshTokenFault", "RefreshTokenFaultSince", "RefreshTokenKeyId", "AccessTokenKeyId",
    ];

    /// <summary>Reads a row that has only <see cref="SummaryProperties"/>; null when its id or status is invalid.</summary>
    public static InstanceSummary? ReadSummary(TableEntity row) =>
        WordOrNull<InstanceStatus>(row, "Status") is { } status && ReadId(row.RowKey) is { } id
            ? new InstanceSummary(
                id,
                status,
                TimeOrNull(row, "AccessTokenExpiresOn"),
                TimeOrNull(row, "DueAt"),
                row.ContainsKey("LastError") && row["LastError"] is not null,
                TextOrNull(row, "RefreshTokenKeyId"),
                TextOrNull(row, "AccessTokenKeyId"))
            {
                CurrentGrant = WordOrNull<Grant>(row, "AccessTokenGrant") ?? WordOrNull<Grant>(row, "Grant") ?? default,
                RejectedAt = WordOrNull<TokenError>(row, "LastError") == TokenError.Rejected ? TimeOrNull(row, "FailedAt") : null,
                MarkedAt = TimeOrNull(row, "MarkedAt"),
                RefreshTokenFault = WordOrNull<RefreshTokenFaultKind>(row, "RefreshTokenFault"),
                RefreshTokenFaultSince = TimeOrNull(row, "RefreshTokenFaultSince"),
            }
            : null;

    public static string ConsumedStateFilter(string shard, DateTimeOffset before) => Range(shard, "n|", $"n|{Ticks(before)}");

    /// <summary>Reads a key of the due index; null for one that is not of this layout.</summary>
    public static DueInstance? ReadDueKey(string rowKey) =>
        rowKey.Split('|') is ["d", { Length: 19 } due, var id] && ReadTicks(due) is { } at && InstanceId.TryParse(id, out var instance)
            ? new DueInstance(instance, at)
            : null;

    /// <exception cref="ArgumentException">
    /// The nonce is not 32 lower-case hexadecimal digits: Azure has keys that it refuses, Azurite takes any.
    /// </exception>
    public static (string Shard, string RowKey) ConsumedStateKey(string nonce, DateTimeOffset issuedAt) =>
        nonce is { Length: 32 } && nonce.All(char.IsAsciiHexDigitLower)
            ? (ShardOf(Convert.FromHexString(nonce)), $"n|{Ticks(issuedAt)}|{nonce}")
            : throw new ArgumentException("A nonce has 32 lower-case hexadecimal digits.", nameof(nonce));

    /// <summary>Where the rows that belong to no instance are kept: tallies, the sweep's state and the key check.</summary>
    public static string ServiceShard { get; } = Key(new InstanceShard(0));

    public static string TalliesSince(DateTimeOffset from) => Range(ServiceShard, $"h|{Ticks(from)}", "h}");

    public static string TalliesBefore(DateTimeOffset before) => Range(ServiceShard, "h|", $"h|{Ticks(before)}");

    public static TableEntity ToRow(ConsumedState consumedState)
    {
        var (shard, rowKey) = ConsumedStateKey(consumedState.Nonce, consumedState.IssuedAt);
        var row = new TableEntity(shard, rowKey);
        row.Put("AttemptId", consumedState.AttemptId);
        row.Put("CodeFingerprint", consumedState.CodeFingerprint);
        row.Put("InstanceId", consumedState.InstanceId.ToString());
        row.Put("Outcome", SnakeCaseEnum.Of(consumedState.Outcome));
        row.Put("AccessTokenExpiresOn", consumedState.AccessTokenExpiresOn);
        return row;
    }

    public static ConsumedState ToConsumedState(string nonce, DateTimeOffset issuedAt, TableEntity row)
    {
        var from = new RowReader(row);
        return new ConsumedState
        {
            Nonce = nonce,
            IssuedAt = issuedAt,
            AttemptId = from.RequiredText("AttemptId"),
            CodeFingerprint = from.RequiredText("CodeFingerprint"),
            InstanceId = InstanceId.TryParse(from.Text("InstanceId"), out var id) ? id : throw from.Unreadable("InstanceId"),
            Outcome = from.RequiredWord<ConsumedStateOutcome>("Outcome"),
            AccessTokenExpiresOn = from.Time("AccessTokenExpiresOn"),
        };
    }

    public static TableEntity ToLastUseRow(InstanceId id, DateTimeOffset usedAt)
    {
        var row = new TableEntity(ShardOf(id), LastUseKey(id));
        row.Put("UsedAt", usedAt);
        return row;
    }

    public static DateTimeOffset ToLastUse(TableEntity row) => new RowReader(row).Required<DateTimeOffset>("UsedAt");

    public static TableEntity ToRow(RefreshTally tally) =>
        new(ServiceShard, $"h|{Ticks(tally.From)}|{tally.Process:D}") { ["Succeeded"] = tally.Succeeded, ["Failed"] = tally.Failed };

    /// <summary>Null for a row that is not of this layout.</summary>
    public static RefreshTally? ToTally(TableEntity row) =>
        row.RowKey.Split('|') is ["h", { Length: 19 } from, var name]
        && ReadTicks(from) is { } since
        && Guid.TryParseExact(name, "D", out var process)
        && row.TryGetValue("Succeeded", out var succeeded) && succeeded is int and >= 0
        && row.TryGetValue("Failed", out var failed) && failed is int and >= 0
            ? new RefreshTally(process, since, (int)succeeded, (int)failed)
            : null;

    public const string SweepStateKey = "w|sweep";

    public const string KeyCheckKey = "k|protection";

    public static TableEntity ToRow(SweepState state)
    {
        var row = new TableEntity(ServiceShard, SweepStateKey)
        {
            ["OnFallback"] = state.OnFallback,
            ["Unreadable"] = state.Unreadable,
            ["SecretSuspect"] = state.IsSecretSuspect,
            ["WixThrottled"] = state.IsWixThrottled,
        };
        row.Put("SweptAt", state.SweptAt);
        return row;
    }

    public static SweepState ToSweepState(TableEntity row)
    {
        var from = new RowReader(row);
        return new SweepState(
            from.Required<DateTimeOffset>("SweptAt"),
            from.Required<int>("OnFallback"),
            from.Required<int>("Unreadable"),
            from.Flag("SecretSuspect"),
            from.Flag("WixThrottled"));
    }

    private static string? TextOrNull(TableEntity row, string name) => row.TryGetValue(name, out var value) ? value as string : null;

    private static DateTimeOffset? TimeOrNull(TableEntity row, string name) => row.TryGetValue(name, out var value) ? value as DateTimeOffset? : null;

    private static T? WordOrNull<T>(TableEntity row, string name)
        where T : struct, Enum =>
        TextOrNull(row, name) is { } text ? SnakeCaseEnum.Parse<T>(text) : null;

    private static string ShardOf(byte[] key) => Key(InstanceShard.Of(key));

    private static string Ticks(DateTimeOffset time, long more = 0) =>
        (time.UtcTicks + more).ToString("D19", CultureInfo.InvariantCulture);

    private static DateTimeOffset? ReadTicks(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var ticks) && ticks <= DateTimeOffset.MaxValue.Ticks
            ? new DateTimeOffset(ticks, TimeSpan.Zero)
            : null;

    // The range starts after the key: "|" sorts after every character of a GUID. It ends before "}", the character after "|".
    private static string After(string shard, string kind, InstanceId? after) =>
        Range(shard, after is { } id ? $"{kind}|{id}|" : $"{kind}|", $"{kind}}}");

    internal static string Range(string shard, string from, string below) =>
        $"PartitionKey eq '{shard}' and RowKey ge '{from}' and RowKey lt '{below}'";
}
