using Azure;
using Azure.Core.Pipeline;
using Azure.Data.Tables;
using Azure.Storage.Blobs.Specialized;
using Moq;
using WixOAuth.Cli.Restoring;
using WixOAuth.Functions.Tests.Faults;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Maintenance;

/// <summary>What is in a copy, and which copies are refused.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class BackupTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;
    private CopyWorld _world = null!;

    public async Task InitializeAsync() => _world = await CopyWorld.CreateAsync(azurite);

    public Task DisposeAsync()
    {
        _world.Dispose();
        return Task.CompletedTask;
    }

    [Fact]
    public async Task A_copy_restored_into_a_new_table_is_the_table_again()
    {
        for (var i = 0; i < 40; i++)
        {
            await _world.Core.InstallAsync(Core.NewId(), refresh: $"refresh-{i} ąß 漢字");
        }

        var removed = Core.NewId();
        await _world.Core.InstallAsync(removed);
        await _world.ChangeAsync(removed, before => Instance.AppRemoved(before, removed, _world.Clock.GetUtcNow(), false, _world.Clock.GetUtcNow()));
        await _world.Store.SaveLastUseAsync(Core.NewId(), _world.Clock.GetUtcNow(), None);
        await _world.Table.AddEntityAsync(new TableEntity("03", "x|of a later version")
        {
            ["Text"] = "a\nb\"",
            ["Number"] = 7,
            ["Long"] = long.MaxValue,
            ["Double"] = 0.1,
            ["Flag"] = true,
            ["Time"] = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero).AddTicks(7),
            ["Guid"] = Guid.NewGuid(),
            ["Bytes"] = new byte[] { 0, 255, 10 },
        });

        var manifest = await _world.BackUpAsync();
        var contents = await _world.CheckAsync(manifest);
        var restored = _world.NewTable();
        var summary = await _world.RestoreAsync(manifest, restored);

        Assert.Equal((41, 1, 0), (contents.Instances, contents.Removed, contents.Unreadable));
        Assert.Empty(contents.MissingKeys);
        Assert.Equal((41, 0, 0, 0), (summary.Written, summary.Kept, summary.Forgotten, summary.IndexRowsMended));
        Assert.Equal(await CopyWorld.DumpAsync(_world.Table, withKeyCheck: false), await CopyWorld.DumpAsync(restored));
    }

    [Fact]
    public async Task The_blobs_hold_no_token_in_the_clear()
    {
        await _world.Core.InstallAsync(Core.NewId(), access: "plain-access", refresh: "plain-refresh");
        var manifest = await _world.BackUpAsync();

        foreach (var part in manifest.Parts)
        {
            var lines = await BackupReader.ReadAsync(_world.Container, part, None).Select(row => string.Join(' ', row.Select(pair => pair.Value is byte[] bytes ? System.Text.Encoding.UTF8.GetString(bytes) : pair.Value))).ToListAsync();
            Assert.All(lines, line => Assert.DoesNotContain("plain-", line, StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task A_copy_made_while_rows_change_has_every_instance_once()
    {
        var ids = Enumerable.Range(0, 60).Select(_ => Core.NewId()).ToList();
        foreach (var id in ids)
        {
            await _world.Core.InstallAsync(id);
        }

        using var stop = new CancellationTokenSource();
        var writing = Task.Run(async () =>
        {
            for (var i = 0; !stop.IsCancellationRequested; i = (i + 1) % ids.Count)
            {
                await _world.ChangeAsync(ids[i], before => before! with { DueAt = before.DueAt!.Value.AddSeconds(1), UpdatedAt = before.UpdatedAt.AddSeconds(1) });
            }
        });
        var manifests = new List<BackupManifest>();
        for (var i = 0; i < 3; i++)
        {
            manifests.Add(await _world.BackUpAsync());
        }

        await stop.CancelAsync();
        await writing;

        Assert.All(manifests, manifest => Assert.Equal(60, manifest.Instances));
        var restored = _world.NewTable();
        await _world.CheckAsync(manifests[1]);
        await _world.RestoreAsync(manifests[1], restored);
        await AssertIndexesAgreeAsync(restored, 60);
    }

    [Fact]
    public async Task A_cut_off_copy_is_refused()
    {
        var (manifest, part) = await CopyOneAsync();
        var blob = _world.Blobs.GetBlockBlobClient(part.Name);
        var whole = (await blob.DownloadContentAsync()).Value.Content.ToMemory();
        await blob.UploadAsync(new MemoryStream(whole[..^20].ToArray()));

        await AssertRefusedAsync(manifest, part.Name);
    }

    [Fact]
    public async Task A_copy_with_a_changed_byte_is_refused_wherever_the_byte_is()
    {
        var (manifest, part) = await CopyOneAsync();
        var blob = _world.Blobs.GetBlockBlobClient(part.Name);
        var whole = (await blob.DownloadContentAsync()).Value.Content.ToArray();
        for (var at = 0; at < whole.Length; at += Math.Max(1, whole.Length / 25))
        {
            var changed = whole.ToArray();
            changed[at] ^= 0x20;
            await blob.UploadAsync(new MemoryStream(changed));

            var refused = await Assert.ThrowsAsync<BackupUnusableException>(async () => await BackupReader.ReadAsync(_world.Container, part, None).CountAsync());
            Assert.Contains(part.Name, refused.Message, StringComparison.Ordinal);
        }

        // And whole again it is taken.
        await blob.UploadAsync(new MemoryStream(whole));
        Assert.Equal(1, (await _world.CheckAsync(manifest)).Instances);
    }

    [Fact]
    public async Task A_copy_with_a_missing_blob_is_refused()
    {
        var (manifest, part) = await CopyOneAsync();
        await _world.Blobs.DeleteBlobAsync(part.Name);

        await AssertRefusedAsync(manifest, part.Name);
    }

    [Fact]
    public async Task A_copy_without_a_manifest_does_not_exist()
    {
        await CopyOneAsync();
        var name = Assert.Single(await _world.Container.ListAsync(None));
        await BackupReader.ReadManifestAsync(_world.Container, name, None);
        await _world.Blobs.DeleteBlobAsync($"manifests/{name}.json");

        Assert.Empty(await _world.Container.ListAsync(None));
        var refused = await Assert.ThrowsAsync<BackupUnusableException>(() => BackupReader.ReadManifestAsync(_world.Container, name, None));
        Assert.Contains(name, refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"format\":1,\"table\":\"t\"")]
    [InlineData("{\"format\":2,\"table\":\"t\",\"started_at\":\"2026-01-01T00:00:00Z\",\"finished_at\":\"2026-01-01T00:00:00Z\",\"keys\":{},\"parts\":[]}")]
    public async Task A_manifest_that_cannot_be_read_is_refused(string text)
    {
        await _world.Container.InitializeAsync(None);
        await _world.Blobs.UploadBlobAsync("manifests/bad.json", new BinaryData(text));
        await Assert.ThrowsAsync<BackupUnusableException>(() => BackupReader.ReadManifestAsync(_world.Container, "bad", None));
    }

    [Fact]
    public async Task A_copy_whose_key_is_gone_is_reported_before_anything_is_written()
    {
        await CopyOneAsync();
        var manifest = await _world.BackUpAsync();
        var other = Core.KeyRingOf(new ProtectionKey(ProtectionKey.IdOf(new byte[32]), new byte[32]));

        var contents = await _world.CheckAsync(manifest, other);

        Assert.Equal(KeyValuePair.Create(Assert.Single(manifest.Keys).Key, 1L), Assert.Single(contents.MissingKeys));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_copy_whose_key_is_disabled_is_reported_as_one_whose_key_is_gone_unless_that_cannot_be_known(bool areAll)
    {
        var (manifest, _) = await CopyOneAsync();
        var keys = Core.KeyRingOf(new ProtectionKey(ProtectionKey.IdOf(new byte[32]), new byte[32]), _world.Core.Settings.Tokens.ProtectionKey!, areAll);

        if (areAll)
        {
            Assert.Equal(manifest.Keys, (await _world.CheckAsync(manifest, keys)).MissingKeys);
        }
        else
        {
            await Assert.ThrowsAsync<SecretUnusableException>(() => _world.CheckAsync(manifest, keys));
        }
    }

    [Fact]
    public async Task A_backup_that_fails_leaves_no_manifest_and_says_why()
    {
        await _world.Table.DeleteAsync();

        var failed = await Assert.ThrowsAsync<StorageUnavailableException>(_world.BackUpAsync);

        Assert.Contains("TableNotFound", failed.Message, StringComparison.Ordinal);
        Assert.Empty(await _world.Container.ListAsync(None));
    }

    [Fact]
    public async Task A_copy_is_overdue_after_26_hours_and_so_is_a_container_without_any()
    {
        Assert.False(await Overdue(TimeSpan.Zero));
        Assert.True(await Overdue(TimeSpan.FromHours(27)));

        var (_, _) = await CopyOneAsync();
        var madeAt = BackupMonitor.TimeOf(Assert.Single(await _world.Container.ListAsync(None)));
        Assert.Equal(_world.Clock.GetUtcNow(), madeAt, TimeSpan.FromSeconds(1));
        _world.Clock.Advance(TimeSpan.FromHours(25));
        Assert.False(await Monitor().IsOverdueAsync(None));
        _world.Clock.Advance(TimeSpan.FromHours(2));
        Assert.True(await Monitor().IsOverdueAsync(None));
        Assert.NotEmpty(_world.Core.Logs.Of(724));
        await _world.BackUpAsync();
        Assert.False(await Monitor().IsOverdueAsync(None));

        // Azurite's clock is the machine's.
        Task<bool> Overdue(TimeSpan later)
        {
            var clock = new OffsetClock();
            clock.Advance(later);
            return new BackupMonitor(clock, _world.Core.Logs.For<BackupMonitor>(), _world.Container).IsOverdueAsync(None);
        }

        BackupMonitor Monitor() => new(_world.Clock, _world.Core.Logs.For<BackupMonitor>(), _world.Container);
    }

    [Theory]
    [InlineData("manifests/x")]
    [InlineData("manifests/zzz.json")]
    [InlineData("manifests/99999999T999999Z-0000.json")]
    [InlineData("manifests/.json")]
    public async Task A_blob_that_is_no_manifest_is_not_taken_for_a_copy(string stray)
    {
        await CopyOneAsync();
        var name = Assert.Single(await _world.Container.ListAsync(None));
        await _world.Blobs.UploadBlobAsync(stray, BinaryData.FromString("{}"));

        Assert.Equal([name], await _world.Container.ListAsync(None));
        Assert.Equal(1, await _world.Container.CountNewestAsync(None));
        Assert.False(await new BackupMonitor(_world.Clock, _world.Core.Logs.For<BackupMonitor>(), _world.Container).IsOverdueAsync(None));
    }

    [Theory]
    [InlineData(21, 11, false)]
    [InlineData(21, 10, true)]
    [InlineData(10, 1, false)]
    [InlineData(10, 0, true)]
    [InlineData(9, 0, true)]
    [InlineData(1, 0, true)]
    [InlineData(0, 0, false)]
    public async Task A_copy_with_far_fewer_sites_than_the_one_before_is_reported(int before, int after, bool isReported)
    {
        var ids = Enumerable.Range(0, before).Select(_ => Core.NewId()).ToList();
        foreach (var id in ids)
        {
            await _world.Core.InstallAsync(id);
        }

        await _world.BackUpAsync();
        _world.Clock.Advance(TimeSpan.FromDays(1));
        foreach (var id in ids.Skip(after))
        {
            await _world.LoseAsync(id);
        }

        Assert.Equal(after, (await _world.BackUpAsync()).Instances);

        Assert.Equal(isReported ? [$"{after} instead of {before}"] : [], _world.Core.Logs.Of(725).Select(line => line.Split(": ")[1]));
    }

    [Fact]
    public async Task While_the_container_cannot_be_read_the_last_known_copy_grows_old()
    {
        await CopyOneAsync();
        var calls = new FaultyCalls();
        using var wire = new FaultyBlobs(calls);
        var container = BackupContainer.Open(_world.Options, null, new HttpClientTransport(wire), pause: TimeSpan.Zero);
        var monitor = new BackupMonitor(_world.Clock, _world.Core.Logs.For<BackupMonitor>(), container);
        Assert.False(await monitor.IsOverdueAsync(None));
        calls.Break(new Call("list backups", 1), Fault.All.Single(fault => fault.Name == "403"), persists: true);

        _world.Clock.Advance(TimeSpan.FromHours(2));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => monitor.IsOverdueAsync(None));
        Assert.False(await monitor.IsOverdueAsync(None));
        Assert.Empty(_world.Core.Logs.Of(724));
        _world.Clock.Advance(TimeSpan.FromHours(25));
        await Assert.ThrowsAsync<StorageUnavailableException>(() => monitor.IsOverdueAsync(None));
        Assert.True(await monitor.IsOverdueAsync(None));
        Assert.Single(_world.Core.Logs.Of(724));
    }

    /// <summary>The timer that sweeps waits for it.</summary>
    [Fact]
    public async Task A_blob_service_that_does_not_answer_is_waited_for_five_seconds()
    {
        using var wire = StubStorage.Silent();
        var container = BackupContainer.Open(_world.Options, null, new HttpClientTransport(wire), pause: TimeSpan.Zero);
        var monitor = new BackupMonitor(_world.Clock, _world.Core.Logs.For<BackupMonitor>(), container);
        var startedAt = _world.Clock.GetUtcNow();

        await Assert.ThrowsAsync<StorageUnavailableException>(() => _world.Core.RunAsync(() => monitor.IsOverdueAsync(None), TimeSpan.FromSeconds(1)));

        Assert.InRange(_world.Clock.GetUtcNow() - startedAt, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(30));
    }

    [Fact]
    public async Task A_pause_that_the_blob_service_asks_for_is_not_waited_for()
    {
        using var wire = StubStorage.Busy();
        var container = BackupContainer.Open(_world.Options, null, new HttpClientTransport(wire));

        await Assert.ThrowsAsync<StorageUnavailableException>(() => container.ListAsync(None)).WaitAsync(TimeSpan.FromSeconds(100));

        Assert.Equal(1, wire.Calls);
    }

    [Fact]
    public async Task A_row_that_cannot_be_copied_is_not_reported_as_an_outage()
    {
        var table = new Mock<TableClient>();
        var row = new TableEntity("00", "x|row") { ["Odd"] = new object() };
        table.Setup(it => it.QueryAsync<TableEntity>(It.IsAny<string>(), It.IsAny<int?>(), It.IsAny<IEnumerable<string>>(), It.IsAny<CancellationToken>()))
            .Returns(AsyncPageable<TableEntity>.FromPages([Page<TableEntity>.FromValues([row], null, Mock.Of<Response>())]));
        var run = new BackupRun(table.Object, _world.Container, _world.Core.Get<MaintenanceMetrics>(), _world.Clock, _world.Core.Logs.For<BackupRun>());

        await Assert.ThrowsAsync<InvalidDataException>(() => run.RunAsync(null, None));

        Assert.Contains("'Odd'", Assert.Single(_world.Core.Logs.Of(722)), StringComparison.Ordinal);
        Assert.Empty(await _world.Container.ListAsync(None));
    }

    internal static async Task AssertIndexesAgreeAsync(TableClient table, int instances)
    {
        var rows = await CopyWorld.RowsAsync(table).ToListAsync();
        var wanted = rows.Where(row => InstanceRows.IsInstance(row.RowKey)).SelectMany(RowKinds.IndexKeys).Order(StringComparer.Ordinal).ToList();
        Assert.Equal(instances, rows.Count(row => InstanceRows.IsInstance(row.RowKey)));
        Assert.Equal(wanted, rows.Select(row => row.RowKey).Where(RowKinds.IsIndex).Order(StringComparer.Ordinal));
    }

    private async Task<(BackupManifest Manifest, BackupPart Part)> CopyOneAsync()
    {
        await _world.Core.InstallAsync(Core.NewId());
        var manifest = await _world.BackUpAsync();
        return (manifest, manifest.Parts.First(part => part.Instances > 0));
    }

    private async Task AssertRefusedAsync(BackupManifest manifest, string blob)
    {
        var refused = await Assert.ThrowsAsync<BackupUnusableException>(() => _world.CheckAsync(manifest));
        Assert.Contains(blob, refused.Message, StringComparison.Ordinal);
    }
}
