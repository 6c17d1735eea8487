using System.Runtime.CompilerServices;
using Azure.Data.Tables;

namespace WixOAuth.Cli.Restoring;

internal static class SideBySide
{
    /// <summary>Pairs the rows of two sequences by their keys; both have to be in the order of their keys.</summary>
    public static async IAsyncEnumerable<(TableEntity? Copied, TableEntity? Current)> ReadAsync(
        IAsyncEnumerable<TableEntity> copy, IAsyncEnumerable<TableEntity> table, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var copied = copy.GetAsyncEnumerator(cancellationToken);
        await using var current = table.GetAsyncEnumerator(cancellationToken);
        var (hasCopied, hasCurrent) = (await copied.MoveNextAsync(), await current.MoveNextAsync());
        while (hasCopied || hasCurrent)
        {
            var order = !hasCopied ? 1 : !hasCurrent ? -1 : string.CompareOrdinal(copied.Current.RowKey, current.Current.RowKey);
            yield return (order <= 0 ? copied.Current : null, order >= 0 ? current.Current : null);
            hasCopied = order <= 0 ? await copied.MoveNextAsync() : hasCopied;
            hasCurrent = order >= 0 ? await current.MoveNextAsync() : hasCurrent;
        }
    }
}
