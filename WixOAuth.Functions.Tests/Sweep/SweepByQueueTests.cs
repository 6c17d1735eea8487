using System.Diagnostics.Metrics;
using System.Net;
using System.Threading.Channels;
using Azure.Core.Pipeline;
using Azure.Storage.Queues;
using Microsoft.Extensions.DependencyInjection;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Local;
using WixOAuth.Maintenance;
using WixOAuth.Settings;

namespace WixOAuth.Functions.Tests.Sweep;

/// <summary>The timer, the queue and the function that handles its messages, in the local program on a real Azurite.</summary>
public sealed class SweepByQueueTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(3);

    private readonly TemporaryFolder _folder = new();
    private readonly MeterListener _meters = new();
    private readonly Channel<string> _swept = Channel.CreateUnbounded<string>();

    public void Dispose()
    {
        _meters.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public async Task A_tick_sweeps_every_shard_and_a_bad_message_does_no_harm()
    {
        await using var azurite = await Azurite.StartAsync(_folder.Path, CancellationToken.None, savesMeanwhile: false, withQueues: true);
        await using var host = await StartAsync(azurite, azurite.ConnectionString.Reveal());
        var service = host.Services.GetRequiredService<QueueServiceClient>();

        await TickAsync(host);
        Assert.Equal(InstanceShard.All.Select(shard => shard.ToString()).Order(), (await TakeAsync(16)).Order());

        // Before the next tick: otherwise it would be taken first and retried forever.
        await service.GetQueueClient(ShardMessages.Name).SendMessageAsync("not a shard");
        await TickAsync(host);
        Assert.Equal(16, (await TakeAsync(16)).Distinct().Count());
        Assert.Equal(0, (await service.GetQueueClient(ShardMessages.PoisonName).GetPropertiesAsync()).Value.ApproximateMessagesCount);
    }

    [Fact]
    public async Task The_timer_sweeps_by_itself_while_the_queue_cannot_be_reached()
    {
        await using var azurite = await Azurite.StartAsync(_folder.Path, CancellationToken.None, savesMeanwhile: false);
        await using var host = await StartAsync(azurite, "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=AAAA;QueueEndpoint=http://127.0.0.1:1/a;");

        await TickAsync(host);

        Assert.Equal(["all"], await TakeAsync(1));
    }

    [Fact]
    public async Task A_pause_that_the_queue_service_asks_for_is_not_waited_for()
    {
        using var core = new Core();
        using var wire = StubStorage.Busy();
        var options = new SweepOptions { ConnectionString = new ConnectionString("DefaultEndpointsProtocol=http;AccountName=a;AccountKey=AAAA;QueueEndpoint=http://127.0.0.1:1/a;") };
        var shards = new ShardMessages(
            ShardMessages.Open(options, null, new HttpClientTransport(wire)), core.Get<MaintenanceMetrics>(), core.Logs.For<ShardMessages>());

        Assert.False(await shards.TrySendAllAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(100)));

        Assert.Equal(16, wire.Calls);
    }

    [Fact]
    public async Task Sent_messages_count_although_the_poison_queue_cannot_be_read()
    {
        using var core = new Core();
        using var wire = new StubStorage((request, _) => Task.FromResult(AnswerTo(request)));
        var options = new SweepOptions { ConnectionString = new ConnectionString("DefaultEndpointsProtocol=http;AccountName=a;AccountKey=AAAA;QueueEndpoint=http://127.0.0.1:1/a;") };
        var shards = new ShardMessages(
            ShardMessages.Open(options, null, new HttpClientTransport(wire)), core.Get<MaintenanceMetrics>(), core.Logs.For<ShardMessages>());

        Assert.True(await shards.TrySendAllAsync(CancellationToken.None));

        Assert.Empty(core.Logs.Of(511));
        Assert.Single(core.Logs.Of(513));

        static HttpResponseMessage AnswerTo(HttpRequestMessage request)
        {
            const string Sent = """
                <QueueMessagesList><QueueMessage><MessageId>1</MessageId><InsertionTime>Thu, 01 Jan 2026 00:00:00 GMT</InsertionTime>
                <ExpirationTime>Thu, 01 Jan 2026 00:01:00 GMT</ExpirationTime><PopReceipt>1</PopReceipt>
                <TimeNextVisible>Thu, 01 Jan 2026 00:00:00 GMT</TimeNextVisible></QueueMessage></QueueMessagesList>
                """;
            var answer = request.Method == HttpMethod.Post
                ? new HttpResponseMessage(HttpStatusCode.Created) { Content = new StringContent(Sent, null, "application/xml") }
                : new HttpResponseMessage(HttpStatusCode.Forbidden);
            answer.Headers.Add("x-ms-request-id", "1");
            return answer;
        }
    }

    [Fact]
    public async Task The_local_program_starts_its_own_queue_when_none_is_given()
    {
        var settings = Settings();
        settings.Remove("Tables__ConnectionString");
        settings["Local__DataFolder"] = _folder.Path;
        await using var host = await LocalHost.StartAsync(LocalSettings.From(settings), Listen, CancellationToken.None);

        await TickAsync(host);

        Assert.Equal(16, (await TakeAsync(16)).Distinct().Count());
    }

    /// <summary>The command <c>wixoauth</c> reads it beside local.settings.json, which says Queue.</summary>
    [Fact]
    public async Task The_settings_that_the_local_program_leaves_name_its_queue()
    {
        var settings = Settings();
        settings.Remove("Tables__ConnectionString");
        settings["Local__DataFolder"] = _folder.Path;
        await using var host = await LocalHost.StartAsync(LocalSettings.From(settings), Listen, CancellationToken.None);

        var left = SettingsFile.Read(Path.Combine(_folder.Path, "settings.json"))!.Values;

        left["Tokens:SweepBy"] = "Queue";
        Assert.Empty(ServiceSettings.Read(LocalSettings.From(left).Configuration).Problems);
    }

    private static Dictionary<string, string?> Settings()
    {
        var settings = LocalHostFixture.Settings();
        settings["RefreshSchedule"] = "0 * * * * *";
        settings["HousekeepingSchedule"] = "0 17 3 * * *";
        settings["Tokens__SweepBy"] = "Queue";
        return settings;
    }

    private static async Task TickAsync(LocalHost host)
    {
        using var client = new HttpClient { BaseAddress = host.Url };
        client.DefaultRequestHeaders.Add("x-functions-key", host.FunctionKey);
        using var answer = await client.PostAsync(new Uri("/admin/functions/RefreshTokens", UriKind.Relative), null);
        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
    }

    private Task<LocalHost> StartAsync(Azurite azurite, string queue)
    {
        var settings = Settings();
        settings["Tables__ConnectionString"] = azurite.ConnectionString.Reveal();
        settings["Sweep"] = queue;
        return LocalHost.StartAsync(LocalSettings.From(settings), Listen, CancellationToken.None);
    }

    /// <summary>Listens to the sweeps of this host, and of no other test's.</summary>
    private void Listen(IServiceCollection services)
    {
        services.AddSingleton<IMeterFactory>(new OwnMeters());
        _meters.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument is { Name: "wixoauth.sweep.duration", Meter.Scope: OwnMeters })
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _meters.SetMeasurementEventCallback<double>((_, _, tags, _) => _swept.Writer.TryWrite(ShardOf(tags)));
        _meters.Start();
    }

    private static string ShardOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        foreach (var tag in tags)
        {
            if (tag.Key == "shard")
            {
                return (string)tag.Value!;
            }
        }

        throw new InvalidOperationException("A sweep has no shard.");
    }

    private async Task<IReadOnlyList<string>> TakeAsync(int count)
    {
        using var patience = new CancellationTokenSource(s_patience, TimeProvider.System);
        var taken = new List<string>();
        while (taken.Count < count)
        {
            taken.Add(await _swept.Reader.ReadAsync(patience.Token));
        }

        return taken;
    }

    private sealed class OwnMeters : IMeterFactory
    {
        public Meter Create(MeterOptions options)
        {
            options.Scope = this;
            return new Meter(options);
        }

        public void Dispose()
        {
        }
    }
}
