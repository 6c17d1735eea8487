using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using StandardWebhooks;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Telemetry;

namespace WixOAuth.Functions.Tests.Events;

/// <summary>Deliveries to a real receiver, on a clock that the test owns.</summary>
public sealed class EventDeliveryTests : IAsyncLifetime
{
    private static readonly CancellationToken None = CancellationToken.None;

    // No program listens on port 1.
    private static readonly Uri s_unreachable = new("http://127.0.0.1:1/events");

    // The library that verifies signatures looks at the real clock.
    private readonly FakeTimeProvider _clock = new(TimeProvider.System.GetUtcNow());
    private readonly LogLines _logs = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private EventReceiver _receiver = null!;
    private EventRecorder _recorder = null!;
    private MemoryInstanceStore _store = null!;
    private EventDelivery _delivery = null!;

    public async Task InitializeAsync()
    {
        _receiver = await EventReceiver.StartAsync();
        _recorder = new EventRecorder(_clock, NullLogger<EventRecorder>.Instance);
        _store = new MemoryInstanceStore(_recorder);
        _delivery = NewDelivery(_receiver.Url);
    }

    public async Task DisposeAsync()
    {
        _delivery.Dispose();
        await _receiver.DisposeAsync();
        await _services.DisposeAsync();
    }

    [Fact]
    public async Task An_event_is_a_signed_CloudEvent()
    {
        var stored = await ConnectAsync(Samples.NewInstance() with { Customer = "acme <&>", Site = new Site("site", "Café", "https://example.com") });

        await _delivery.DeliverWaitingAsync(None);

        var received = Assert.Single(_receiver.All);
        new StandardWebhook(EventReceiver.Secret).Verify(received.Text, received.Headers);
        Assert.Equal("application/cloudevents+json; charset=utf-8", received.Headers.ContentType);
        Assert.Equal(received.Id, received.Headers["webhook-id"]);
        var id = stored.Instance.Id.ToString();
        Assert.Equal(
            ("1.0", "https://tokens.example.com", "instance.connected", id, "application/json"),
            (Text("specversion"), Text("source"), Text("type"), Text("subject"), Text("datacontenttype")));
        var data = received.Body.GetProperty("data");
        Assert.Equal((id, "acme <&>", "consent"), (data.GetProperty("instance_id").GetString(), data.GetProperty("customer").GetString(), data.GetProperty("reason").GetString()));
        Assert.Equal(("site", "Café"), (data.GetProperty("site").GetProperty("id").GetString(), data.GetProperty("site").GetProperty("name").GetString()));
        Assert.Empty(await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync());

        string? Text(string name) => received.Body.GetProperty(name).GetString();
    }

    [Fact]
    public async Task Either_secret_verifies_while_they_rotate()
    {
        const string Next = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        using var delivery = NewDelivery(_receiver.Url, $"{EventReceiver.Secret} {Next}");
        await ConnectAsync();

        await delivery.DeliverWaitingAsync(None);

        // This library looks at the first signature only, although the specification says any; so each is checked alone.
        var received = Assert.Single(_receiver.All);
        var signatures = received.Headers["webhook-signature"].ToString().Split(' ');
        foreach (var (secret, signature) in new[] { EventReceiver.Secret, Next }.Zip(signatures, (secret, signature) => (secret, signature)))
        {
            received.Headers["webhook-signature"] = signature;
            new StandardWebhook(secret).Verify(received.Text, received.Headers);
        }

        Assert.Equal(2, signatures.Length);
    }

    [Fact]
    public async Task A_failed_event_holds_back_the_later_ones_of_its_instance_and_no_others()
    {
        var (broken, healthy) = (await ConnectAsync(), await ConnectAsync());
        await CompleteSetupAsync(broken);
        _receiver.Answer = (each, context) => EventReceiver.Status(context, each.InstanceId == broken.Instance.Id.ToString() ? 500 : 200);

        await _delivery.DeliverWaitingAsync(None);
        Assert.Equal(["instance.connected"], _receiver.TypesOf(broken.Instance.Id.ToString()));
        Assert.Equal(["instance.connected"], _receiver.TypesOf(healthy.Instance.Id.ToString()));

        _receiver.Answer = (_, context) => EventReceiver.Status(context, 200);
        _clock.Advance(TimeSpan.FromMinutes(1));
        await _delivery.DeliverWaitingAsync(None);

        Assert.Equal(
            ["instance.connected", "instance.connected", "instance.setup_completed"], _receiver.TypesOf(broken.Instance.Id.ToString()));
        var twice = _receiver.All.Where(each => each.InstanceId == broken.Instance.Id.ToString()).Take(2).ToList();
        Assert.Equal(twice[0].Id, twice[1].Id);
    }

