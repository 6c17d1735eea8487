using System.Text.RegularExpressions;
using Azure.Storage.Blobs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.EndToEnd;
using WixOAuth.Functions.Tests.Worker;
using WixOAuth.Protection;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>What the doctor says with the service's own settings. Each line that is not well ends with what to do.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class DoctorInsideTests(AzuriteFixture azurite)
{
    public static TheoryData<string, string, string> BadSettings => new()
    {
        { "Wix__AppId", "", "FAILED  settings: Wix__AppId should be *" },
        { "Wix__WebhookPublicKey", "no key", "FAILED  settings: Wix__WebhookPublicKey* should be *" },
        { "Tables__ConnectionString", WorkerBed.Nowhere(), "FAILED  table: * Check the address and the role of the identity (Storage Table Data Contributor*" },
        { "Tokens__ProtectionKey", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "FAILED  protection key: does not open the table's key check, which needs the key *: bring that version back (runbook: *" },
        { "Backup__ConnectionString", "", "warning backup: none are made: set Backup__ServiceUri, *" },
        { "Backup__Container", "no-copies-yet", "FAILED  backup: The storage service refused with 404 *Check the address and the role *" },
        { "Wix__AppSecret", "another one", "warning app secret: Wix refuses *: compare the secret with Wix's dashboard, *" },
        { "Wix__ApiUrl", "http://127.0.0.1:1", "warning app secret: Wix gave no clear answer: try again later, *" },
        { "Events__Url", "@Microsoft.KeyVault(VaultName=name;SecretName=events-url)", "skipped events: Events__Url is a reference to Key Vault*" },
        { "Events__Url", "http://127.0.0.1:1/events", "FAILED  events: could not be reached: check the address" },
    };

    [Theory]
    [MemberData(nameof(BadSettings))]
    public async Task A_bad_setting_is_one_line_that_says_what_to_do(string name, string value, string line)
    {
        await using var bed = await StartAsync();
        await bed.InstallAsync();

        var run = await RunAsync(bed, (name, value));

        AssertSays(line, run);
        Assert.Equal(run.Out.Contains("FAILED  ", StringComparison.Ordinal) ? 1 : 0, run.ExitCode);
        Assert.DoesNotContain(TestBed.AppSecret, run.Everything, StringComparison.Ordinal);
        Assert.DoesNotContain(TestBed.ProtectionKey, run.Everything, StringComparison.Ordinal);
        Assert.DoesNotContain("another one", run.Everything, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_healthy_deployment_passes_every_check_and_its_sites_are_ready_for_the_bridge()
    {
        await using var bed = await StartAsync();
        var id = await bed.InstallAsync();
        await CliRun.RunAsync(bed.Settings, "backup");

        var well = await CliRun.RunAsync(bed.Settings, "doctor");
        Assert.True(well.ExitCode == 0, well.Out);
        foreach (var check in new[] { "App URL", "Redirect URL", "long codes", "health", "clock", "settings", "table", "protection key", "app secret", "backup" })
        {
            AssertSays($"ok      {check}:*", well);
        }

        var bridge = await CliRun.RunAsync(bed.Settings, "doctor", "--bridge", "--all");
        Assert.Equal(0, bridge.ExitCode);
        Assert.StartsWith("1 of 1 sites are ready", bridge.Out, StringComparison.Ordinal);

        var wrongSecret = new Dictionary<string, string?>(bed.Settings) { ["Wix__AppSecret"] = "wrong" };
        var refused = await CliRun.RunAsync(wrongSecret, "doctor", "--bridge");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains($"rejected: {id} (invalid_client)", refused.Out, StringComparison.Ordinal);
        var asJson = await CliRun.RunAsync(wrongSecret, "doctor", "--bridge", "--json");
        Assert.Contains($"\"rejected_sites\":[{{\"instance_id\":\"{id}\",\"code\":\"invalid_client\"}}]", asJson.Out, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_key_check_finds_a_wrong_key_before_any_site_is_installed()
    {
        await using var bed = await StartAsync();
        Assert.True(await bed.Host.Services.GetRequiredService<ProtectionKeyCheck>().IsPassedAsync(CancellationToken.None));

        AssertSays("ok      protection key: opens the table's key check", await RunAsync(bed));
        AssertSays("FAILED  protection key: does not open the table's key check*", await RunAsync(bed, ("Tokens__ProtectionKey", Convert.ToBase64String(new byte[32]))));
    }

    [Fact]
    public async Task Without_a_key_check_a_stored_token_is_opened()
    {
        await using var bed = await StartAsync();
        await bed.InstallAsync();
        await bed.Table.DeleteEntityAsync("00", "k|protection");

        AssertSays("ok      protection key: opens a stored refresh token", await RunAsync(bed));
        AssertSays("FAILED  protection key: does not open a stored refresh token*", await RunAsync(bed, ("Tokens__ProtectionKey", Convert.ToBase64String(new byte[32]))));
    }

    [Fact]
    public async Task A_stored_token_that_the_service_opens_after_a_downgrade_proves_the_key()
    {
        await using var bed = await StartAsync();
        await ExportCommandTests.DowngradeAsync(bed, await bed.InstallAsync());
        await bed.Table.DeleteEntityAsync("00", "k|protection");

        AssertSays("ok      protection key: opens a stored refresh token", await RunAsync(bed));
    }

    [Fact]
    public async Task A_backup_is_overdue_when_there_is_none_or_the_last_is_too_old()
    {
        await using var bed = await StartAsync();
        var container = new BlobContainerClient(bed.Settings["Backup__ConnectionString"], bed.Settings["Backup__Container"]);
        await container.CreateAsync();
        AssertSays("warning backup: there is no finished copy yet: run wixoauth backup", await RunAsync(bed));

        await container.UploadBlobAsync("manifests/20200101T000000Z-0000.json", BinaryData.FromString("{}"));
        var old = await RunAsync(bed);
        AssertSays("FAILED  backup: the last copy, 20200101T000000Z-0000, is * hours old: see the log of the function Backup, and run wixoauth backup", old);
        Assert.Equal(1, old.ExitCode);

        Assert.Equal(0, (await CliRun.RunAsync(bed.Settings, "backup")).ExitCode);
        AssertSays("ok      backup: the last copy, *, is 0 hours old", await RunAsync(bed));
    }

    [Fact]
    public async Task The_webhook_key_and_the_event_receiver_are_checked()
    {
        await using var bed = await StartAsync();
        AssertSays("warning webhook key: none is set, *: put the app's public key from Wix's dashboard into Wix__WebhookPublicKey", await RunAsync(bed));
        AssertSays("ok      webhook key: *", await RunAsync(bed, ("Wix__WebhookPublicKey", bed.Wix.WebhookPublicKeyPem)));
        AssertSays("skipped events: *(Events__Url)", await RunAsync(bed));

        var status = 405;
        await using var receiver = Receive(() => status);
        await receiver.StartAsync();
        (string, string)[] events = [("Events__Url", receiver.Urls.Single()), ("Events__Secret", $"whsec_{Convert.ToBase64String(new byte[32])}")];
        AssertSays("ok      events: the receiver 127.0.0.1 answers", await RunAsync(bed, events));
        status = 500;
        AssertSays("FAILED  events: the receiver 127.0.0.1 answers 500: fix it; *", await RunAsync(bed, events));
    }

    private Task<TestBed> StartAsync()
    {
        var copies = azurite.NewContainer();
        return TestBed.StartAsync(azurite, overrides: null, ("Backup__ConnectionString", copies.ConnectionString!.Reveal()), ("Backup__Container", copies.Container));
    }

    private static Task<CliRun> RunAsync(TestBed bed, params (string Name, string Value)[] changes)
    {
        var settings = new Dictionary<string, string?>(bed.Settings);
        foreach (var (name, value) in changes)
        {
            settings[name] = value;
        }

        if (changes.Any(change => change.Name == "Events__Url"))
        {
            settings.TryAdd("Events__Secret", $"whsec_{Convert.ToBase64String(new byte[32])}");
        }

        return CliRun.RunAsync(settings, "doctor", "--url", bed.Host.Url.ToString());
    }

    private static void AssertSays(string line, CliRun run)
    {
        var pattern = $"^{Regex.Escape(line).Replace("\\*", ".*", StringComparison.Ordinal)}$";
        Assert.True(run.Out.TrimEnd().Split('\n').Any(each => Regex.IsMatch(each.TrimEnd(), pattern)), $"{line}\n{run.Everything}");
    }

    private static WebApplication Receive(Func<int> status)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Run(context =>
        {
            context.Response.StatusCode = status();
            return Task.CompletedTask;
        });
        return app;
    }
}
