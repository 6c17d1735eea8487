using Azure.Core.Pipeline;
using Azure.Data.Tables;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Functions.Tests.Maintenance;
using WixOAuth.Instances;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Settings;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>
/// As <see cref="FaultTests"/>, for copies of the table: the first call of each kind, with one fault of each kind. Once the
/// fault is over, the same again gives a whole copy, or a table with every site.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class CopyFaultTests(AzuriteFixture azurite)
{
    private const string Backup = "Backup";
    private const int Sites = 3;

    [Theory]
    [InlineData(Backup)]
    [InlineData("Restore")]
    public async Task Whatever_goes_wrong_with_a_copy_comes_out_as_documented(string operation)
    {
        var rows = new List<string>();
        foreach (var kind in await KindsOfAsync(operation))
        {
            var call = new Call(kind, 1);
            var outcomes = new List<(string Fault, string Outcome)>();
            foreach (var fault in Fault.All.Where(fault => Fault.IsOfEachKind(fault) && fault.RetryAfter is null))
            {
                using var scene = await Scene.SetAsync(azurite, operation);
                scene.Calls.Break(call, fault, goesOn: false);
                outcomes.Add((fault.Name, $"{await scene.RunAsync()} | {await scene.ReadStateAsync()} | {scene.CountOf(kind)}"));
                scene.Calls.Break(null, null, goesOn: false);
                Assert.Equal("done", await scene.RunAsync());
                await scene.AssertWholeAsync($"{operation}: {call}: {fault}");
            }

            rows.AddRange(FaultTable.RowsOf(call, outcomes));
        }

        await FaultTable.AssertAsync(operation, rows);
    }

    private async Task<IReadOnlyList<string>> KindsOfAsync(string operation)
    {
        using var scene = await Scene.SetAsync(azurite, operation);
        Assert.Equal("done", await scene.RunAsync());
        await scene.AssertWholeAsync(operation);
        return [.. scene.Calls.Made.Select(call => call.Kind).Distinct()];
    }

    /// <summary>A table with a few sites; for a restore also a whole copy, after which one site was lost.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly string _operation;
        private readonly CopyWorld _world;
        private readonly List<InstanceId> _ids = [];
        private readonly FaultyTables _tableWire;
        private readonly FaultyBlobs _blobWire;
        private readonly TableClient _table;
        private readonly BackupContainer _container;
        private BackupManifest? _manifest;
        private List<string> _before = [];

        private Scene(AzuriteFixture azurite, string operation, CopyWorld world)
        {
            (_operation, _world) = (operation, world);
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
                await scene._world.LoseAsync(scene._ids[0]);
                scene._before = await CopyWorld.DumpAsync(scene._world.Table, withKeyCheck: false);
            }

            return scene;
        }

        public async Task<string> RunAsync()
        {
            try
            {
                if (_operation == Backup)
                {
                    var run = new BackupRun(_table, _container, _world.Core.Telemetry, _world.Clock, NullLogger<BackupRun>.Instance);
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
                return "fails, to be run again";
            }
        }

        /// <summary>Whether there is a whole copy; or whether the restore has left what was there.</summary>
        public async Task<string> ReadStateAsync()
        {
            if (_operation == Backup)
            {
                return (await _world.Container.ListAsync(CancellationToken.None)).Count == 0 ? "no copy" : "a whole copy";
            }

            var rows = await CopyWorld.DumpAsync(_world.Table, withKeyCheck: false);
            return _before.Except(rows).Any() ? "LOST" : "nothing lost";
        }

        public async Task AssertWholeAsync(string what)
        {
            if (_operation == Backup)
            {
                foreach (var name in await _world.Container.ListAsync(CancellationToken.None))
                {
                    var contents = await _world.CheckAsync(await _world.Container.ReadManifestAsync(name, CancellationToken.None));
                    Assert.True(contents.Instances == Sites, $"{what}: {contents}");
                }

                return;
            }

            foreach (var id in _ids)
            {
                Assert.True(await _world.Store.FindAsync(id, CancellationToken.None) is { Instance.Status: InstanceStatus.Active }, $"{what}: {id} is missing");
            }
        }

        // Several shards at once: how many of them had begun when one failed is a matter of time.
        public string CountOf(string kind) => kind is "read shard" or "write part of the copy" or "read part of the copy" ? "many" : $"{Calls.Count(kind)}";

        public void Dispose()
        {
            _world.Dispose();
            _tableWire.Dispose();
            _blobWire.Dispose();
        }
    }
}
