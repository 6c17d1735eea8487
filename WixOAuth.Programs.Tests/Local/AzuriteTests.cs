using System.Text.RegularExpressions;
using Azure;
using Azure.Data.Tables;
using Azure.Storage.Blobs;
using WixOAuth.Local;
using WixOAuth.Settings;
using WixOAuth.Storage;
using static WixOAuth.Functions.Tests.Storage.Samples;

namespace WixOAuth.Programs.Tests.Local;

public sealed class AzuriteTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Data_survives_a_stop()
    {
        var instance = NewInstance();
        await using (var azurite = await Azurite.StartAsync(_folder.Path, None))
        {
            var store = Open(azurite);
            await store.InitializeAsync(None);
            Assert.NotNull(await store.TryWriteAsync(null, instance, None));
        }

        await using (var azurite = await Azurite.StartAsync(_folder.Path, None))
        {
            Assert.Equal(instance, (await Open(azurite).FindAsync(instance.Id, None))!.Instance);
        }
    }

    [Fact]
    public async Task Key_that_Microsoft_publishes_for_emulators_opens_nothing()
    {
        const string Published = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
        await using var azurite = await Azurite.StartAsync(_folder.Path, None);
        await Open(azurite).InitializeAsync(None);
        var stranger = Regex.Replace(azurite.ConnectionString.Reveal(), "AccountKey=[^;]+", $"AccountKey={Published}");

        var table = await Assert.ThrowsAsync<RequestFailedException>(async () => await new TableServiceClient(stranger).QueryAsync().ToListAsync());
        var blob = await Assert.ThrowsAsync<RequestFailedException>(async () => await new BlobServiceClient(stranger).GetBlobContainersAsync().ToListAsync());

        Assert.Equal((403, 403), (table.Status, blob.Status));
    }

    [Fact]
    public async Task A_data_folder_is_used_by_one_program_at_a_time()
    {
        await using (await Azurite.StartAsync(_folder.Path, None))
        {
            var raised = await Assert.ThrowsAsync<StartFailedException>(() => Azurite.StartAsync(_folder.Path, None));
            Assert.Contains("in use", raised.Message, StringComparison.Ordinal);
        }

        await using var again = await Azurite.StartAsync(_folder.Path, None);
        Assert.NotNull(again.ConnectionString);
    }

    [Theory]
    [InlineData("azurite.lock")]
    [InlineData("")]
    public async Task A_data_folder_that_cannot_be_written_is_one_line(string inTheWay)
    {
        // Not by its mode, which does not stop root.
        var folder = Path.Combine(_folder.Path, "data");
        if (inTheWay.Length > 0)
        {
            Directory.CreateDirectory(Path.Combine(folder, inTheWay));
        }
        else
        {
            await File.WriteAllTextAsync(folder, "", None);
        }

        var raised = await Record.ExceptionAsync(() => Azurite.StartAsync(folder, None));

        Assert.Contains("cannot be written", Assert.Single(StartFailure.Explain(raised!)!), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_output_of_an_Azurite_that_fails_to_start_is_reported()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder.Path, "__azurite_db_table__.json"), "this is no database", None);

        var raised = await Assert.ThrowsAsync<StartFailedException>(() => Azurite.StartAsync(_folder.Path, None));

        Assert.Contains("JSON", raised.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', raised.Message);
    }

    [Fact]
    public async Task A_cancelled_start_leaves_no_process_behind()
    {
        using var gone = new CancellationTokenSource();
        var start = Azurite.StartAsync(_folder.Path, gone.Token);
        await gone.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => start);

        await using var again = await Azurite.StartAsync(_folder.Path, None);
        Assert.NotNull(again.ConnectionString);
    }

    private static TableInstanceStore Open(Azurite azurite) =>
        new(new TableGateway(TableConnection.Open(new TablesOptions { ConnectionString = azurite.ConnectionString }, null)));
}
