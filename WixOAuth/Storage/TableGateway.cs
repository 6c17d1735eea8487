using System.Runtime.CompilerServices;
using Azure;
using Azure.Data.Tables;
using Azure.Data.Tables.Models;
using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// All requests to Azure Table Storage go through this class, which turns each failure into a
/// <see cref="StorageUnavailableException"/>. Safe for concurrent use.
/// </summary>
internal sealed class TableGateway(TableClient table)
{
    // Azure's limit for one transaction.
    private const int TransactionLimit = 100;
    private const string Service = "table";

    public static readonly string[] KeysOnly = [nameof(ITableEntity.PartitionKey), nameof(ITableEntity.RowKey)];

    private Task? _firstCreation;

    public TableClient Table => table;

    /// <summary>Whether another writer was first, as opposed to a table that is missing or is being deleted.</summary>
    public static bool IsConflict(StorageUnavailableException exception) => exception.InnerException is RequestFailedException refused
        && refused.Status switch
        {
            404 => refused.ErrorCode != TableErrorCode.TableNotFound,
            409 => refused.ErrorCode != TableErrorCode.TableBeingDeleted,
            412 => true,
            _ => false,
        };

    /// <summary>The result of a request; null where another writer was first.</summary>
    public static async Task<T?> UnlessConflictAsync<T>(Task<T> asked)
        where T : class
    {
        try
        {
            return await asked;
        }
        catch (StorageUnavailableException exception) when (IsConflict(exception))
        {
            return null;
        }
    }

    /// <exception cref="StorageUnavailableException">The response has no ETag.</exception>
    public static string ETagOf(Response written) =>
        written.Headers.ETag?.ToString() ?? throw new StorageUnavailableException("The table service answered a write without an ETag.");

    /// <summary>
    /// Creates the table where it is missing. Other requests wait while this is tried for the first time: those of a new
    /// deployment may come before it has a table.
    /// </summary>
    /// <exception cref="StorageUnavailableException">It failed.</exception>
    public Task CreateAsync(CancellationToken cancellationToken)
    {
        var creation = TranslateAsync(Service, () => table.CreateIfNotExistsAsync(cancellationToken), cancellationToken);
        _firstCreation ??= creation;
        return creation;
    }

    /// <summary>
    /// Translates every failure into <see cref="StorageUnavailableException"/>: the SDK may throw
    /// <see cref="RequestFailedException"/>, an <see cref="AggregateException"/> of several attempts, or an error of the
    /// network, the credential or the response parser, which has no type of its own. So <paramref name="ask"/> does nothing
    /// but call the SDK: what it makes of rows would be translated too.
    /// </summary>
    /// <exception cref="StorageUnavailableException">It failed.</exception>
    public async Task<T> AskAsync<T>(Func<Task<T>> ask, CancellationToken cancellationToken)
    {
        if (_firstCreation is { IsCompleted: false } creation)
        {
            // Where it fails, the table may still be there.
            await creation.WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
        }

        return await TranslateAsync(Service, ask, cancellationToken);
    }

    /// <exception cref="InvalidOperationException">It has too many rows, or rows of several partitions.</exception>
    public async Task<IReadOnlyList<Response>> SubmitAsync(List<TableTransactionAction> actions, CancellationToken cancellationToken)
    {
        // Azure would refuse it; Azurite, and so the tests, would not.
        if (actions.Count > TransactionLimit || actions.Any(action => action.Entity.PartitionKey != actions[0].Entity.PartitionKey))
        {
            throw new InvalidOperationException($"A transaction has at most {TransactionLimit} rows, all of one partition.");
        }

        return (await AskAsync(() => table.SubmitTransactionAsync(actions, cancellationToken), cancellationToken)).Value;
    }

    public Task<Response<TableEntity>?> FindRowAsync(string shard, string rowKey, CancellationToken cancellationToken)
    {
        // Not GetEntityIfExists, which reports a missing table as a missing row.
        return UnlessConflictAsync(AskAsync(() => table.GetEntityAsync<TableEntity>(shard, rowKey, cancellationToken: cancellationToken), cancellationToken));
    }

