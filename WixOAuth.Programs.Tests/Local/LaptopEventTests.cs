using Microsoft.Extensions.Configuration;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Local;

namespace WixOAuth.Programs.Tests.Local;

/// <summary>What is filled in on a laptop where nothing was set: events go to the pretend Wix.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class LaptopEventTests(AzuriteFixture azurite) : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task The_secret_is_made_once_and_the_pretend_Wix_is_the_receiver()
    {
        var table = azurite.NewTable();
        var (first, url) = await StartAsync(table.Name);
        var (second, _) = await StartAsync(table.Name);

        Assert.Equal(first, second);
        Assert.True(WixOAuth.Secrets.EventSecrets.IsValid(first!));
        Assert.EndsWith("/events", url, StringComparison.Ordinal);
        Assert.Equal(first, File.ReadAllText(Path.Combine(_folder.Path, "events-secret")));
    }

    [Fact]
    public async Task A_receiver_that_was_given_is_kept()
    {
        var (secret, url) = await StartAsync(azurite.NewTable().Name, ("Events__Url", "http://localhost:9/mine"), ("Events__Secret", EventReceiver.Secret));

        Assert.Equal((EventReceiver.Secret, "http://localhost:9/mine"), (secret, url));
        Assert.False(File.Exists(Path.Combine(_folder.Path, "events-secret")));
    }

    [Fact]
    public async Task A_blank_schedule_of_copies_counts_as_not_given() =>
        Assert.Equal("0 37 2 * * *", (await ReadAfterStartAsync(azurite.NewTable().Name, ("BackupSchedule", " ")))["BackupSchedule"]);

    private async Task<(string? Secret, string? Url)> StartAsync(string table, params (string Name, string Value)[] more)
    {
        var settings = await ReadAfterStartAsync(table, more);
        return (settings["Events:Secret"], settings["Events:Url"]);
    }

    private async Task<IConfiguration> ReadAfterStartAsync(string table, params (string Name, string Value)[] more)
    {
        var values = new Dictionary<string, string?>
        {
            ["urls"] = $"http://127.0.0.1:{FreePort.Next()}",
            ["Local__DataFolder"] = _folder.Path,
            ["Functions__DisableTimers"] = "true",
            ["Tables__ConnectionString"] = azurite.NewTable().ConnectionString!.Reveal(),
            ["Tables__Name"] = table,
        };
        foreach (var (name, value) in more)
        {
            values[name] = value;
        }

        var settings = LocalSettings.From(values);
        await using var host = await LocalHost.StartAsync(settings, overrides: null, CancellationToken.None);
        return settings.Configuration;
    }
}