    [Fact]
    public async Task After_410_the_event_is_parked_and_the_next_one_is_sent()
    {
        var stored = await ConnectAsync();
        await CompleteSetupAsync(stored);
        _receiver.Answer = (each, context) => EventReceiver.Status(context, each.Type == "instance.connected" ? 410 : 200);

        await _delivery.DeliverWaitingAsync(None);

        Assert.Equal(["instance.connected", "instance.setup_completed"], _receiver.TypesOf(stored.Instance.Id.ToString()));
        Assert.Equal(InstanceEventType.Connected, Assert.Single(await _store.ReadAsync(OutboxPart.Parked, None).ToListAsync()).Type);
        Assert.Single(_logs.Of(902));
    }

    [Fact]
    public async Task The_end_of_a_pass_cancels_no_attempt_and_takes_up_no_further_event()
    {
        var stored = await ConnectAsync();
        for (var number = 1; number <= 5; number++)
        {
            stored = (await _store.TryWriteAsync(stored, stored.Instance with { CustomerConflictAt = Samples.Noon.AddDays(number) }, None))!;
        }

        _receiver.Answer = (_, context) =>
        {
            _clock.Advance(TimeSpan.FromSeconds(9));
            return EventReceiver.Status(context, 204);
        };
        await _delivery.DeliverWaitingAsync(None);

        // The fifth attempt goes over the end of the pass at 40 seconds.
        Assert.Equal(5, _receiver.All.Count);
        var last = await _store.ReadAsync(OutboxPart.Waiting, None).SingleAsync();
        Assert.Equal((0, null), (last.Attempts, last.Lease));
        await _delivery.DeliverWaitingAsync(None);
        Assert.Equal(6, _receiver.All.Select(each => each.Id).Distinct().Count());
        Assert.Equal(6, _receiver.All.Count);
    }

    [Fact]
    public async Task A_stop_cancels_no_attempt_and_takes_up_no_further_event()
    {
        var stored = await ConnectAsync();
        Assert.NotNull(await _store.TryWriteAsync(stored, stored.Instance with { CustomerConflictAt = Samples.Noon.AddDays(1) }, None));
        using var stopping = new CancellationTokenSource();
        _receiver.Answer = async (_, context) =>
        {
            await stopping.CancelAsync();
            await EventReceiver.Status(context, 204);
        };

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _delivery.DeliverWaitingAsync(stopping.Token));

