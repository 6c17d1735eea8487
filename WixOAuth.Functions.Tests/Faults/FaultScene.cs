using System.Text;
using Azure.Core.Pipeline;
using Azure.Data.Tables;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Events;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Storage;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>One site with its storage and its Wix, and one operation.</summary>
internal sealed class FaultScene : IDisposable
{
    private static readonly WebhookSigner s_signer = new();
    private static readonly TimeSpan s_longestBackground = TimeSpan.FromMinutes(15);

    private readonly FaultOperation _operation;
    private readonly CountingClock _clock = new();
    private readonly FaultyTables _wire;
    private readonly FaultyStore _store;
    private readonly TableClient _table;
    private readonly TableStore _undisturbed;

    private FaultScene(FaultOperation operation, TableClient table, FaultyTables wire, TableStore store)
    {
        (_operation, _table, _undisturbed, _wire, _store) = (operation, table, new TableStore(table), wire, new FaultyStore(store));
        Core = new Core(_store, _clock, settings:
        [
            ("Wix__WebhookPublicKey", s_signer.Pem),
            ("Wix__ClientCredentialsFallback", "false"),
            .. operation.Settings,
        ]);
        Wix = new FaultyWix(Calls, Id, Core.Settings.Wix.AppId, Core.Clock) { AcceptsRefreshToken = !operation.IsRefreshTokenRejected };
        Core.Wix.Answer = Wix.AnswerAsync;
    }

    // A sweep whose first query fails refreshes the sites of every shard but the first, so the site is in another one.
    public InstanceId Id { get; } = Ids().First(id => InstanceRows.ShardOf(id) != InstanceRows.Shards.First());

    public Core Core { get; }

    public FaultyWix Wix { get; }

    public FaultyCalls Calls { get; } = new();

    public static async Task<FaultScene> SetAsync(AzuriteFixture azurite, FaultOperation operation)
    {
        var options = azurite.NewTable();
        var table = TableConnection.Open(options, null);
        await table.CreateAsync();
        FaultScene? scene = null;
        var wire = new FaultyTables(() => scene!.Calls);
        scene = new FaultScene(operation, table, wire, new TableStore(TableConnection.Open(options, null, new HttpClientTransport(wire), pause: TimeSpan.Zero)));

        // As at the start of a process: the key check has passed before the first request.
        Assert.True(await scene.Core.Protector.CanSealAsync(CancellationToken.None));
        if (operation.IsInstalled)
        {
            await scene.Core.InstallAsync(scene.Id);
        }

        await operation.PrepareAsync(scene);
        if (operation.IsInstalled)
        {
            scene.Core.Clock.Advance(TimeSpan.FromMinutes(10));
        }

        return scene;
    }

    /// <summary>Runs the operation with a fault; returns its answer and what is stored then.</summary>
    public async Task<(string Answer, string State)> PlayAsync(Call? call, Fault? fault, bool persists)
    {
        Calls.Break(call, fault, persists);
        _wire.IsOn = true;
        var answer = await LetTimePassAsync(Core.Begin(() => _operation.RunAsync(this)));
        await LetTimePassAsync(Core.Begin(async () =>
        {
            // Tokens that cannot be saved are tried again for as long as the fault persists.
            return await Task.WhenAny(Core.Background.WhenIdleAsync(CancellationToken.None), Task.Delay(s_longestBackground, Core.Clock));
        }));
        _wire.IsOn = false;
        return (answer, await _operation.StateAsync(this));
    }

    /// <summary>The fault has ended: the operation succeeds when it is repeated, nothing was lost, and no code was used twice.</summary>
    public async Task RecoverAsync(string what)
    {
        Calls.Break(null, null, persists: false);
        var (answer, tries) = ("", 0);
        do
        {
            Core.Clock.Advance(TimeSpan.FromMinutes(3));
            answer = await LetTimePassAsync(Core.Begin(() => _operation.RunAsync(this)));
        }
        while (++tries < 4 && !(IsSuccess(answer) && await IsWellAsync()));

        Assert.True(IsSuccess(answer) && await IsWellAsync(), $"{what}: not recovered, {answer}, {await _operation.StateAsync(this)}");
        Assert.True(Wix.CodesUsedTwice == 0, $"{what}: a code was used twice");
        if (_operation.IsServedAfter)
        {
            Assert.IsType<TokenResult.Token>(await LetTimePassAsync(Core.GetAsync(Id)));
            Assert.Equal(_operation.RefreshTokenAfter, await RefreshTokenAsync());
        }
    }

    public void Dispose()
    {
        Core.Dispose();
        _wire.Dispose();
    }

    public async Task ChangeAsync(Func<Instance, Instance> change)
    {
        var stored = (await _undisturbed.FindAsync(Id, CancellationToken.None))!;
        Assert.NotNull(await _undisturbed.TryWriteAsync(stored, change(stored.Instance), CancellationToken.None));
    }

