using Azure;
using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// The rows of the service itself, in a partition of their own: tallies of refreshes, the state of the last sweep, and the
/// key check (properties <c>Check</c> and <c>CheckKeyId</c>).
/// </summary>
internal sealed class TableServiceRows(TableGateway gateway) : IRefreshTallyStore, ISweepStateStore, IKeyCheckStore
{
    public Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken) => gateway.SubmitAsync(
        [.. tallies.Select(tally => new TableTransactionAction(TableTransactionActionType.UpsertReplace, InstanceRows.ToRow(tally)))], cancellationToken);

    /// <remarks>One request for each thousand of them.</remarks>
    public async Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken) =>
        await gateway.QueryAsync(InstanceRows.TalliesSince(from), properties: null, pageSize: null, cancellationToken)
            .Select(InstanceRows.ToTally)
            .OfType<RefreshTally>()
            .ToListAsync(cancellationToken);

    public Task<int> RemoveTalliesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        gateway.RemoveAsync([InstanceRows.ServiceShard], _ => InstanceRows.TalliesBefore(before), limit, cancellationToken);

    public Task SaveSweepStateAsync(SweepState state, CancellationToken cancellationToken)
    {
        var row = InstanceRows.ToRow(state);
        return gateway.AskAsync(() => gateway.Table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellationToken), cancellationToken);
    }

    public async Task<SweepState?> ReadSweepStateAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await gateway.FindRowAsync(InstanceRows.ServiceShard, InstanceRows.SweepStateKey, cancellationToken) is { Value: var row } ? InstanceRows.ToSweepState(row) : null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }

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
