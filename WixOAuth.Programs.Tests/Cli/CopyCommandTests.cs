using System.Text.Json;
using Azure.Data.Tables;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Storage;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary><c>wixoauth backup</c> and <c>wixoauth restore</c> where a table was damaged before it was copied.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class CopyCommandTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private const string Monday = "20260105T023700Z-aaaa";
    private const string Tuesday = "20260106T023700Z-bbbb";
    private const string Wednesday = "20260107T023700Z-cccc";

    private BackupContainer _copies = null!;
    private TableClient _table = null!;
    private Dictionary<string, string?> _settings = null!;

    public async Task InitializeAsync()
    {
        var (copies, table) = (azurite.NewContainer(), azurite.NewTable());
        _copies = BackupContainer.Open(copies, credential: null);
        await _copies.InitializeAsync(CancellationToken.None);
        _table = TableConnection.Open(table, credential: null);
        _settings = new Dictionary<string, string?>
        {
            ["Tables__ConnectionString"] = table.ConnectionString!.Reveal(),
            ["Tables__Name"] = table.Name,
            ["Backup__ConnectionString"] = copies.ConnectionString!.Reveal(),
            ["Backup__Container"] = copies.Container,
            ["Tokens__ProtectionKey"] = TestBed.ProtectionKey,
        };
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Fact]
    public async Task A_restore_does_not_take_the_latest_copy_when_an_earlier_one_has_far_more_sites()
    {
        await AddCopyAsync(Monday, 40);
        await AddCopyAsync(Tuesday, 2);
        await AddCopyAsync(Wednesday, 3);

        var run = await CliRun.RunAsync(_settings, "restore", "latest", "--yes");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"{Wednesday} has far fewer sites than {Monday}, 3 instead of 40", run.Error, StringComparison.Ordinal);
        Assert.Contains("Name the copy to restore", run.Error, StringComparison.Ordinal);
        Assert.Contains($"{Tuesday} (2 sites), {Monday} (40 sites)", run.Error, StringComparison.Ordinal);
        await Assert.ThrowsAsync<Azure.RequestFailedException>(async () => await _table.QueryAsync<TableEntity>().ToListAsync());

        // These copies are but manifests: the check, which comes next, tells that this one was taken.
        var named = await CliRun.RunAsync(_settings, "restore", Wednesday, "--yes");
        Assert.Contains($"{Wednesday}: 3 sites", named.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_restore_takes_the_latest_copy_when_the_earlier_ones_are_alike_or_cannot_be_read()
    {
        await AddCopyAsync(Monday, 5);
        await _copies.Blobs.UploadBlobAsync($"manifests/{Tuesday}.json", BinaryData.FromString("{"));
        await AddCopyAsync(Wednesday, 3);

        var run = await CliRun.RunAsync(_settings, "restore", "latest", "--yes");

        Assert.Contains($"{Wednesday}: 3 sites", run.Error, StringComparison.Ordinal);
        Assert.Contains($"{Tuesday} (cannot be read), {Monday} (5 sites)", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 0, false)]
    [InlineData(5, 4, true)]
    [InlineData(5, 3, true)]
    [InlineData(5, 2, false)]
    [InlineData(20, 18, true)]
    [InlineData(30, 27, false)]
    [InlineData(40, 37, true)]
    [InlineData(1000, 901, true)]
    [InlineData(1000, 900, false)]
    [InlineData(1000, 1100, true)]
    public async Task A_restore_takes_the_latest_copy_unless_it_has_three_sites_and_a_tenth_fewer_than_an_earlier_one(long before, long after, bool isTaken)
    {
        await AddCopyAsync(Monday, before);
        await AddCopyAsync(Tuesday, after);

        var run = await CliRun.RunAsync(_settings, "restore", "latest", "--yes");

        Assert.True(isTaken == run.Error.Contains($"{Tuesday}: {after:N0} sites", StringComparison.Ordinal), run.Error);
        Assert.True(isTaken != run.Error.Contains("Nothing was written", StringComparison.Ordinal), run.Error);
    }

    [Theory]
    [InlineData("20260114T023700Z-dddd", false)]
    [InlineData("20260115T023700Z-dddd", true)]
    public async Task A_restore_compares_the_latest_copy_with_all_of_the_seven_days_before_it(string newest, bool isTaken)
    {
        await AddCopyAsync(Wednesday, 40);
        for (var hour = 4; hour < 14; hour++)
        {
            await AddCopyAsync($"20260112T{hour:D2}0000Z-aaaa", 3);
        }

        await AddCopyAsync(newest, 3);

        var run = await CliRun.RunAsync(_settings, "restore", "latest", "--yes");

        Assert.True(isTaken == run.Error.Contains($"{newest}: 3 sites", StringComparison.Ordinal), run.Error);
    }

    [Fact]
    public async Task A_restore_compares_the_latest_copy_with_seven_however_old_they_are()
    {
        await AddCopyAsync("20250105T023700Z-aaaa", 40);
        for (var month = 2; month < 8; month++)
        {
            await AddCopyAsync($"2025{month:D2}05T023700Z-aaaa", 3);
        }

        await AddCopyAsync(Monday, 3);

        Assert.Contains("3 instead of 40", (await CliRun.RunAsync(_settings, "restore", "latest", "--yes")).Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("20260101T000000Z-none")]
    [InlineData(Tuesday)]
    public async Task A_copy_that_cannot_be_restored_is_answered_with_the_names_of_the_newest_ones(string name)
    {
        await AddCopyAsync(Monday, 5);
        await _copies.Blobs.UploadBlobAsync($"manifests/{Tuesday}.json", BinaryData.FromString("{"));
        await AddCopyAsync(Wednesday, 5);

        var run = await CliRun.RunAsync(_settings, "restore", name, "--yes");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"The newest copies are: {Wednesday}, {Tuesday}, {Monday}.", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_backup_with_far_fewer_sites_than_the_one_before_is_made_and_fails_the_command()
    {
        await AddCopyAsync(Monday, 40);
        await _table.CreateAsync();
        var id = Core.NewId();
        await _table.AddEntityAsync(new TableEntity(InstanceRows.ShardOf(id), InstanceRows.InstanceKey(id)));

        var run = await CliRun.RunAsync(_settings, "backup", "--json");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains("1 instead of 40", run.Error, StringComparison.Ordinal);
        var result = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal((1, 40), (result.GetProperty("instances").GetInt32(), result.GetProperty("before").GetInt32()));
        Assert.Contains(result.GetProperty("manifest").GetString(), await _copies.ListAsync(CancellationToken.None));
    }

    private Task AddCopyAsync(string name, long sites)
    {
        var startedOn = BackupMonitor.TimeOf(name);
        var parts = InstanceRows.Shards.Select((shard, i) => new BackupPart($"{name}/{shard}.jsonl.gz", i == 0 ? sites : 0, i == 0 ? sites : 0, 0, ""));
        return _copies.WriteManifestAsync(
            name, new BackupManifest(BackupManifest.CurrentFormat, _table.Name, startedOn, startedOn, new Dictionary<string, long>(), [.. parts]), CancellationToken.None);
    }
}