        Assert.Single(_receiver.All);
        var last = await _store.ReadAsync(OutboxPart.Waiting, None).SingleAsync();
        Assert.Equal((InstanceEventType.CustomerConflict, 0, null), (last.Type, last.Attempts, last.Lease));
    }

    [Fact]
    public async Task A_read_of_the_outbox_that_fails_cancels_no_attempt_under_way()
    {
        var id = (await ConnectAsync()).Instance.Id;
        var (fails, answers) = (new TaskCompletionSource(), new TaskCompletionSource());
        _receiver.Answer = async (_, context) =>
        {
            await answers.Task;
            await EventReceiver.Status(context, 204);
        };
        var outbox = OutboxOfStore();
        outbox.Setup(each => each.ReadAsync(OutboxPart.Waiting, Moq.It.IsAny<CancellationToken>())).Returns(() => ReadAsync());
        using var delivery = NewDelivery(_receiver.Url, outbox: outbox.Object);

        var delivering = delivery.DeliverWaitingAsync(None);
        await _receiver.WaitForAsync(1);
        fails.SetResult();
        answers.SetResult();

        await Assert.ThrowsAsync<StorageUnavailableException>(() => delivering);
        Assert.Empty(await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync());

        async IAsyncEnumerable<OutboxEvent> ReadAsync()
        {
            yield return await _store.ReadWaitingAsync(id, None).SingleAsync();

            // The next instance's event ends the group of the first one.
            yield return new OutboxEvent(Samples.NewId(), 1, InstanceEventType.Connected, "consent", _clock.GetUtcNow()) { RetryAt = _clock.GetUtcNow().AddMinutes(1) };
            await fails.Task;
            throw new StorageUnavailableException("The storage is down.");
        }
    }

    [Fact]
    public async Task An_event_that_is_written_while_an_earlier_one_of_its_instance_is_sent_is_sent_after_it()
    {
        var stored = await ConnectAsync();
        var answers = new TaskCompletionSource();
        _receiver.Answer = async (_, context) =>
        {
            await answers.Task;
            await EventReceiver.Status(context, 204);
        };

        var delivering = _delivery.DeliverWaitingAsync(None);
        await _receiver.WaitForAsync(1);
        await CompleteSetupAsync(stored);
        await _delivery.DeliverWaitingAsync(None);
        answers.SetResult();
        await delivering;

        Assert.Equal(["instance.connected", "instance.setup_completed"], _receiver.TypesOf(stored.Instance.Id.ToString()));
    }

    [Fact]
    public async Task A_redirect_is_not_followed()
    {
        await ConnectAsync();
        _receiver.Answer = (_, context) =>
        {
            context.Response.Redirect("/elsewhere", permanent: false, preserveMethod: true);
            return Task.CompletedTask;
        };

        await _delivery.DeliverWaitingAsync(None);

        Assert.Single(_receiver.All);
        Assert.Equal(1, (await _store.ReadAsync(OutboxPart.Waiting, None).SingleAsync()).Attempts);
    }

    [Fact]
    public async Task An_attempt_ends_after_ten_seconds()
    {
        await ConnectAsync();
        var hangs = new TaskCompletionSource();
        _receiver.Answer = (_, context) => hangs.Task.WaitAsync(context.RequestAborted);

        var delivering = _delivery.DeliverWaitingAsync(None);
        await _receiver.WaitForAsync(1);
        Assert.False(delivering.IsCompleted);
        _clock.Advance(EventSender.Timeout);
        await delivering;

        Assert.Equal(1, (await _store.ReadAsync(OutboxPart.Waiting, None).SingleAsync()).Attempts);
    }

    [Fact]
    public async Task A_receiver_that_was_down_for_a_day_gets_every_event_in_order()
    {
        var ids = new List<string>();
        using var down = NewDelivery(s_unreachable);
        for (var number = 0; number < 20; number++)
        {
            var stored = await ConnectAsync();
            await CompleteSetupAsync(stored);
            ids.Add(stored.Instance.Id.ToString());
        }

        for (var minute = 0; minute < 24 * 60; minute++)
        {
            await down.DeliverWaitingAsync(None);
            if (minute == 9)
            {
                // The circuit lets 3 to 18 of the first pass through, then one a minute. Without it these would be about 135.
                var attempts = (await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync()).Sum(each => each.Attempts);
                Assert.InRange(attempts, 12, 27);
            }

            _clock.Advance(TimeSpan.FromMinutes(1));
        }

        Assert.Single(_logs.Of(901));

        for (var minute = 0; minute < 60 && _receiver.All.Count < 40; minute++)
        {
            await _delivery.DeliverWaitingAsync(None);
            _clock.Advance(TimeSpan.FromMinutes(1));
        }

        Assert.All(ids, id => Assert.Equal(["instance.connected", "instance.setup_completed"], _receiver.TypesOf(id)));
        Assert.Empty(await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync());
    }

    [Fact]
    public async Task The_pass_that_finds_the_receiver_back_delivers_everything()
    {
        for (var number = 0; number < 40; number++)
        {
            await ConnectAsync();
        }

        _receiver.Answer = (_, context) => EventReceiver.Status(context, 503);
        for (var minute = 0; minute < 10; minute++)
        {
            await _delivery.DeliverWaitingAsync(None);
            _clock.Advance(TimeSpan.FromMinutes(1));
        }

        Assert.Single(_logs.Of(901));
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 204);
        await _delivery.DeliverWaitingAsync(None);

        Assert.Empty(await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync());
    }

    [Fact]
    public async Task The_one_attempt_of_an_open_circuit_is_not_spent_on_events_that_another_process_sends()
    {
        for (var number = 0; number < 3; number++)
        {
            await ConnectAsync();
        }

        var isElsewhere = false;
        var outbox = OutboxOfStore();
        outbox.Setup(each => each.ReadAsync(OutboxPart.Waiting, Moq.It.IsAny<CancellationToken>())).Returns<OutboxPart, CancellationToken>(_store.ReadAsync);
        outbox.Setup(each => each.TrySaveAsync(Moq.It.IsAny<OutboxEvent>(), Moq.It.IsAny<OutboxEvent>(), Moq.It.IsAny<CancellationToken>()))
            .Returns<OutboxEvent, OutboxEvent, CancellationToken>((read, changed, token) =>
                isElsewhere ? Task.FromResult<OutboxEvent?>(null) : _store.TrySaveAsync(read, changed, token));
        using var delivery = NewDelivery(_receiver.Url, outbox: outbox.Object);
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 503);
        await delivery.DeliverWaitingAsync(None);
        Assert.Single(_logs.Of(901));
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 204);
        _clock.Advance(TimeSpan.FromMinutes(1));

        isElsewhere = true;
        await delivery.DeliverWaitingAsync(None);
        isElsewhere = false;
        await delivery.DeliverWaitingAsync(None);

        Assert.Empty(await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync());
    }

    [Fact]
    public async Task After_72_hours_events_are_parked_and_can_be_made_due_again()
    {
        await ConnectAsync();
        using var down = NewDelivery(s_unreachable);
        for (var hour = 0; hour <= 72; hour++)
        {
            Assert.Empty(await _store.ReadAsync(OutboxPart.Parked, None).ToListAsync());
            await down.DeliverWaitingAsync(None);
            _clock.Advance(TimeSpan.FromHours(1.01));
        }

        Assert.Single(await _store.ReadAsync(OutboxPart.Parked, None).ToListAsync());

        var parked = new ParkedEvents(_store, _clock, NewMetrics(), _logs.For<ParkedEvents>());
        Assert.Equal(1, await parked.CountAsync(None));
        Assert.Equal(1, await parked.RedeliverAsync(None));
        await _delivery.DeliverWaitingAsync(None);

        Assert.Single(_receiver.All);
        Assert.Equal(0, await parked.CountAsync(None));
    }

    [Fact]
    public async Task An_attempt_that_fails_unexpectedly_counts_so_that_its_event_is_parked_in_the_end()
    {
        await ConnectAsync();
        var secrets = new Moq.Mock<ISecretSource<EventSecrets>>();
        secrets.Setup(source => source.GetAsync(Moq.It.IsAny<CancellationToken>())).Throws(new InvalidOperationException("the value of a secret"));
        using var delivery = NewDelivery(_receiver.Url, source: secrets.Object);

        for (var hour = 0; hour <= 72; hour++)
        {
            Assert.Equal(hour, (await _store.ReadAsync(OutboxPart.Waiting, None).SingleAsync()).Attempts);
            await delivery.DeliverWaitingAsync(None);
            _clock.Advance(TimeSpan.FromHours(1.01));
        }

        Assert.Single(await _store.ReadAsync(OutboxPart.Parked, None).ToListAsync());
        Assert.Equal(73, _logs.Of(907).Count);
        Assert.DoesNotContain(_logs.All, line => line.Text.Contains("the value of a secret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task All_parked_events_become_due_however_many_they_are()
    {
        const int Count = 10_500;
        await ParkAsync(Count);
        _clock.Advance(TimeSpan.FromMinutes(1));
        var parked = new ParkedEvents(_store, _clock, NewMetrics(), _logs.For<ParkedEvents>());
        Assert.True(await parked.IsAnyAsync(None));

        Assert.Equal(Count, await parked.RedeliverAsync(None));

        Assert.False(await parked.IsAnyAsync(None));
        Assert.Equal(Count, await _store.ReadAsync(OutboxPart.Waiting, None).CountAsync(each => each.Attempts == 0));
        Assert.Equal(0, await parked.RedeliverAsync(None));
    }

    [Fact]
    public async Task Parked_events_are_removed_after_30_days()
    {
        var stored = await ConnectAsync();
        _receiver.Answer = (_, context) => EventReceiver.Status(context, 410);
        await _delivery.DeliverWaitingAsync(None);
        var parked = new ParkedEvents(_store, _clock, NewMetrics(), _logs.For<ParkedEvents>());

        _clock.Advance(DeliveryPolicy.ParkedFor);
        Assert.Equal(0, await parked.RemoveOldAsync(OutboxPart.Parked, None));
        _clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(1, await parked.RemoveOldAsync(OutboxPart.Parked, None));

        Assert.NotNull(await _store.FindAsync(stored.Instance.Id, None));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("https://events.example.com")]
    public async Task Waiting_events_are_removed_after_30_days_where_none_are_sent(string? url)
    {
        await ConnectAsync();
        using var core = url is null
            ? new Core(_store, _clock)
            : new Core(_store, _clock, settings: [("Events__Url", url), ("Events__Secret", EventReceiver.Secret)]);

        _clock.Advance(DeliveryPolicy.ParkedFor);
        await core.Get<TimerEndpoints>().Housekeeping(None);
        Assert.Single(await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync());
        _clock.Advance(TimeSpan.FromTicks(1));
        await core.Get<TimerEndpoints>().Housekeeping(None);

        Assert.Equal(url is null ? 0 : 1, await _store.ReadAsync(OutboxPart.Waiting, None).CountAsync());
    }

    [Fact]
    public async Task Old_parked_events_are_removed_however_many_younger_ones_come_first()
    {
        await ParkAsync(10_001);
        var last = await _store.ReadAsync(OutboxPart.Parked, None).LastAsync();
        await _store.TrySaveAsync(last, last with { ParkedAt = _clock.GetUtcNow() - DeliveryPolicy.ParkedFor - TimeSpan.FromTicks(1) }, None);
        var parked = new ParkedEvents(_store, _clock, NewMetrics(), _logs.For<ParkedEvents>());

        Assert.Equal(1, await parked.RemoveOldAsync(OutboxPart.Parked, None));

        Assert.Equal(10_000, await _store.ReadAsync(OutboxPart.Parked, None).CountAsync());
        Assert.Equal(10_000, await parked.CountAsync(None));
    }

    [Fact]
    public async Task Two_processes_send_an_event_once()
    {
        for (var number = 0; number < 50; number++)
        {
            await ConnectAsync();
        }

        using var other = NewDelivery(_receiver.Url);
        await Task.WhenAll(_delivery.DeliverWaitingAsync(None), other.DeliverWaitingAsync(None));

        Assert.Equal(50, _receiver.All.Count);
        Assert.Equal(50, _receiver.All.Select(each => each.Id).Distinct().Count());
    }

    [Fact]
    public async Task An_event_of_a_process_that_died_while_sending_is_sent_by_another()
    {
        await ConnectAsync();
        var read = await _store.ReadAsync(OutboxPart.Waiting, None).SingleAsync();
        await _store.TrySaveAsync(read, read with { Lease = new Lease("dead", _clock.GetUtcNow() + DeliveryPolicy.LeaseTime) }, None);

        await _delivery.DeliverWaitingAsync(None);
        Assert.Empty(_receiver.All);
        _clock.Advance(DeliveryPolicy.LeaseTime);
        await _delivery.DeliverWaitingAsync(None);

        Assert.Single(_receiver.All);
    }

    [Fact]
    public async Task An_event_is_sent_at_once_without_a_sweep()
    {
        await _delivery.StartAsync(None);
        await ConnectAsync();
        await _receiver.WaitForAsync(1);
        await _delivery.StopAsync(None);

        Assert.Single(_receiver.All);
    }

    [Fact]
    public async Task An_event_of_an_erased_instance_contains_only_its_id()
    {
        var stored = await ConnectAsync(Samples.NewInstance() with { Customer = "acme", Site = new Site("site", "name", null) });
        await _delivery.DeliverWaitingAsync(None);
        var forgotten = Instance.Forget(stored.Instance, stored.Instance.Id, Samples.Noon) with { Customer = null, Site = null };
        await _store.TryWriteAsync(stored with { ETag = (await _store.FindAsync(stored.Instance.Id, None))!.ETag }, forgotten, None);

        await _delivery.DeliverWaitingAsync(None);

        var data = _receiver.All[^1].Body.GetProperty("data");
        Assert.Equal(("instance.removed", "forgotten"), (_receiver.All[^1].Type, data.GetProperty("reason").GetString()));
        Assert.Equal(System.Text.Json.JsonValueKind.Null, data.GetProperty("customer").ValueKind);
        Assert.Equal(System.Text.Json.JsonValueKind.Null, data.GetProperty("site").ValueKind);
    }

    [Fact]
    public async Task While_the_secret_cannot_be_read_nothing_is_sent_and_the_event_waits()
    {
        await ConnectAsync();
        var secrets = new Moq.Mock<ISecretSource<EventSecrets>>();
        secrets.Setup(source => source.GetAsync(Moq.It.IsAny<CancellationToken>())).Throws(new SecretUnavailableException("The secret is not available."));
        using var delivery = NewDelivery(_receiver.Url, source: secrets.Object);

        await delivery.DeliverWaitingAsync(None);

        Assert.Empty(_receiver.All);
        Assert.Equal(0, (await _store.ReadAsync(OutboxPart.Waiting, None).SingleAsync()).Attempts);
        Assert.Single(_logs.Of(904));
    }

    [Fact]
    public async Task An_unexpected_failure_does_not_end_the_delivery_of_later_events()
    {
        var reads = 0;
        var outbox = OutboxOfStore();
        outbox.Setup(each => each.ReadWaitingAsync(Moq.It.IsAny<InstanceId>(), Moq.It.IsAny<CancellationToken>()))
            .Returns<InstanceId, CancellationToken>((id, token) => Interlocked.Increment(ref reads) == 1
                ? throw new InvalidOperationException("a value of the row")
                : _store.ReadWaitingAsync(id, token));
        using var delivery = NewDelivery(_receiver.Url, outbox: outbox.Object);
        await delivery.StartAsync(None);

        await ConnectAsync();
        await _logs.WaitForAsync(907);
        var later = await ConnectAsync();
        await _receiver.WaitForAsync(1);

        Assert.False(delivery.ExecuteTask!.IsCompleted);
        await delivery.StopAsync(None);
        Assert.Equal([later.Instance.Id.ToString()], _receiver.All.Select(each => each.InstanceId));
        Assert.DoesNotContain("a value of the row", Assert.Single(_logs.Of(907)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unexpected_failure_for_one_instance_holds_back_no_other()
    {
        var (broken, healthy) = ((await ConnectAsync()).Instance.Id, (await ConnectAsync()).Instance.Id);
        var outbox = OutboxOfStore();
        outbox.Setup(each => each.ReadAsync(OutboxPart.Waiting, Moq.It.IsAny<CancellationToken>()))
            .Returns<OutboxPart, CancellationToken>((part, token) => _store.ReadAsync(part, token));
        outbox.Setup(each => each.TrySaveAsync(Moq.It.Is<OutboxEvent>(read => read.InstanceId == broken), Moq.It.IsAny<OutboxEvent>(), Moq.It.IsAny<CancellationToken>()))
            .Throws(new InvalidOperationException());
        using var delivery = NewDelivery(_receiver.Url, outbox: outbox.Object);

        await delivery.DeliverWaitingAsync(None);

        Assert.Equal([healthy.ToString()], _receiver.All.Select(each => each.InstanceId));
        Assert.Single(_logs.Of(907));
    }

    private Moq.Mock<IOutbox> OutboxOfStore()
    {
        var outbox = new Moq.Mock<IOutbox>();
        outbox.Setup(each => each.TrySaveAsync(Moq.It.IsAny<OutboxEvent>(), Moq.It.IsAny<OutboxEvent>(), Moq.It.IsAny<CancellationToken>()))
            .Returns<OutboxEvent, OutboxEvent, CancellationToken>(_store.TrySaveAsync);
        outbox.Setup(each => each.RemoveAsync(Moq.It.IsAny<OutboxEvent>(), Moq.It.IsAny<CancellationToken>()))
            .Returns<OutboxEvent, CancellationToken>(_store.RemoveAsync);
        return outbox;
    }

    private async Task<StoredInstance> ConnectAsync(Instance? instance = null) =>
        (await _store.TryWriteAsync(null, (instance ?? Samples.NewInstance()) with { ConsentId = "consent", ConsentedAt = Samples.Noon }, None))!;

    private async Task ParkAsync(int count)
    {
        for (var number = 0; number < count; number++)
        {
            await ConnectAsync();
        }

        foreach (var waiting in await _store.ReadAsync(OutboxPart.Waiting, None).ToListAsync())
        {
            await _store.TrySaveAsync(waiting, waiting with { Attempts = 1, ParkedAt = _clock.GetUtcNow() }, None);
        }
    }

    private async Task CompleteSetupAsync(StoredInstance stored) =>
        Assert.NotNull(await _store.TryWriteAsync(stored, stored.Instance.SetupCompleted(Samples.Noon), None));

    private EventMetrics NewMetrics() => new(new Instruments(_services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>()));

    private EventDelivery NewDelivery(Uri url, string secret = EventReceiver.Secret, ISecretSource<EventSecrets>? source = null, IOutbox? outbox = null)
    {
        var settings = Core.Read(("Events__Url", url.AbsoluteUri), ("Events__Secret", secret));
        var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
        return new EventDelivery(
            outbox ?? _store,
            _store,
            new EventSender(http, source ?? new ConfiguredSource<EventSecrets>(settings.Events.Secret!), settings, _clock),
            _recorder,
            NewMetrics(),
            _clock,
            _logs.For<EventDelivery>());
    }
}
