using Azure;
using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.Protection;

namespace WixOAuth.Storage;

/// <summary>
/// The key-check row: partition "00", row key <c>k|protection</c>, properties <c>Check</c> and <c>CheckKeyId</c>. No range
/// of <see cref="InstanceRows"/> covers its key, so versions that do not know it never meet it.
/// </summary>
public sealed partial class TableInstanceStore : IKeyCheckStore
{
    async Task<StoredKeyCheck?> IKeyCheckStore.FindKeyCheckAsync(CancellationToken cancellationToken) =>
        await FindRowAsync(InstanceRows.KeyCheckShard, InstanceRows.KeyCheckKey, cancellationToken) is { } row
            ? new StoredKeyCheck(new RowReader(row).Protected("Check"), row.ETag.ToString())
            : null;

    async Task<bool> IKeyCheckStore.TryWriteKeyCheckAsync(StoredKeyCheck? previous, ProtectedText check, CancellationToken cancellationToken)
    {
        var row = new TableEntity(InstanceRows.KeyCheckShard, InstanceRows.KeyCheckKey) { ["Check"] = check.Data.ToArray(), ["CheckKeyId"] = check.KeyId };
        try
        {
            await AskAsync(
                () => previous is null
                    ? table.AddEntityAsync(row, cancellationToken)
                    : table.UpdateEntityAsync(row, new ETag(previous.ETag), TableUpdateMode.Replace, cancellationToken),
                cancellationToken);
            return true;
        }
        catch (StorageUnavailableException exception) when (IsConflict(exception))
        {
            return false;
        }
    }
}
