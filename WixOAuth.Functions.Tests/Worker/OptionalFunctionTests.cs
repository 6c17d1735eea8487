using System.Text.RegularExpressions;
using WixOAuth.Functions.Tests.Worker.Rpc;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Worker;

/// <summary>Functions that are there only where the settings ask for them, in the real worker process.</summary>
[Collection(AzuriteFixture.Name)]
public sealed partial class OptionalFunctionTests(AzuriteFixture azurite)
{
    private static readonly (string, string)[] s_byQueue = [("Tokens__SweepBy", "queue"), ("Sweep", "UseDevelopmentStorage=true")];

    [Fact]
    public async Task Settings_of_version_1_have_neither_a_backup_nor_a_queue_and_their_functions_are_not_reported()
    {
        await using var bed = await WorkerBed.StartAsync(azurite);

        Assert.Equal(["Housekeeping", "RefreshTokens"], TriggeredByOther(bed));
        await bed.EndAsync();
    }

    [Fact]
    public async Task Functions_whose_settings_are_given_are_reported()
    {
        await using var bed = await WorkerBed.StartAsync(azurite, [.. s_byQueue, ("BackupSchedule", "0 37 2 * * *")]);

        Assert.Equal(["Backup", "Housekeeping", "RefreshShard", "RefreshTokens"], TriggeredByOther(bed));
        await bed.EndAsync();
    }

    [Fact]
    public async Task Backup_without_a_place_for_copies_does_nothing_and_says_so_once()
    {
        await using var bed = await WorkerBed.StartAsync(azurite, ("BackupSchedule", "0 37 2 * * *"));

        await bed.AssertTimerSucceedsAsync("Backup");
        await bed.AssertTimerSucceedsAsync("Backup");

        using var health = await bed.SendAsync(HttpMethod.Get, "health", key: null);
        Assert.DoesNotContain("backup_overdue", await health.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        await bed.EndAsync();
        Assert.Single(NoBackups().Matches(bed.Host.Output));
    }

    [Fact]
    public async Task Backup_is_copied_by_the_timer()
    {
        var copies = azurite.NewContainer();
        await using var bed = await WorkerBed.StartAsync(
            azurite, ("BackupSchedule", "0 37 2 * * *"), ("Backup__ConnectionString", copies.ConnectionString!.Reveal()), ("Backup__Container", copies.Container));
        await bed.InstallAsync();

        await bed.AssertTimerSucceedsAsync("Backup");

        await bed.EndAsync();
        Assert.Contains(": 1 sites in ", bed.Host.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_message_of_the_queue_sweeps_its_shard()
    {
        await using var bed = await WorkerBed.StartAsync(azurite, s_byQueue);
        bed.Wix.Control.Switches = bed.Wix.Control.Switches with { AccessTokenLifetime = TimeSpan.FromSeconds(3) };
        var id = await bed.InstallAsync();
        var shard = InstanceShard.Of(new InstanceId(id).ToByteArray());

        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3), TimeProvider.System);
        while (Refreshes() == 0)
        {
            patience.Token.ThrowIfCancellationRequested();
            foreach (var other in InstanceShard.All.Where(each => each != shard))
            {
                await AssertSucceedsAsync(bed, $"{other}");
            }

            Assert.Equal(0, Refreshes());
            await AssertSucceedsAsync(bed, $"{shard}");
        }

        await bed.EndAsync();

        int Refreshes() => (int)bed.Wix.Control.CountsOf(id).Grants.GetValueOrDefault("refresh_token");
    }

    [Theory]
    [InlineData("some other text")]
    [InlineData("16")]
    [InlineData("")]
    [InlineData("{\"shard\":3}")]
    public async Task A_message_that_is_not_a_shard_number_is_dropped_and_logged_without_its_text(string message)
    {
        await using var bed = await WorkerBed.StartAsync(azurite, s_byQueue);

        // As the host delivers it: after a failure the message would be retried and end in the poison queue.
        await AssertSucceedsAsync(bed, message);

        await bed.EndAsync();
        Assert.Contains($"A message of {message.Length} characters in the queue refresh-shards is not a shard number and was dropped", bed.Host.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("some other text", bed.Host.Output, StringComparison.Ordinal);
    }

    private static IEnumerable<string> TriggeredByOther(WorkerBed bed) =>
        bed.Host.Functions.Where(function => !function.IsHttp).Select(function => function.Name).Order(StringComparer.Ordinal);

    private static async Task AssertSucceedsAsync(WorkerBed bed, string message)
    {
        var result = await bed.Host.RunQueueAsync("RefreshShard", message);
        Assert.True(result.Status == StatusResult.Types.Status.Success, result.Exception?.Message);
    }

    [GeneratedRegex("No backups are made: ")]
    private static partial Regex NoBackups();
}
