using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using WixOAuth.Functions.Tests.EndToEnd;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>
/// The rehearsal of a deleted table, with the commands that the runbook names. WIXOAUTH_REHEARSAL_SITES makes it larger.
/// </summary>
[Collection(AzuriteFixture.Name)]
public sealed class RehearsalTests(AzuriteFixture azurite) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task After_a_deleted_table_and_a_restore_every_site_of_the_copy_is_served_with_its_own_refresh_token()
    {
        var sites = int.Parse(Environment.GetEnvironmentVariable("WIXOAUTH_REHEARSAL_SITES") ?? "250", CultureInfo.InvariantCulture);
        var copies = azurite.NewContainer();
        (string, string)[] backup = [("Backup__ConnectionString", copies.ConnectionString!.Reveal()), ("Backup__Container", copies.Container)];
        await using var bed = await TestBed.StartAsync(azurite, overrides: null, backup);
        bed.Wix.Control.RemembersSecrets = false;
        var seeds = bed.Wix.Seed(sites);
        var file = Path.Combine(_folder.Path, "sites.ndjson");
        await File.WriteAllLinesAsync(file, seeds.Select(seed => JsonSerializer.Serialize(new { instanceId = seed.InstanceId, refreshToken = seed.RefreshToken })));
        var import = await CliRun.RunAsync(new Dictionary<string, string?> { ["WIXOAUTH_KEY"] = TestBed.FunctionKey }, "import", file, "--url", bed.Host.Url.ToString(), "--concurrency", "32");
        Assert.Equal((0, $"{sites:N0} sites: {sites:N0} imported, 0 failed"), (import.ExitCode, import.Out.Trim()));

        // One is removed before the copy; one is forgotten, one consents again and one is new after it.
        var (removed, forgotten, again) = (seeds[0].InstanceId, seeds[1].InstanceId, seeds[2].InstanceId);
        await bed.CallAsync(HttpMethod.Delete, $"instances/{removed}");
        foreach (var id in new[] { again, seeds[3].InstanceId })
        {
            using var customer = JsonContent.Create(new { customer = "acme" });
            Assert.Equal(HttpStatusCode.NoContent, (await bed.CallAsync(HttpMethod.Put, $"instances/{id}/customer", customer)).StatusCode);
        }

        var copy = await CliRun.RunAsync(bed.Settings, "backup", "--json");
        Assert.Equal(0, copy.ExitCode);
        Assert.Equal(sites, JsonDocument.Parse(copy.Out).RootElement.GetProperty("instances").GetInt32());
        await bed.CallAsync(HttpMethod.Delete, $"instances/{forgotten}");

        using var stop = new CancellationTokenSource();
        var load = Task.Run(() => AskAsync(bed, [.. seeds.Skip(10).Take(20).Select(seed => seed.InstanceId)], stop.Token));
        await bed.Table.DeleteAsync();
        await bed.Table.CreateAsync();
        using (var browser = new TestBrowser())
        {
            var response = await browser.GetAsync(await bed.WalkToRedirectAsync(browser, again));
            Assert.Equal("/installer/close-window", TestBrowser.LocationOf(response).AbsolutePath);
            await bed.SettleAsync();
        }

        var consented = await bed.GetInstanceAsync(again);
        var refused = await CliRun.RunAsync(bed.Settings, "restore", "latest");
        Assert.Equal(2, refused.ExitCode);
        var restore = await CliRun.RunAsync(bed.Settings, "restore", "latest", "--yes", "--json");
        Assert.True(restore.ExitCode == 0, restore.Error);
        Assert.Contains("What changed after that is not in it", restore.Error, StringComparison.Ordinal);
        var summary = JsonDocument.Parse(restore.Out).RootElement;
        Assert.Equal((sites - 1, 1, 1), (summary.GetProperty("written").GetInt32(), summary.GetProperty("kept").GetInt32(), summary.GetProperty("forgotten").GetInt32()));
        var left = Assert.Single(summary.GetProperty("customers_left").EnumerateArray());
        Assert.Equal((again, "acme", null), (left.GetProperty("instance_id").GetGuid(), left.GetProperty("customer").GetString(), left.GetProperty("stays").GetString()));
        Assert.Contains($"{again}: acme", restore.Error, StringComparison.Ordinal);
        await stop.CancelAsync();
        await load;

        // A new process, which remembers nothing.
        await bed.RestartAsync();
        bed.Wix.Control.Reset();
        bed.Clock.Advance(TimeSpan.FromMinutes(10));
        var gone = new[] { removed, forgotten };
        await Parallel.ForEachAsync(seeds, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (seed, _) =>
        {
            var expected = gone.Contains(seed.InstanceId) ? HttpStatusCode.Gone : HttpStatusCode.OK;
            Assert.Equal((seed.InstanceId, expected), (seed.InstanceId, (await bed.GetTokenAsync(seed.InstanceId)).StatusCode));
        });
        Assert.Equal(sites - gone.Length, (int)bed.Wix.Control.Counts.Grants["refresh_token"]);
        Assert.Equal(0, (int)bed.Wix.Control.Counts.Grants["client_credentials"]);
        Assert.Equal(JsonValueKind.Null, (await bed.GetInstanceAsync(again)).GetProperty("customer").ValueKind);
        Assert.Equal("acme", (await bed.GetInstanceAsync(seeds[3].InstanceId)).GetProperty("customer").GetString());
        Assert.Equal(consented.GetProperty("installed_at").GetString(), (await bed.GetInstanceAsync(again)).GetProperty("installed_at").GetString());

        var export = Path.Combine(_folder.Path, "export.ndjson");
        var exported = await CliRun.RunAsync(bed.Settings, "export", export);
        Assert.Equal(0, exported.ExitCode);
        var lines = (await File.ReadAllLinesAsync(export)).Select(line => JsonDocument.Parse(line).RootElement).ToDictionary(line => line.GetProperty("instance_id").GetGuid(), line => line.GetProperty("refresh_token").GetString());
        Assert.Equal(sites - gone.Length, lines.Count);
        Assert.Equal(seeds[100].RefreshToken, lines[seeds[100].InstanceId]);
        Assert.DoesNotContain(seeds[100].RefreshToken, exported.Everything, StringComparison.Ordinal);
        if (OperatingSystem.IsWindows())
        {
            FileOwner.AssertAlone(export);
        }
        else
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(export));
        }

        Assert.Equal(2, (await CliRun.RunAsync(bed.Settings, "export", export)).ExitCode);
    }

    private static async Task AskAsync(TestBed bed, IReadOnlyList<Guid> ids, CancellationToken cancellationToken)
    {
        for (var i = 0; !cancellationToken.IsCancellationRequested; i = (i + 1) % ids.Count)
        {
            (await bed.GetTokenAsync(ids[i])).Dispose();
        }
    }
}
