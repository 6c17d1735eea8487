using Azure.Data.Tables;
using WixOAuth.Instances;
using WixOAuth.PretendWix;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Settings;
using WixOAuth.Storage;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Processes;

/// <summary>Fills a table with installations, many rows to a transaction.</summary>
internal sealed class Seeder(TablesOptions options, TokenProtector protector)
{
    private const int RowsOfInstance = 3;
    private const int TransactionLimit = 100;

    private readonly TableClient _table = TableConnection.Open(options, null);

    public Task CreateTableAsync(CancellationToken cancellationToken) => _table.CreateIfNotExistsAsync(cancellationToken);

    /// <summary>Installations whose access tokens have died, and which the sweep finds due.</summary>
    /// <param name="seeds">Which.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="dueIn">When the sweep finds them due, if not at once.</param>
    public async Task AddStaleAsync(IEnumerable<PretendSeed> seeds, CancellationToken cancellationToken, TimeSpan? dueIn = null)
    {
        var now = TimeProvider.System.GetUtcNow();
        var accessToken = new AccessToken(new string('x', 1_000));
        var instances = new List<Instance>();
        foreach (var seed in seeds)
        {
            var id = new InstanceId(seed.InstanceId);
            var granted = new TokenAnswer.Granted(accessToken, null, now - TimeSpan.FromMinutes(10), now - TimeSpan.FromMinutes(5));
            var tokens = await InstanceTokens.SealAsync(protector, id, 1, granted, new RefreshToken(seed.RefreshToken));
            instances.Add(NewInstance(id, tokens, now) with { DueAt = now + (dueIn ?? -TimeSpan.FromMinutes(6)) });
        }

        await AddAsync(instances, cancellationToken);
    }

    /// <summary>Installations that nothing is to be done for: they only fill the table.</summary>
    /// <returns>Their ids.</returns>
    public async Task<IReadOnlyList<InstanceId>> AddSleepingAsync(int count, CancellationToken cancellationToken)
    {
        var now = TimeProvider.System.GetUtcNow();
        var text = new ProtectedText(new string('0', 32), new byte[64]);
        var tokens = new ProtectedTokens(1, text, text, now, now + TimeSpan.FromMinutes(5));
        var instances = Enumerable.Range(0, count)
            .Select(_ => NewInstance(new InstanceId(Guid.NewGuid()), tokens, now) with { DueAt = now + TimeSpan.FromHours(12) })
            .ToList();
        await AddAsync(instances, cancellationToken);
        return [.. instances.Select(instance => instance.Id)];
    }

    private static Instance NewInstance(InstanceId id, ProtectedTokens tokens, DateTimeOffset now) =>
        Instance.Consented(null, id, new Consent(null, null, null, null, SendSetupCompleted: false), tokens, Guid.NewGuid().ToString("N"), now);

    private Task AddAsync(IEnumerable<Instance> instances, CancellationToken cancellationToken)
    {
        var transactions = instances
            .GroupBy(instance => InstanceRows.ShardOf(instance.Id))
            .SelectMany(shard => shard.Chunk(TransactionLimit / RowsOfInstance));
        return Parallel.ForEachAsync(
            transactions,
            new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = cancellationToken },
            async (some, token) => await _table.SubmitTransactionAsync([.. some.SelectMany(RowsOf)], token));
    }

    private static IEnumerable<TableTransactionAction> RowsOf(Instance instance)
    {
        var row = InstanceRow.Of(instance);
        yield return new(TableTransactionActionType.Add, row);
        yield return new(TableTransactionActionType.Add, new TableEntity(row.PartitionKey, InstanceRows.StatusKey(instance.Status, instance.Id)));
        yield return new(TableTransactionActionType.Add, new TableEntity(row.PartitionKey, InstanceRows.DueKey(instance.DueAt!.Value, instance.Id)));
    }
}
