using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>Consumed states and redeemed links in the table of the instances; one storage request each.</summary>
internal sealed class TableConsumedStates(TableGateway gateway) : IConsumedStateStore
{
    public async Task<bool> TryAddConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        var row = InstanceRows.ToRow(consumedState);
        return await TableGateway.UnlessConflictAsync(
            gateway.AskAsync(() => gateway.Table.AddEntityAsync(row, cancellationToken), cancellationToken)) is not null;
    }

    public async Task<ConsumedState?> FindConsumedStateAsync(string nonce, DateTimeOffset issuedAt, CancellationToken cancellationToken)
    {
        var (shard, rowKey) = InstanceRows.ConsumedStateKey(nonce, issuedAt);
        return await gateway.FindRowAsync(shard, rowKey, cancellationToken) is { Value: var row }
            ? InstanceRows.ToConsumedState(nonce, issuedAt, row)
            : null;
    }

    public Task SaveConsumedStateAsync(ConsumedState consumedState, CancellationToken cancellationToken)
    {
        var row = InstanceRows.ToRow(consumedState);
        return gateway.AskAsync(() => gateway.Table.UpsertEntityAsync(row, TableUpdateMode.Replace, cancellationToken), cancellationToken);
    }

    public Task<int> RemoveConsumedStatesAsync(DateTimeOffset before, int limit, CancellationToken cancellationToken) =>
        gateway.RemoveAsync(InstanceRows.Shards, shard => InstanceRows.ConsumedStateFilter(shard, before), limit, cancellationToken);
}
