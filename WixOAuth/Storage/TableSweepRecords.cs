using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>What sweeps record in the table of the instances: tallies of refreshes, and the state of the last sweep.</summary>
internal sealed class TableSweepRecords(TableGateway gateway) : IRefreshTallyStore, ISweepStateStore
{
    public Task SaveTalliesAsync(IReadOnlyCollection<RefreshTally> tallies, CancellationToken cancellationToken)
    {
        return gateway.SubmitAsync(
            [.. tallies.Select(tally => new TableTransactionAction(TableTransactionActionType.UpsertReplace, InstanceRows.ToRow(tally)))], cancellationToken);
    }

    /// <remarks>One request for each thousand of them.</remarks>
    public async Task<IReadOnlyList<RefreshTally>> ReadTalliesAsync(DateTimeOffset from, CancellationToken cancellationToken) =>
        await gateway.QueryAsync(InstanceRows.TalliesSince(from), properties: null, pageSize: null, cancellationToken)
            .Select(InstanceRows.ToTally)
            .OfType<RefreshTally>()
            .ToListAsync(cancellationToken);

    /// <remarks>In batches of a hundred. Where another process is removing the same ones, the rest is left to it.</remarks>
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
}
