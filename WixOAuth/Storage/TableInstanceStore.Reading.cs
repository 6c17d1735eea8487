using System.Runtime.CompilerServices;
using System.Threading.Channels;
using Azure.Data.Tables;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

// Reads many instances at once: lists, the due and the status index, and summaries over all of them.
internal sealed partial class TableInstanceStore
{
    private const int ReadsAtOnce = 16;
    private const int ShardsAtOnce = 4;
    private const int SummariesAhead = 2_000;

    /// <remarks>One request for each thousand instances, and thirteen of their properties; several shards at once.</remarks>
    public async IAsyncEnumerable<InstanceSummary> ReadSummariesAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var summaries = Channel.CreateBounded<InstanceSummary>(new BoundedChannelOptions(SummariesAhead) { SingleReader = true });
        using var left = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var reading = ReadShardsAsync(summaries.Writer, left.Token);
        try
        {
            await foreach (var summary in summaries.Reader.ReadAllAsync(cancellationToken))
            {
                yield return summary;
            }
        }
        finally
        {
            // A reader that stops waits for no shard.
            await left.CancelAsync();
            await reading;
        }
    }

    /// <remarks>
    /// <para>
    /// Shard by shard, in each by id. Without a status a page is one request for each shard that it reaches into. With
    /// one, the status index tells which instances, and a second request for each shard reads the range that they lie in.
    /// If the range holds more than twice as many rows as wanted, the rest are read individually. The cost of a page does not
    /// depend on the table's size. With a customer the table service filters all rows.
    /// </para>
    /// <para>A row that this version cannot read is left out.</para>
    /// </remarks>
    public async Task<InstancePage> ListAsync(InstanceStatus? status, InstanceId? after, int limit, CancellationToken cancellationToken, string? customer = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(limit, IInstanceStore.MaxPage);
        var (found, last, left) = (new List<Instance>(), after, limit);
        var (first, byIndex) = (after is { } id ? InstanceRows.ShardOf(id) : "", status is not null && customer is null);
        foreach (var shard in InstanceRows.Shards.Where(shard => string.CompareOrdinal(shard, first) >= 0))
        {
            var from = shard == first ? after : null;
            var filter = (customer, status) switch
            {
                ({ } name, _) => InstanceRows.CustomerFilter(shard, name, status, from),
                (_, { } only) => InstanceRows.StatusFilter(shard, only, from),
                _ => InstanceRows.InstanceFilter(shard, from),
            };

            // One more than asked for tells whether there is more.
            var rows = await gateway.FirstAsync(filter, left + 1, byIndex ? TableGateway.KeysOnly : null, cancellationToken);
            var page = rows.Take(left).ToList();
            var ids = page.Select(row => InstanceRows.ReadId(row.RowKey)).OfType<InstanceId>().ToList();
            if (byIndex && ids.Count > 0)
            {
                page = await ReadAsync(shard, ids, cancellationToken);
            }

            found.AddRange(page.Select(ReadOrNull).OfType<Instance>().Where(instance => instance.Status == (status ?? instance.Status)));
            last = ids.Count > 0 ? ids[^1] : last;
            if (rows.Count > left)
            {
                return new InstancePage(found, last);
            }

            left -= rows.Count;
        }

        return new InstancePage(found, null);
    }

    /// <remarks>
    /// The shards take turns, each read a page of up to 1,000 keys at a time. A key that is not of this layout is
    /// skipped.
    /// </remarks>
    public IAsyncEnumerable<DueInstance> ReadDueAsync(DateTimeOffset now, CancellationToken cancellationToken, InstanceShard? shard = null) =>
        gateway.ReadKeysAsync(shard is { } only ? [InstanceRows.Key(only)] : InstanceRows.Shards, each => InstanceRows.DueFilter(each, now), cancellationToken)
            .Select(InstanceRows.ReadDueKey)
            .OfType<DueInstance>();

    /// <summary>Raises nothing itself: errors are passed on to the reader.</summary>
    private async Task ReadShardsAsync(ChannelWriter<InstanceSummary> summaries, CancellationToken cancellationToken)
    {
        Exception? error = null;
        try
        {
            await Parallel.ForEachAsync(
                InstanceRows.Shards,
                new ParallelOptions { MaxDegreeOfParallelism = ShardsAtOnce, CancellationToken = cancellationToken },
                async (shard, token) =>
                {
                    var filter = InstanceRows.InstanceFilter(shard, after: null);
                    await foreach (var row in gateway.QueryAsync(filter, InstanceRows.SummaryProperties, pageSize: null, token))
                    {
                        if (InstanceRows.ReadSummary(row) is { } summary)
                        {
                            await summaries.WriteAsync(summary, token);
                        }
                    }
                });
        }
        catch (Exception exception)
        {
            error = exception;
        }

        summaries.Complete(error);
    }

    // The rows of instances of one shard, whose ids are given in order. One that has gone is left out.
    private async Task<List<TableEntity>> ReadAsync(string shard, List<InstanceId> ids, CancellationToken cancellationToken)
    {
        var dense = await gateway.FirstAsync(InstanceRows.InstanceFilter(shard, ids[0], ids[^1]), ids.Count * 2, properties: null, cancellationToken);
        var rows = dense.ToDictionary(row => row.RowKey);
        foreach (var some in ids.Select(InstanceRows.InstanceKey).Where(key => !rows.ContainsKey(key)).Chunk(ReadsAtOnce))
        {
            foreach (var found in await Task.WhenAll(some.Select(key => gateway.FindRowAsync(shard, key, cancellationToken))))
            {
                if (found is { Value: var row })
                {
                    rows[row.RowKey] = row;
                }
            }
        }

        return [.. ids.Select(id => rows.GetValueOrDefault(InstanceRows.InstanceKey(id))).OfType<TableEntity>()];
    }

    private static Instance? ReadOrNull(TableEntity row)
    {
        try
        {
            return InstanceRows.ReadId(row.RowKey) is { } id ? InstanceRow.Read(id, row) : null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
    }
}
