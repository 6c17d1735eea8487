using Azure;
using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// The key-check row: partition "00", row key <c>k|protection</c>, properties <c>Check</c> and <c>CheckKeyId</c>. No range
/// of <see cref="InstanceRows"/> covers its key, so versions that do not know it never meet it.
/// </summary>
internal sealed class TableKeyCheck(TableGateway gateway) : IKeyCheckStore
{
    public async Task<StoredKeyCheck?> FindKeyCheckAsync(CancellationToken cancellationToken) =>
        await gateway.FindRowAsync(InstanceRows.ServiceShard, InstanceRows.KeyCheckKey, cancellationToken) is { Value: var row }
            ? new StoredKeyCheck(new RowReader(row).Protected("Check"), row.ETag.ToString())
            : null;

    public async Task<bool> TryWriteKeyCheckAsync(StoredKeyCheck? previous, ProtectedText check, CancellationToken cancellationToken)
    {
        var row = new TableEntity(InstanceRows.ServiceShard, InstanceRows.KeyCheckKey) { ["Check"] = check.Data.ToArray(), ["CheckKeyId"] = check.KeyId };
        return await TableGateway.UnlessConflictAsync(gateway.AskAsync(
            () => previous is null
                ? gateway.Table.AddEntityAsync(row, cancellationToken)
                : gateway.Table.UpdateEntityAsync(row, new ETag(previous.ETag), TableUpdateMode.Replace, cancellationToken),
            cancellationToken)) is not null;
    }
}
