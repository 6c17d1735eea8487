using Azure.Core.Pipeline;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Cli.Restoring;
using WixOAuth.Functions.Tests.Maintenance;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>
/// As <see cref="FaultTests"/>, for backup and restore: one fault of each kind at the first call of each kind. After the fault the next backup is
/// complete, and the next restore leaves every instance in the table.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class CopyFaultTests(AzuriteFixture azurite)
{
    private const string Backup = "Backup";
    private const string Checking = "Check of a backup";
    private const string Restoring = "Restore";
    private const int Sites = 3;

    private static readonly string[] s_outsideShards = ["create container", "list backups", "write manifest", "create table", "list forgotten instances", "delete key check"];

    [Theory]
    [InlineData(Backup)]
    [InlineData(Checking)]
    [InlineData(Restoring)]
    public async Task Every_fault_of_a_backup_and_a_restore_has_the_documented_result(string operation)
    {
        using var first = await Scene.SetAsync(azurite, operation);
        var rows = new List<string>();
        foreach (var kind in await KindsOfAsync(first))
        {
            var call = new Call(kind, 1);
            var cases = Fault.All.Where(fault => Fault.IsOfEachKind(fault) || fault.Status is 404 or 409)
                .SelectMany(fault => Enumerable.Range(0, Fault.MayPersist(fault) ? 2 : 1).Select(number => (Fault: fault, Persists: number == 1)));

            // At once: each has a scene of its own, and none waits for a clock.
            var outcomes = await Task.WhenAll(cases.Select(async each =>
                (each.Persists ? $"{each.Fault.Name}, persistent" : each.Fault.Name, await BreakAsync(first, call, each.Fault, each.Persists))));
            rows.AddRange(FaultTable.RowsOf(call, outcomes));
        }

        await FaultTable.AssertAsync(operation, rows);
    }

    private static async Task<string> BreakAsync(Scene first, Call call, Fault fault, bool persists)
    {
        using var scene = await first.AgainAsync();
        scene.Calls.Break(call, fault, persists);
        var outcome = $"{await scene.RunAsync()} | {await scene.ReadStateAsync()} | {scene.CountOf(call.Kind)}";
        scene.Calls.Break(null, null, persists: false);
        Assert.Equal("done", await scene.RunAsync());
        await scene.AssertWholeAsync($"{call}: {fault}");
        return outcome;
    }

    private static async Task<IReadOnlyList<string>> KindsOfAsync(Scene first)
    {
        using var scene = await first.AgainAsync();
        Assert.Equal("done", await scene.RunAsync());
        await scene.AssertWholeAsync("without a fault");
        return [.. scene.Calls.Made.Select(call => call.Kind).Distinct()];
    }

    /// <summary>A table with a few instances; for a restore also a complete backup, after which the table lost one of them.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly AzuriteFixture _azurite;
        private readonly string _operation;
        private readonly CopyWorld _world;
        private List<InstanceId> _ids = [];
        private readonly FaultyTables _tableWire;
        private readonly FaultyBlobs _blobWire;
        private readonly TableClient _table;
        private readonly BackupContainer _container;
        private BackupManifest? _manifest;
        private List<string> _before = [];
        private List<TableEntity> _rows = [];

        private Scene(AzuriteFixture azurite, string operation, CopyWorld world)
        {
            (_azurite, _operation, _world) = (azurite, operation, world);
            (_tableWire, _blobWire) = (new FaultyTables(() => Calls) { IsOn = true }, new FaultyBlobs(Calls));
            var tables = new TablesOptions { ConnectionString = azurite.NewTable().ConnectionString, Name = world.Table.Name };
            _table = TableConnection.Open(tables, null, new HttpClientTransport(_tableWire), pause: TimeSpan.Zero);
            _container = BackupContainer.Open(world.Options, null, new HttpClientTransport(_blobWire), pause: TimeSpan.Zero);
        }

        public FaultyCalls Calls { get; } = new();

        public static async Task<Scene> SetAsync(AzuriteFixture azurite, string operation)
        {
            var scene = new Scene(azurite, operation, await CopyWorld.CreateAsync(azurite));
            for (var number = 0; number < Sites; number++)
            {
                scene._ids.Add(Support.Core.NewId());
                await scene._world.Core.InstallAsync(scene._ids[^1]);
            }

            if (operation != Backup)
            {
                scene._manifest = await scene._world.BackUpAsync();
            }

            if (operation == Restoring)
            {
                await scene._world.LoseAsync(scene._ids[0]);

                // The restore also mends the due index: one row is missing, and one is left over.
                await scene.DeleteDueRowAsync(scene._ids[1]);
                await scene._world.Table.AddEntityAsync(new TableEntity(
                    InstanceRows.ShardOf(scene._ids[2]), InstanceRows.DueKey(DateTimeOffset.UnixEpoch.AddYears(100), scene._ids[2])));
                scene._before = await CopyWorld.DumpAsync(scene._world.Table, withKeyCheck: false);
                scene._rows = await CopyWorld.RowsAsync(scene._world.Table).ToListAsync();
            }

            return scene;
        }

        /// <summary>Another scene in the state that this one was set to, for which it must not have run.</summary>
        public async Task<Scene> AgainAsync()
        {
            var world = _operation switch
            {
                Backup => _world.WithNewContainer(),
                Restoring => await _world.WithTableOfAsync(_rows),
                _ => _world.Share(),
            };
            return new Scene(_azurite, _operation, world) { _ids = _ids, _manifest = _manifest, _before = _before, _rows = _rows };
        }

        public async Task<string> RunAsync()
        {
            try
            {
                if (_operation == Checking)
                {
                    await new BackupCheck(_container, Support.Core.KeyRingOf(_world.Core.Settings.Tokens.ProtectionKey!)).RunAsync(_manifest!, null, CancellationToken.None);
                }
                else if (_operation == Backup)
                {
                    var run = new BackupRun(_table, _container, _world.Core.Get<MaintenanceMetrics>(), _world.Clock, NullLogger<BackupRun>.Instance);
                    await run.RunAsync(null, CancellationToken.None);
                }
                else
                {
                    await new Restore(_container, _table).RunAsync(_manifest!, acceptsNextKey: false, null, CancellationToken.None);
                }

                return "done";
            }
            catch (StorageUnavailableException)
            {
                return "fails";
            }
            catch (BackupUnusableException)
            {
                return "refuses the backup";
            }
        }

        /// <summary>After a restore: whether the table is complete. Otherwise: whether there is a complete backup.</summary>
        public async Task<string> ReadStateAsync()
        {
            if (_operation != Restoring)
            {
                return await _world.Blobs.ExistsAsync() && (await _world.Container.ListAsync(CancellationToken.None)).Count > 0 ? "complete backup" : "no backup";
            }

            var rows = await CopyWorld.DumpAsync(_world.Table, withKeyCheck: false);
            return _before.Where(row => row.Contains("RowKey=String i|", StringComparison.Ordinal)).Except(rows).Any() ? "LOST"
                : await IsRestoredAsync() ? "restored"
                : "incomplete, nothing lost";
        }

        public async Task AssertWholeAsync(string what)
        {
            if (_operation == Restoring)
            {
                Assert.True(await IsRestoredAsync(), $"{what}: the table is incomplete");
                return;
            }

            foreach (var name in await _world.Container.ListAsync(CancellationToken.None))
            {
                var contents = await _world.CheckAsync(await BackupReader.ReadManifestAsync(_world.Container, name, CancellationToken.None));
                Assert.True(contents.Instances == Sites, $"{what}: {contents}");
            }
        }

        // The shards are processed at once: how many had made a call when one failed depends on timing.
        public string CountOf(string kind) => s_outsideShards.Contains(kind) ? $"{Calls.Count(kind)}" : "many";

        public void Dispose()
        {
            _world.Dispose();
            _tableWire.Dispose();
            _blobWire.Dispose();
        }

        private async Task DeleteDueRowAsync(InstanceId id)
        {
            var due = (await _world.Store.FindAsync(id, CancellationToken.None))!.Instance.DueAt!.Value;
            await _world.Table.DeleteEntityAsync(InstanceRows.ShardOf(id), InstanceRows.DueKey(due, id));
        }

        /// <summary>Whether every instance is there, with its index rows and no others.</summary>
        private async Task<bool> IsRestoredAsync()
        {
            var rows = await CopyWorld.RowsAsync(_world.Table).ToListAsync();
            var instances = rows.Where(row => InstanceRows.IsInstance(row.RowKey)).ToList();
            return _ids.Select(InstanceRows.InstanceKey).ToHashSet().SetEquals(instances.Select(row => row.RowKey))
                && instances.SelectMany(RowKinds.IndexKeys).ToHashSet().SetEquals(rows.Select(row => row.RowKey).Where(RowKinds.IsIndex));
        }
    }
}
