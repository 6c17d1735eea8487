using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Cli.Restoring;

/// <summary>What a restore does with each kind of row; <see cref="InstanceRows"/> has the layout.</summary>
internal static class RowKinds
{
    /// <summary>Whether a row is one of the due or the status index.</summary>
    public static bool IsIndex(string rowKey) => rowKey.StartsWith("d|", StringComparison.Ordinal) || rowKey.StartsWith("s|", StringComparison.Ordinal);

    /// <summary>
    /// Whether a row comes back from a copy. Counts of refreshes and the state of the last sweep are about a time that is over.
    /// The key-check row tells which keys open the table's tokens, which only the service can find out.
    /// </summary>
    public static bool IsRestored(string rowKey) =>
        !rowKey.StartsWith("h|", StringComparison.Ordinal) && rowKey != InstanceRows.SweepStateKey && rowKey != InstanceRows.KeyCheckKey;

    /// <summary>The instance that an event or a last use is of; null for other rows.</summary>
    public static InstanceId? ReadOwner(string rowKey) =>
        rowKey.Split('|') is ["o" or "p" or "u", var id, ..] && InstanceId.TryParse(id, out var owner) ? owner : null;

    /// <summary>The keys of the index rows that an instance's row asks for; none for a row that is not of this layout.</summary>
    public static IEnumerable<string> IndexKeys(TableEntity row)
    {
        if (InstanceRows.ReadId(row.RowKey) is not { } id || RestoredRow.Read(row) is not { Status: { } status } state)
        {
            yield break;
        }

        yield return InstanceRows.StatusKey(status, id);
        if (state.DueAt is { } due)
        {
            yield return InstanceRows.DueKey(due, id);
        }
    }
}