    /// <summary>The rows of a query, by pages of <paramref name="pageSize"/> or of the service's most, 1,000.</summary>
    public async IAsyncEnumerable<TableEntity> QueryAsync(
        string filter, string[]? properties, int? pageSize, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using var rows = table.QueryAsync<TableEntity>(filter, pageSize, properties, cancellationToken).GetAsyncEnumerator(cancellationToken);
        while (await AskAsync(() => rows.MoveNextAsync().AsTask(), cancellationToken))
        {
            yield return rows.Current;
        }
    }

    public async Task<List<TableEntity>> FirstAsync(string filter, int count, string[]? properties, CancellationToken cancellationToken) =>
        await QueryAsync(filter, properties, count, cancellationToken).Take(count).ToListAsync(cancellationToken);

    /// <summary>
    /// Removes rows by the hundred, shard by shard in random order, so that a low limit starves none. Where another process
    /// is removing the same ones, the rest of that shard is left to it.
    /// </summary>
    /// <returns>How many were removed.</returns>
    public async Task<int> RemoveAsync(
        IEnumerable<string> inShards, Func<string, string> filter, int limit, CancellationToken cancellationToken)
    {
        var shards = new Queue<string>(inShards.OrderBy(_ => Random.Shared.Next()));
        var removed = 0;
        while (removed < limit && shards.TryDequeue(out var shard))
        {
            var rows = await FirstAsync(filter(shard), Math.Min(limit - removed, TransactionLimit), KeysOnly, cancellationToken);
            List<TableTransactionAction> removal = [.. rows.Select(row => new TableTransactionAction(TableTransactionActionType.Delete, row, ETag.All))];
            if (rows.Count == 0 || await UnlessConflictAsync(SubmitAsync(removal, cancellationToken)) is null)
            {
                continue;
            }

            removed += rows.Count;
            if (rows.Count == TransactionLimit)
            {
                shards.Enqueue(shard);
            }
        }

        return removed;
    }

    /// <summary>
    /// The row keys that a query finds in each shard. The shards take turns; one that fails does not keep the others back,
    /// and its failure is raised at the end.
    /// </summary>
    public async IAsyncEnumerable<string> ReadKeysAsync(
        IEnumerable<string> inShards, Func<string, string> filter, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var shards = new Queue<IAsyncEnumerator<TableEntity>>(inShards.Select(shard =>
            QueryAsync(filter(shard), KeysOnly, pageSize: null, cancellationToken).GetAsyncEnumerator(cancellationToken)));
        StorageUnavailableException? missed = null;
        while (shards.TryDequeue(out var shard))
        {
            try
            {
                if (!await shard.MoveNextAsync())
                {
                    continue;
                }
            }
            catch (StorageUnavailableException exception)
            {
                // The other shards' instances should not have to wait for this one.
                missed = exception;
                continue;
            }

            shards.Enqueue(shard);
            yield return shard.Current.RowKey;
        }

        if (missed is not null)
        {
            throw missed;
        }
    }

    /// <exception cref="StorageUnavailableException">It failed.</exception>
    internal static async Task<T> TranslateAsync<T>(string service, Func<Task<T>> ask, CancellationToken cancellationToken)
    {
        try
        {
            return await ask();
        }
        catch (Exception exception) when (exception is not StorageUnavailableException)
        {
            cancellationToken.ThrowIfCancellationRequested();
            throw Unavailable(exception, service);
        }
    }

    /// <summary>What any failure of the SDK is to the rest of the service.</summary>
    internal static StorageUnavailableException Unavailable(Exception exception, string service = "storage") => new(
        exception is RequestFailedException { Status: > 0 } refused
            ? $"The {service} service refused with {refused.Status} {refused.ErrorCode}."
            : $"The {service} service could not be reached ({exception.GetType().Name}).",
        exception);
}