    /// <summary>Adds an event of the site to the outbox.</summary>
    public Task AddEventAsync(bool isParked)
    {
        var now = Core.Clock.GetUtcNow();
        var happened = new OutboxEvent(Id, now.UtcTicks, InstanceEventType.Connected, "consent", now) { ParkedAt = isParked ? now : null };
        return _table.AddEntityAsync(OutboxRows.ToRow(happened));
    }

    public async Task<string> ReadEventAsync()
    {
        var events = await new TableOutbox(new TableGateway(_table)).ReadAsync(OutboxPart.All, CancellationToken.None).ToListAsync();
        return events switch
        {
            [] => "none",
            [{ ParkedAt: not null }] => "parked",
            [var waiting] => string.Join(", ", new[] { "waiting", Attempts(waiting.Attempts), waiting.Lease is null ? null : "leased" }.OfType<string>()),
            _ => $"{events.Count} events",
        };

        static string? Attempts(int attempts) => attempts == 0 ? null : $"{attempts} failed attempt";
    }

    public async Task<string> ReadInstanceAsync()
    {
        var instance = (await _undisturbed.FindAsync(Id, CancellationToken.None))?.Instance;
        if (instance is null)
        {
            return "none";
        }

        var words = new List<string> { $"{instance.Status}".ToLowerInvariant(), $"generation {instance.Generation}" };
        words.AddRange(new[]
        {
            instance.CurrentGrant == Grant.ClientCredentials ? "client credentials" : null,
            instance.Failures is { } failures ? $"{failures.Count} failure: {failures.LastError}" : null,
            instance.Lease is not null ? "leased" : null,
            instance.SetupPending ? "set-up pending" : null,
            instance.Customer,
        }.OfType<string>());
        return string.Join(", ", words);
    }

    public async Task<InstallResult> CompleteInstallAsync()
    {
        var consent = (InstallResult.Consent)await Core.Start.BeginAsync(null, null, [], CancellationToken.None);
        var request = new RedirectRequest(
            new AuthorizationCode($"code-{Guid.NewGuid():N}"),
            QueryHelpers.ParseQuery(new Uri(consent.Url.Reveal()).Query)["state"].Single(),
            Id.ToString(),
            HasError: false,
            [KeyValuePair.Create(consent.Set.Name, consent.Set.Value)]);
        return await Core.Flow.CompleteAsync(request, CancellationToken.None);
    }

    public Task<string> PostWebhookAsync(string eventType)
    {
        var jwt = s_signer.Sign(eventType, Guid.Parse(Id.ToString()), Core.Clock.GetUtcNow(), Core.Settings.Wix.AppId);
        return AnswerAsync(request => Core.Webhooks.WixWebhook(request, CancellationToken.None), jwt);
    }

    /// <summary>Calls an endpoint and returns the status of its response.</summary>
    public static async Task<string> AnswerAsync(Func<HttpRequest, Task<IResult>> ask, string body = "")
    {
        var context = new DefaultHttpContext
        {
            Request = { Method = "POST", ContentType = "application/json", Body = new MemoryStream(Encoding.ASCII.GetBytes(body)) },
            Response = { Body = new MemoryStream() },
        };
        await (await ask(context.Request)).ExecuteAsync(context);
        return $"{context.Response.StatusCode}";
    }

    private static IEnumerable<InstanceId> Ids()
    {
        while (true)
        {
            yield return Core.NewId();
        }
    }

    private async Task<bool> IsWellAsync() =>
        _operation.IsWell((await _undisturbed.FindAsync(Id, CancellationToken.None))?.Instance)
        && (_operation.EventAfter is not { } expected || await ReadEventAsync() == expected);

    private bool IsSuccess(string answer) => answer == _operation.Success || _operation.Repeated.Contains(answer);

    private async Task<string?> RefreshTokenAsync()
    {
        var instance = (await _undisturbed.FindAsync(Id, CancellationToken.None))!.Instance;
        return instance.RefreshToken is { } text
            ? (await Core.Protector.UnprotectRefreshTokenAsync(Id, instance.Generation, text, CancellationToken.None))?.Reveal()
            : null;
    }

    private async Task<T> LetTimePassAsync<T>(Task<T> work)
    {
        var fired = -1;
        for (var step = 0; !work.IsCompleted && step < 20_000; step++)
        {
            // A step that woke nothing changed nothing.
            if (_clock.Fired is var now && now != fired)
            {
                fired = now;
                await SingleThreadSynchronizationContext.SettleAsync(() => _store.IsBusy);
            }

            if (!work.IsCompleted)
            {
                Core.Clock.Advance(TimeSpan.FromMilliseconds(step < 20 ? 50 : step < 150 ? 500 : 5_000));
            }
        }

        return await work.WaitAsync(SingleThreadSynchronizationContext.Patience);
    }

    /// <summary>Counts how many of its timers have fired.</summary>
    private sealed class CountingClock() : FakeTimeProvider(TestClock.Start)
    {
        private int _fired;

        public int Fired => Volatile.Read(ref _fired);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => base.CreateTimer(
            given =>
            {
                Interlocked.Increment(ref _fired);
                callback(given);
            },
            state,
            dueTime,
            period);
    }
}
