using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Http;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Http;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests;

/// <summary>Each instrument, by what makes it move; and that none of them tells more than it should.</summary>
public sealed partial class TelemetryTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private static readonly InstanceId Id = Core.NewId();
    private readonly Core _core = new(settings: ("Wix__ClientCredentialsFallback", "false"));
    private readonly Measured _measured;

    public TelemetryTests()
    {
        _measured = new Measured(_core);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("a-secret-access", "a-secret-refresh"));
    }

    public void Dispose()
    {
        _measured.Dispose();
        _core.Dispose();
    }

    [Fact]
    public async Task Token_requests_are_counted_by_outcome_and_source()
    {
        await _core.InstallAsync(Id);
        await _core.GetAsync(Id);
        await _core.GetAsync(Id);
        await _core.GetAsync(Id);
        await _core.GetAsync(Core.NewId());
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        await _core.GetAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));
        await _core.GetAsync(Id);
        var other = Core.NewId();
        await _core.InstallAsync(other);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        var gate = new TaskCompletionSource<HttpResponseMessage>(TaskCreationOptions.RunContinuationsAsynchronously);
        _core.Wix.Answer = (_, _, _) => gate.Task;
        using var leaving = new CancellationTokenSource();
        var left = _core.Tokens.GetTokenAsync(other, TokenRequirements.Default, leaving.Token).AsTask();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        gate.SetResult(StubWix.Tokens("too-late"));

        Assert.Equal(
            new()
            {
                ["outcome=ok source=storage"] = 1,
                ["outcome=ok source=memory"] = 2,
                ["outcome=unknown_instance source=storage"] = 1,
                ["outcome=ok source=refresh"] = 1,
                ["outcome=wix_unavailable source=refresh"] = 1,
                ["outcome=cancelled source=none"] = 1,
            },
            _measured.Of("wixoauth.token.requests"));
    }

    [Fact]
    public async Task Refreshes_and_calls_to_Wix_are_measured_by_outcome()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = (path, body, token) =>
        {
            _core.Clock.Advance(TimeSpan.FromSeconds(2));
            return answer(path, body, token);
        };
        await _core.GetAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(403));
        await _core.GetAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(503, "3600"));
        await _core.GetAsync(Id);

        Assert.Equal(
            new()
            {
                ["outcome=ok wix.grant=refresh_token"] = 2,
                ["outcome=rejected wix.grant=refresh_token"] = 0,
                ["outcome=wix_unavailable wix.grant=refresh_token"] = 0,
            },
            _measured.Of("wixoauth.refresh.duration"));
        Assert.Equal(
            new()
            {
                ["outcome=success wix.endpoint=refresh"] = 2,
                ["outcome=rejected wix.endpoint=refresh"] = 0,
                ["outcome=unavailable wix.endpoint=refresh"] = 0,
            },
            _measured.Of("wixoauth.wix.call.duration"));
    }

    [Fact]
    public async Task Waits_for_leases_and_takeovers_are_counted()
    {
        var stored = await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        await _core.Store.TryWriteAsync(stored, stored.Instance.Leased("gone", _core.Clock.GetUtcNow() + TokenRefresher.LeaseTime), None);

        await _core.Clock.RunAsync(_core.GetAsync(Id));

        Assert.Equal(new() { [""] = 1 }, _measured.Of("wixoauth.lease.waits"));
        Assert.Equal(new() { [""] = 1 }, _measured.Of("wixoauth.lease.takeovers"));
    }

    [Fact]
    public async Task A_sweep_counts_its_instances_and_measures_how_late_it_is()
    {
        await _core.InstallAsync(Id);
        var failing = Core.NewId();
        await _core.InstallAsync(failing, refresh: "gone");
        _core.Clock.Advance(TimeSpan.FromMinutes(5));
        var dueAt = (await _core.Store.ReadDueAsync(_core.Clock.GetUtcNow(), None).FirstAsync()).DueAt;
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = (path, body, token) => body!.Value.GetProperty("refresh_token").GetString() == "gone"
            ? Task.FromResult(StubWix.Status(400))
            : answer(path, body, token);

        await _core.Sweep.RunAsync(None);

        Assert.Equal(
            new() { ["outcome=refreshed"] = 1, ["outcome=skipped"] = 0, ["outcome=failed"] = 1 }, _measured.Of("wixoauth.sweep.instances"));
        Assert.Equal((TestClock.Start.AddMinutes(5) - dueAt).TotalSeconds, _measured.Of("wixoauth.sweep.due_lag")[""]);
        Assert.Equal(new() { ["outcome=ok shard=all"] = 1 }, _measured.CountsOf("wixoauth.sweep.duration"));
        Assert.Equal(new() { [""] = 0 }, _measured.Of("wixoauth.app_secret.suspect"));
    }

    [Fact]
    public async Task A_suspect_secret_is_one_until_it_is_not()
    {
        for (var number = 0; number < 200; number++)
        {
            await _core.InstallAsync(Core.NewId());
        }

        _core.Clock.Advance(TimeSpan.FromMinutes(5));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(401));
        await _core.Sweep.RunAsync(None);
        Assert.Equal(1, Suspect());

        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("well"));
        _core.Clock.Advance(AppSecretProbe.BetweenProbes);
        await _core.Sweep.RunAsync(None);
        Assert.Equal(0, Suspect());

        double Suspect() => _measured.Values.Last(value => value.Name == "wixoauth.app_secret.suspect").Value;
    }

    [Fact]
    public async Task Installs_redirects_and_set_up_events_are_counted_by_outcome()
    {
        await InstallThroughTheFlowAsync();
        await _core.Start.BeginAsync(null, "forged", [], None);
        await _core.Flow.CompleteAsync(new RedirectRequest(null, null, null, true, []), None);

        Assert.Equal(new() { ["outcome=consent"] = 1, ["outcome=bad_link"] = 1 }, _measured.Of("wixoauth.install.requests"));
        Assert.Equal(new() { ["outcome=close_window"] = 1, ["outcome=not_consented"] = 1 }, _measured.CountsOf("wixoauth.redirect.duration"));
        Assert.Equal(new() { ["outcome=accepted"] = 1 }, _measured.Of("wixoauth.setup_event.deliveries"));
        Assert.Equal(
            ["app_instance", "bi_event", "exchange", "token_info"],
            _measured.Values.Where(value => value.Name == "wixoauth.wix.call.duration").Select(value => value.Tags["wix.endpoint"]).Order());
    }

    [Fact]
    public async Task Webhooks_are_counted_by_outcome()
    {
        using var key = RSA.Create(2048);
        using var stranger = RSA.Create(2048);
        var store = new WatchedStore(new MemoryInstanceStore());
        using var core = new Core(store, settings: ("Wix__WebhookPublicKey", key.ExportSubjectPublicKeyInfoPem()));
        using var measured = new Measured(core);
        await core.InstallAsync(Id);
        var removal = Sign(key, "AppRemoved");

        foreach (var body in new[] { removal, removal, Sign(key, "AppUsed"), Sign(stranger, "AppRemoved"), "rubbish", new string('x', 70_000) })
        {
            await PostAsync(body);
        }

        store.Before = (_, _) => throw new StorageUnavailableException("The storage is down.");
        await PostAsync(removal);
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Before = (_, _) => gate.Task;
        var slow = core.Begin(() => PostAsync(removal));
        await SingleThreadSynchronizationContext.SettleAsync(() => false);
        core.Clock.Advance(WebhookEndpoint.LongestAnswer);
        await slow;
        gate.SetResult();
        using var left = new CancellationTokenSource();
        await left.CancelAsync();
        await PostAsync(removal, left.Token);

        Assert.Equal(
            new()
            {
                ["outcome=applied"] = 2,
                ["outcome=not_used"] = 1,
                ["outcome=untrusted"] = 1,
                ["outcome=malformed"] = 2,
                ["outcome=failed"] = 1,
                ["outcome=timed_out"] = 1,
                ["outcome=cancelled"] = 1,
            },
            measured.CountsOf("wixoauth.webhook.duration"));
        Assert.Equal(WebhookEndpoint.LongestAnswer.TotalSeconds, measured.Of("wixoauth.webhook.duration")["outcome=timed_out"]);

        Task<IResult> PostAsync(string body, CancellationToken cancellationToken = default) =>
            core.Webhooks.WixWebhook(
                new DefaultHttpContext { Request = { Body = new MemoryStream(Encoding.UTF8.GetBytes(body)) } }.Request, cancellationToken);

        string Sign(RSA with, string eventType) => SignedWebhook.Of(with, eventType, Id, core.Clock.GetUtcNow().AddMinutes(1));
    }

    [Fact]
    public async Task Last_uses_and_removals_by_housekeeping_are_counted()
    {
        await _core.InstallAsync(Id);
        await _core.GetAsync(Id);
        await _core.GetAsync(Id);
        await _core.Background.WhenIdleAsync(None);
        var tombstone = Storage.Samples.NewInstance() with { Status = InstanceStatus.Removed, UpdatedAt = TestClock.Start.AddDays(-91) };
        await _core.Store.TryWriteAsync(null, tombstone, None);
        await _core.Housekeeping.RunAsync(None);
        await _core.Cleanup.RunHourlyAsync(None);

        Assert.Equal(new() { ["outcome=ok"] = 1 }, _measured.Of("wixoauth.last_use.writes"));
        Assert.Equal(
            new() { ["kind=redemption"] = 0, ["kind=tombstone"] = 1, ["kind=due_row"] = 0, ["kind=tally"] = 0 }, _measured.Of("wixoauth.housekeeping.removals"));
    }

    [Fact]
    public async Task Traces_follow_a_token_request_from_the_caller_to_Wix()
    {
        await _core.InstallAsync(Id);
        await _core.GetAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        await _core.GetAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(4));
        await _core.Sweep.RunAsync(None);

        Assert.Equal(
            ["GetToken", "Wix refresh", "Refresh", "GetToken", "Wix refresh", "Refresh", "Sweep"],
            _measured.Activities.Select(activity => activity.OperationName));
        var (asked, sweep) = (_measured.Activities.ElementAt(3), _measured.Activities.Last());
        Assert.All(_measured.Activities.Skip(1).Take(3), activity => Assert.Equal(asked.TraceId, activity.TraceId));
        Assert.All(_measured.Activities.Skip(4), activity => Assert.Equal(sweep.TraceId, activity.TraceId));
        Assert.Equal(ActivityKind.Client, _measured.Activities.ElementAt(1).Kind);
        Assert.Equal(200, _measured.Activities.ElementAt(1).GetTagItem("http.response.status_code"));
        Assert.Equal((Id.ToString(), "ok", "refresh"), (asked.GetTagItem("wix.instance_id"), asked.GetTagItem("outcome"), asked.GetTagItem("source")));
        Assert.Equal("refresh_token", _measured.Activities.ElementAt(2).GetTagItem("wix.grant"));
        Assert.Equal(1, sweep.GetTagItem("wixoauth.refreshed"));
    }

    [Fact]
    public async Task A_failure_is_an_error_in_its_trace()
    {
        await _core.InstallAsync(Id);
        _core.Clock.Advance(TimeSpan.FromMinutes(10));
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));
        await _core.GetAsync(Id);
        await _core.Flow.CompleteAsync(new RedirectRequest(null, null, null, true, []), None);

        Assert.All(_measured.Activities, activity => Assert.Equal(ActivityStatusCode.Error, activity.Status));
        Assert.Equal(
            ["rejected", "rejected", "wix_unavailable", "not_consented"], _measured.Activities.Select(activity => activity.GetTagItem("error.type")));
    }

    [Fact]
    public async Task Tags_hold_no_secret_metrics_no_instance_id_and_all_are_documented()
    {
        await Token_requests_are_counted_by_outcome_and_source();
        await _core.Background.WhenIdleAsync(None);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Tokens("a-secret-access", "a-secret-refresh"));
        var stored = (await _core.Store.FindAsync(Id, None))!;
        await _core.Store.TryWriteAsync(stored, stored.Instance.Leased("gone", _core.Clock.GetUtcNow() + TokenRefresher.LeaseTime) with { Failures = null }, None);
        await _core.Clock.RunAsync(_core.GetAsync(Id, TokenRequirements.New));
        await InstallThroughTheFlowAsync();
        await _core.Sweep.RunAsync(None);
        _core.Get<MaintenanceMetrics>().PoisonShards(0);
        foreach (var outcome in Enum.GetValues<SendOutcome>())
        {
            _core.Get<EventMetrics>().SentEvent(outcome);
        }

        _core.Get<EventMetrics>().CountedEvents("waiting", 2);
        _core.Get<EventMetrics>().CountedEvents("parked", 1);
        _core.Get<MaintenanceMetrics>().BackedUp(succeeded: true, TimeSpan.FromSeconds(1));
        _core.Get<MaintenanceMetrics>().BackedUp(succeeded: false, TimeSpan.FromSeconds(1));
        await _core.Housekeeping.RunAsync(None);
        await _core.TokenReencryption.RunAsync(None);
        await _core.Webhooks.WixWebhook(new DefaultHttpContext().Request, None);
        var answer = _core.Wix.Answer;
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(400));
        await _core.GetAsync(Id, TokenRequirements.New);
        _core.Wix.Answer = answer;
        await _core.GetAsync(Id, TokenRequirements.New);
        await _core.Background.WhenIdleAsync(None);

        _measured.Observe("wixoauth.wix.throttled");

        var documentation = await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "metrics.md"));
        var rows = documentation.Split('\n').Where(line => line.StartsWith("| `wixoauth.", StringComparison.Ordinal)).ToDictionary(line => line.Split('`')[1]);
        Assert.Equal(_measured.Instruments.Select(instrument => instrument.Name).Order(StringComparer.Ordinal), rows.Keys.Order(StringComparer.Ordinal));
        Assert.All(_measured.Instruments, instrument => Assert.Contains($"| `{instrument.Unit}` |", rows[instrument.Name], StringComparison.Ordinal));
        Assert.All(_measured.Instruments, instrument => Assert.False(string.IsNullOrEmpty(instrument.Description)));
        Assert.All(_measured.Instruments, instrument => Assert.Contains(_measured.Values, value => value.Name == instrument.Name));
        foreach (var (name, _, tags) in _measured.Values)
        {
            Assert.All(tags, tag =>
            {
                Assert.Contains($"`{tag.Key}`", rows[name].Split('|')[4], StringComparison.Ordinal);
                Assert.Contains($"`{tag.Value}`", rows[name], StringComparison.Ordinal);
            });
        }

        Assert.All(_measured.Activities, activity => Assert.All(activity.TagObjects, tag =>
        {
            Assert.True(
                Word().IsMatch($"{tag.Value}") || (tag.Key == "wix.instance_id" && InstanceId.TryParse($"{tag.Value}", out _)),
                $"{activity.OperationName} {tag.Key}={tag.Value}");
            Assert.Contains($"`{(tag.Key == "error.type" ? "outcome" : tag.Key)}`", documentation, StringComparison.Ordinal);
        }));
    }

    [Fact]
    public async Task A_token_from_memory_costs_no_more_than_a_quarter_of_a_kilobyte_while_it_is_measured()
    {
        await _core.InstallAsync(Id);
        await _core.GetAsync(Id);
        using var core = new Core(_core.Store, _core.Clock);
        using var listener = new System.Diagnostics.Metrics.MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter.Scope == core.Meters)
            {
                l.EnableMeasurementEvents(instrument);
            }
        };
        var measured = 0L;
        listener.SetMeasurementEventCallback<long>((_, value, _, _) => measured += value);
        listener.Start();
        await core.GetAsync(Id);
        await core.Background.WhenIdleAsync(None);
        Ask(core, 1_000);
        measured = 0;

        var before = GC.GetAllocatedBytesForCurrentThread();
        Ask(core, 1_000);
        var each = (GC.GetAllocatedBytesForCurrentThread() - before) / 1_000;

        Assert.Equal(1_000, measured);
        Assert.InRange(each, 0, 256);

        static void Ask(Core core, int times)
        {
            for (var number = 0; number < times; number++)
            {
                var asked = core.Tokens.GetTokenAsync(Id, TokenRequirements.Default, None);
                Assert.True(asked.IsCompletedSuccessfully);
            }
        }
    }

    private async Task InstallThroughTheFlowAsync()
    {
        var id = Core.NewId();
        _core.Wix.Answer = (path, _, _) => Task.FromResult(path switch
        {
            "/oauth/access" => StubWix.Tokens("a-secret-access", "a-secret-refresh"),
            "/oauth2/token-info" => StubWix.Json(
                System.Net.HttpStatusCode.OK,
                $$"""{"active":"true","clientId":"{{_core.Settings.Wix.AppId}}","instanceId":"{{id}}","iat":"1700000000"}"""),
            _ => StubWix.Json(System.Net.HttpStatusCode.OK, "{}"),
        });
        var consent = Assert.IsType<InstallResult.Consent>(await _core.Start.BeginAsync(null, null, [], None));
        var state = Microsoft.AspNetCore.WebUtilities.QueryHelpers.ParseQuery(new Uri(consent.Url.Reveal()).Query)["state"].Single();
        Assert.IsType<InstallResult.CloseWindow>(await _core.Flow.CompleteAsync(
            new RedirectRequest(new AuthorizationCode("a-secret-code"), state, id.ToString(), false, [KeyValuePair.Create(consent.Set.Name, consent.Set.Value)]),
            None));
        await _core.Background.WhenIdleAsync(None);
    }

    [GeneratedRegex("^[a-z0-9_]+$")]
    private static partial Regex Word();
}
