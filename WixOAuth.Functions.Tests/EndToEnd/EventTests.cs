using System.Diagnostics;
using System.Text.Json;
using StandardWebhooks;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Events;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.EndToEnd;

/// <summary>Events of the whole program, verified by the libraries that receivers use.</summary>
[Collection(AzuriteFixture.Name)]
public sealed class EventTests(AzuriteFixture azurite) : IAsyncLifetime
{
    private EventReceiver _receiver = null!;
    private TestBed _bed = null!;

    public async Task InitializeAsync()
    {
        _receiver = await EventReceiver.StartAsync();
        _bed = await TestBed.StartAsync(
            azurite, null, ("Events__Url", _receiver.Url.AbsoluteUri), ("Events__Secret", EventReceiver.Secret), ("Wix__SetupCompletion", "ByApp"));
    }

    public async Task DisposeAsync()
    {
        await _bed.DisposeAsync();
        await _receiver.DisposeAsync();
    }

    [Fact]
    public async Task Events_of_an_installation_are_delivered_immediately_and_in_order()
    {
        var id = await _bed.InstallAsync();
        await _receiver.WaitForAsync(1);
        await _bed.CallAsync(HttpMethod.Post, $"instances/{id}/setup");
        await _receiver.WaitForAsync(1);
        await _bed.CallAsync(HttpMethod.Delete, $"instances/{id}");
        await _receiver.WaitForAsync(1);

        Assert.Equal(["instance.connected", "instance.setup_completed", "instance.removed"], _receiver.TypesOf(id.ToString()));
        Assert.All(_receiver.All, received => new StandardWebhook(EventReceiver.Secret).Verify(received.Text, received.Headers));
        foreach (var secret in new[] { TestBed.AppSecret, TestBed.ProtectionKey, EventReceiver.Secret, "refresh_token", "access_token" })
        {
            Assert.DoesNotContain(secret, string.Join('\n', _receiver.All.Select(received => received.Text)), StringComparison.Ordinal);
        }

        Assert.DoesNotContain(EventReceiver.Secret, _bed.Logs.Everything, StringComparison.Ordinal);
    }

    [SkippableFact]
    public async Task The_JavaScript_libraries_take_an_event()
    {
        var tools = Path.Combine(Repository.Root, "tools", "events");
        Skip.IfNot(Directory.Exists(Path.Combine(tools, "node_modules", "standardwebhooks")), "The event libraries are not installed: run 'npm ci' in tools/events.");
        var id = await _bed.InstallAsync("Ünïcode <b>site</b>");
        await _receiver.WaitForAsync(1);
        var received = _receiver.All[0];

        var verified = await RunAsync(tools, received, EventReceiver.Secret);
        Assert.True(verified.ExitCode == 0, verified.Error);
        var seen = JsonDocument.Parse(verified.Output).RootElement;
        Assert.Equal((received.Id, "instance.connected", id.ToString()), (seen.GetProperty("id").GetString(), seen.GetProperty("type").GetString(), seen.GetProperty("subject").GetString()));
        Assert.Equal("Ünïcode <b>site</b>", seen.GetProperty("data").GetProperty("site").GetProperty("name").GetString());

        var forged = await RunAsync(tools, received with { Text = received.Text.Replace("consent", "comsent", StringComparison.Ordinal) }, EventReceiver.Secret);
        Assert.NotEqual(0, forged.ExitCode);
    }

    [Fact]
    public async Task A_waiting_event_is_sent_by_the_next_sweep()
    {
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 503);
        await _bed.InstallAsync();
        await _receiver.WaitForAsync(1);
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 204);

        await _bed.SweepUntilAsync(() => _receiver.All.Count > 1, TimeSpan.FromMinutes(1));

        Assert.Equal(2, _receiver.All.Count);
        Assert.Equal(_receiver.All[0].Id, _receiver.All[1].Id);
        Assert.DoesNotContain(await _bed.RowsAsync(), row => row.RowKey.StartsWith("o|", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Parked_events_are_sent_again_on_request()
    {
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 410);
        await _bed.InstallAsync();
        await _receiver.WaitForAsync(1);
        await _bed.WaitForParkedEventAsync();
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 204);
        var answer = await _bed.CallAsync(HttpMethod.Post, "events/redeliver");
        Assert.Equal(202, (int)answer.StatusCode);
        Assert.Equal("""{"events":1}""", await answer.Content.ReadAsStringAsync());
        await _bed.SweepUntilAsync(() => _receiver.All.Count > 1);

        Assert.Equal(2, _receiver.All.Count);
        Assert.Equal(401, (int)(await _bed.CallAsync(HttpMethod.Post, "events/redeliver", key: null)).StatusCode);
    }

    [Fact]
    public async Task Without_a_receiver_no_row_is_written()
    {
        await using var silent = await TestBed.StartAsync(azurite);
        await silent.InstallAsync();

        Assert.DoesNotContain(await silent.RowsAsync(), row => row.RowKey.StartsWith("o|", StringComparison.Ordinal));
        Assert.Equal("""{"events":0}""", await (await silent.CallAsync(HttpMethod.Post, "events/redeliver")).Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Without_a_receiver_parked_events_stay_parked()
    {
        await using var silent = await TestBed.StartAsync(azurite);
        var now = silent.Clock.GetUtcNow();
        var parked = new OutboxEvent(Core.NewId(), now.UtcTicks, InstanceEventType.Connected, "consent", now) { ParkedAt = now };
        await silent.Table.AddEntityAsync(OutboxRows.ToRow(parked));

        using var answer = await silent.CallAsync(HttpMethod.Post, "events/redeliver");

        Assert.Equal((202, """{"events":0}"""), ((int)answer.StatusCode, await answer.Content.ReadAsStringAsync()));
        Assert.StartsWith("p|", Assert.Single(await silent.RowsAsync(), row => row.RowKey[1] == '|' && row.RowKey[0] is 'o' or 'p').RowKey, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Error)> RunAsync(string tools, EventReceiver.Received received, string secret)
    {
        using var node = Process.Start(new ProcessStartInfo("node", ["verify.mjs"])
        {
            WorkingDirectory = tools,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var headers = received.Headers.ToDictionary(header => header.Key.ToLowerInvariant(), header => header.Value.ToString());
        await node.StandardInput.WriteAsync(JsonSerializer.Serialize(new { secret, headers, body = received.Text }));
        node.StandardInput.Close();
        var (output, error) = (node.StandardOutput.ReadToEndAsync(), node.StandardError.ReadToEndAsync());
        await node.WaitForExitAsync();
        return (node.ExitCode, await output, await error);
    }
}
