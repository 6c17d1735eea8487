using System.Globalization;
using Azure.Data.Tables;
using WixOAuth.Events;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>The rows of events, in the partition of their instance; see <see cref="InstanceRows"/> for the layout.</summary>
internal static class OutboxRows
{
    private const string Waiting = "o";
    private const string Parked = "p";

    public static bool IsEvent(ITableEntity row) => row.RowKey.StartsWith(Waiting + "|", StringComparison.Ordinal);

    public static string Key(OutboxEvent each) =>
        $"{(each.ParkedAt is null ? Waiting : Parked)}|{each.InstanceId}|{each.Sequence.ToString("D19", CultureInfo.InvariantCulture)}";

    public static string WaitingFilter(InstanceId id) => InstanceRows.Range(InstanceRows.ShardOf(id), $"{Waiting}|{id}|", $"{Waiting}|{id}}}");

    // No other rows lie between those of waiting and of parked events.
    public static string Filter(OutboxPart part, string shard) => InstanceRows.Range(
        shard, $"{(part == OutboxPart.Parked ? Parked : Waiting)}|", $"{(part == OutboxPart.Waiting ? Waiting : Parked)}}}");

    public static TableEntity ToRow(OutboxEvent each)
    {
        var row = new TableEntity(InstanceRows.ShardOf(each.InstanceId), Key(each))
        {
            ["Type"] = SnakeCaseEnum.Of(each.Type),
            ["Reason"] = each.Reason,
            ["OccurredAt"] = each.OccurredAt.ToUniversalTime(),
            ["WaitingSince"] = each.WaitingSince.ToUniversalTime(),
            ["Attempts"] = each.Attempts,
        };
        row.Put("LastAttemptAt", each.LastAttemptAt);
        row.Put("RetryAt", each.RetryAt);
        row.Put("LeaseOwner", each.Lease?.Owner);
        row.Put("LeaseUntil", each.Lease?.Until);
        row.Put("ParkedAt", each.ParkedAt);
        return row;
    }

    /// <summary>Null for a row that this version cannot read: its event waits for a version that can.</summary>
    public static OutboxEvent? ToEvent(TableEntity row)
    {
        var from = new RowReader(row);
        try
        {
            if (row.RowKey.Split('|') is not [Waiting or Parked, var id, { Length: 19 } digits]
                || !InstanceId.TryParse(id, out var instanceId)
                || !long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var sequence))
            {
                return null;
            }

            var occurredAt = from.Required<DateTimeOffset>("OccurredAt");
            return new OutboxEvent(instanceId, sequence, from.RequiredWord<InstanceEventType>("Type"), from.RequiredText("Reason"), occurredAt)
            {
                WaitingSince = from.Time("WaitingSince") ?? occurredAt,
                Attempts = from.Required<int>("Attempts"),
                LastAttemptAt = from.Time("LastAttemptAt"),
                RetryAt = from.Time("RetryAt"),
                Lease = from.Text("LeaseOwner") is { } owner ? new Lease(owner, from.Required<DateTimeOffset>("LeaseUntil")) : null,
                ParkedAt = from.Time("ParkedAt"),
                ETag = row.ETag.ToString(),
            };
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }
}
