using System.Globalization;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Cli.Restoring;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>A table and a backup container of its own in Azurite, with the core around them.</summary>
internal sealed class CopyWorld : IDisposable
{
    private readonly AzuriteFixture _azurite;

    private CopyWorld(AzuriteFixture azurite, BackupOptions options, TableStore store, TableClient table)
    {
        (_azurite, Options, Table, Store) = (azurite, options, table, store);
        Core = new Core(store);
        Container = BackupContainer.Open(options, credential: null);
        Blobs = new BlobContainerClient(options.ConnectionString!.Reveal(), options.Container);
    }

    public static CancellationToken None => CancellationToken.None;

    public BackupOptions Options { get; }

    public TableClient Table { get; }

    public TableStore Store { get; }

    public Core Core { get; }

    public BackupContainer Container { get; }

    public BlobContainerClient Blobs { get; }

    public FakeTimeProvider Clock => Core.Clock;

    public static async Task<CopyWorld> CreateAsync(AzuriteFixture azurite)
    {
        var (store, table) = await azurite.CreateAsync();
        return new CopyWorld(azurite, azurite.NewContainer(), store, table);
    }

    /// <summary>The same table and container, with a core of its own.</summary>
    public CopyWorld Share() => new(_azurite, Options, Store, Table);

    /// <summary>The same table, and a container of its own.</summary>
    public CopyWorld WithNewContainer() => new(_azurite, _azurite.NewContainer(), Store, Table);

    /// <summary>The same container, and a table with these rows.</summary>
    public async Task<CopyWorld> WithTableOfAsync(IEnumerable<TableEntity> rows)
    {
        var (store, table) = await _azurite.CreateAsync();
        foreach (var shard in rows.GroupBy(row => row.PartitionKey))
        {
            await table.SubmitTransactionAsync(shard.Select(row => new TableTransactionAction(TableTransactionActionType.Add, row)));
        }

        return new CopyWorld(_azurite, Options, store, table);
    }

    public async Task<BackupManifest> BackUpAsync() =>
        (await new BackupRun(Table, Container, Core.Get<MaintenanceMetrics>(), Clock, Core.Logs.For<BackupRun>()).RunAsync(null, None)).Manifest;

    internal Task<BackupContents> CheckAsync(BackupManifest manifest, IKeyRing? keys = null) =>
        new BackupCheck(Container, keys ?? Support.Core.KeyRingOf(Core.Settings.Tokens.ProtectionKey!)).RunAsync(manifest, null, None);

    public Task<RestoreSummary> RestoreAsync(BackupManifest manifest, TableClient? into = null, bool acceptsNextKey = false) =>
        new Restore(Container, into ?? Table).RunAsync(manifest, acceptsNextKey, null, None);

    /// <summary>A table that does not exist yet.</summary>
    public TableClient NewTable() => TableConnection.Open(_azurite.NewTable(), null);

    public async Task<StoredInstance> ChangeAsync(InstanceId id, Func<Instance?, Instance> change)
    {
        var stored = await Store.FindAsync(id, None);
        return (await Store.TryWriteAsync(stored, change(stored?.Instance), None))!;
    }

    public async Task LoseAsync(InstanceId id)
    {
        foreach (var row in await RowsAsync(Table).Where(row => row.RowKey.EndsWith(id.ToString(), StringComparison.Ordinal)).ToListAsync())
        {
            await Table.DeleteEntityAsync(row);
        }
    }

    public static IAsyncEnumerable<TableEntity> RowsAsync(TableClient table) => table.QueryAsync<TableEntity>();

    /// <summary>Every row and property of a table as text, but for what the service sets itself.</summary>
    public static async Task<List<string>> DumpAsync(TableClient table, bool withKeyCheck = true) => await RowsAsync(table)
        .Where(row => withKeyCheck || row.RowKey != InstanceRows.KeyCheckKey)
        .Select(row => string.Join("; ", row.Where(pair => pair.Key is not ("odata.etag" or "Timestamp")).OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={Text(pair.Value)}")))
        .Order(StringComparer.Ordinal)
        .ToListAsync();

    public void Dispose() => Core.Dispose();

    private static string Text(object value) => value switch
    {
        byte[] bytes => Convert.ToHexString(bytes),
        DateTimeOffset time => time.ToString("O", CultureInfo.InvariantCulture),
        _ => $"{value.GetType().Name} {string.Create(CultureInfo.InvariantCulture, $"{value}")}",
    };
}
