using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Azure.Data.Tables;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Worker;
using WixOAuth.Programs.Tests.Local;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>What an export writes, and that it tells what is not in the file.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class ExportCommandTests(AzuriteFixture azurite) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private string FileName => Path.Combine(_folder.Path, "sites.ndjson");

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task A_refresh_token_that_the_service_opens_after_a_downgrade_is_exported()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var id = await bed.InstallAsync();
        await DowngradeAsync(bed, id);

        var run = await CliRun.RunAsync(bed.Settings, "export", FileName);

        Assert.True(run.ExitCode == 0, run.Everything);
        var line = JsonDocument.Parse(Assert.Single(await File.ReadAllLinesAsync(FileName))).RootElement;
        Assert.Equal(id, line.GetProperty("instance_id").GetGuid());
        Assert.NotEmpty(line.GetProperty("refresh_token").GetString()!);
    }

    [Fact]
    public async Task A_row_that_this_version_cannot_read_is_named_and_fails_the_command()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var (good, unreadable) = (await bed.InstallAsync(), await bed.InstallAsync());
        await ChangeAsync(bed, unreadable, row => row["Status"] = "purple");

        var run = await CliRun.RunAsync(bed.Settings, "export", FileName, "--json");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"i|{unreadable}", run.Error, StringComparison.Ordinal);
        var result = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal((1, 0, 1), (result.GetProperty("exported").GetInt32(), result.GetProperty("without_refresh_token").GetInt32(), result.GetProperty("unreadable").GetInt32()));
        Assert.Contains($"{good}", Assert.Single(await File.ReadAllLinesAsync(FileName)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_site_without_a_refresh_token_is_no_failure_and_one_that_no_key_opens_is_named()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var clone = await bed.InstallAsync();
        await ChangeAsync(bed, clone, row => row.Remove("RefreshToken"));
        Assert.Equal(0, (await CliRun.RunAsync(bed.Settings, "export", FileName)).ExitCode);
        File.Delete(FileName);

        var unopened = await bed.InstallAsync();
        await ChangeAsync(bed, unopened, row => ((byte[])row["RefreshToken"])[^1] ^= 1);
        var run = await CliRun.RunAsync(bed.Settings, "export", FileName, "--json");

        Assert.Equal(1, run.ExitCode);
        Assert.Contains($"{unopened}", run.Error, StringComparison.Ordinal);
        var result = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal((2, 1, 1), (result.GetProperty("exported").GetInt32(), result.GetProperty("without_refresh_token").GetInt32(), result.GetProperty("unopened").GetInt32()));
    }

    [Fact]
    public async Task A_blank_app_secret_does_not_matter_and_the_settings_file_is_named()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        await bed.InstallAsync();
        var settings = Path.Combine(_folder.Path, "settings.json");
        var values = new Dictionary<string, string?>(bed.Settings) { ["Wix__AppSecret"] = "" };

        // With a byte order mark, as Windows' editors write it.
        await File.WriteAllTextAsync(settings, JsonSerializer.Serialize(new { Values = values }), Encoding.UTF8);
        var run = await CliRun.RunAsync(new Dictionary<string, string?>(), "export", FileName, "--settings", settings);

        Assert.True(run.ExitCode == 0, run.Everything);
        Assert.Contains($"Settings: the environment, then {settings}.", run.Error, StringComparison.Ordinal);
    }

    [SkippableTheory]
    [InlineData("INT")]
    [InlineData("TERM")]
    [InlineData("HUP")]
    public async Task An_export_that_a_signal_ends_leaves_no_file(string signal)
    {
        Skip.If(OperatingSystem.IsWindows(), "Windows has no such signals.");
        Skip.If(signal == "INT" && LocalProgramTests.IgnoresInterrupts(), "A shell started these tests in the background, where SIGINT is ignored, also by what they start.");
        var asked = new TaskCompletionSource();
        await using var table = StubServer.Create(async context =>
        {
            asked.TrySetResult();
            await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted);
        });
        await table.StartAsync();
        var start = new ProcessStartInfo("dotnet", [Path.Combine(AppContext.BaseDirectory, "WixOAuth.Cli.dll"), "export", FileName]) { RedirectStandardError = true, WorkingDirectory = _folder.Path };
        start.Environment["Tables__ConnectionString"] = StubServer.TablesOf(table);
        start.Environment["Tokens__ProtectionKey"] = TestBed.ProtectionKey;
        using var process = Process.Start(start)!;

        await asked.Task.WaitAsync(TimeSpan.FromMinutes(3));
        Assert.Single(Directory.GetFiles(_folder.Path));
        using var kill = Process.Start("kill", ["-s", signal, $"{process.Id}"]);
        await process.WaitForExitAsync().WaitAsync(TimeSpan.FromMinutes(3));

        Assert.Equal(1, process.ExitCode);
        Assert.EndsWith("Stopped.", (await process.StandardError.ReadToEndAsync()).TrimEnd(), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public async Task An_export_that_fails_leaves_no_file()
    {
        await using var bed = await TestBed.StartAsync(azurite);
        var settings = new Dictionary<string, string?>(bed.Settings) { ["Tables__ConnectionString"] = WorkerBed.Nowhere() };

        Assert.Equal(1, (await CliRun.RunAsync(settings, "export", FileName)).ExitCode);

        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    /// <summary>
    /// Leaves the row as an earlier version does that obtained access tokens meanwhile and drops the generation that the refresh
    /// token is sealed for.
    /// </summary>
    internal static Task DowngradeAsync(TestBed bed, Guid id) => ChangeAsync(bed, id, row => row["Generation"] = (long)row["Generation"] + 3);

    private static async Task ChangeAsync(TestBed bed, Guid id, Action<TableEntity> change)
    {
        var row = await bed.Table.QueryAsync<TableEntity>($"RowKey eq 'i|{id}'").SingleAsync();
        change(row);
        await bed.Table.UpdateEntityAsync(row, row.ETag, TableUpdateMode.Replace);
    }
}
