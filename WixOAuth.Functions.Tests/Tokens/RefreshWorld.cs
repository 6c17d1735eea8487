using System.Text.Json;
using Microsoft.Extensions.Time.Testing;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>
/// One site, three processes on one store, and Wix. Every call of the store and of Wix stops before it is carried out and
/// again before it is answered, until the schedule lets it go on: nothing happens at the same time but what the schedule
/// makes overlap. The invariants are checked as things happen.
/// </summary>
internal sealed class RefreshWorld(IInstanceStore shared, bool rotates, bool fallback) : IDisposable
{
    private const int RefreshBroke = 421;

    private static readonly TimeSpan LongestBelievableLease = TokenRefresher.LeaseTime * 2;

    private static readonly TimeSpan LongestStep = TimeSpan.FromSeconds(2);

    private readonly InstanceId _id = Core.NewId();
    private readonly FakeTimeProvider _clock = TestClock.New();
    private readonly Lock _lock = new();
    private readonly SingleThreadSynchronizationContext _turns = new();
    private readonly List<Process> _processes = [];
    private readonly List<Parked> _parked = [];
    private readonly List<Caller> _callers = [];
    private readonly List<string> _broken = [];
    private readonly List<string> _story = [];

    // By the owner of the lease.
    private readonly Dictionary<string, Attempt> _attempts = new(StringComparer.Ordinal);

    // Wix's side: the one good refresh token of each consent, by its number.
    private readonly List<string> _heads = [];
    private readonly HashSet<int> _lostByAccident = [];
    private int _issued;

    private DateTimeOffset _timeBeforeThisStep;
    private TimeSpan _setBack;
    private bool _jumped;
    private (DateTimeOffset At, Process? By)? _removal;

    private enum Stop
    {
        Store,
        StoreAnswer,
        Wix,
        WixAnswer,
    }

    /// <summary>How many refresh tokens were used, so that a test can see that anything happens at all.</summary>
    public int Spends { get; private set; }

    public async Task RunAsync(IEnumerable<uint> schedule)
    {
        for (var i = 0; i < 3; i++)
        {
            StartProcess();
        }

        _processes[0].IsFree = true;
        await _processes[0].Core.InstallAsync(_id, "access-0", NewChain());
        _processes[0].IsFree = false;
        try
        {
            foreach (var choice in schedule)
            {
                _timeBeforeThisStep = _clock.GetUtcNow();
                await StepAsync((int)(choice % 100), (int)(choice / 100));
                await SettleAsync();
                Check();
            }

            await EndAsync();
            Check();
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"{exception.Message}\n{string.Join('\n', _story)}", exception);
        }
    }

    public void Dispose()
    {
        _processes.ForEach(process => process.Core.Dispose());
        _turns.Dispose();
    }

    private async Task StepAsync(int kind, int pick)
    {
        var process = _processes[pick % _processes.Count];
        var more = pick / _processes.Count;
        switch (kind)
        {
            case < 44:
                Release(more, fault: 0);
                break;
            case < 54:
                Release(more, fault: 1 + (pick % 5));
                break;
            case < 66:
                Call(process, TokenRequirements.LivingFor(TimeSpan.FromSeconds(more % 241)));
                break;
            case < 71:
                Call(process, TokenRequirements.LivingFor(TimeSpan.FromSeconds(more % 60), new AccessToken($"access-{Math.Max(0, _issued - (more % 2))}").Fingerprint()));
                break;
            case < 75:
                Call(process, TokenRequirements.Ahead);
                break;
            case < 77:
                Call(process, TokenRequirements.New);
                break;
            case < 79:
                Start(process, "consent", ConsentAsync);
                break;
            case 79:
                Start(process, "removal", RemoveAsync);
                break;
            case < 83:
                Crash(process, landing: more % 2 == 0);
                break;
            case < 94:
                await AdvanceAsync(TimeSpan.FromMilliseconds(50 << (more % 10)));
                break;
            case < 98:
                await AdvanceAsync(TimeSpan.FromSeconds(60 * (1 + (more % 6))));
                break;
            case 98:
                _jumped = true;
                Tell("the clock jumps");
                _clock.AdjustTime(_clock.GetUtcNow() + TimeSpan.FromSeconds(10 * (1 + (more % 60))));
                break;
            default:
                var back = TimeSpan.FromMilliseconds(100 * (more % 20));
                _setBack += back;
                Tell($"the clock is set back by {back}");
                _clock.AdjustTime(_clock.GetUtcNow() - back);
                break;
        }

    }

    private Task SettleAsync() => SingleThreadSynchronizationContext.SettleAsync(() => _processes.Any(process => process.Store.IsBusy));

    // In steps, as it does in life: what has to happen at a certain time has its chance to.
    private async Task AdvanceAsync(TimeSpan by)
    {
        Tell($"+{by}");
        for (var left = by; left > TimeSpan.Zero; left -= LongestStep)
        {
            _timeBeforeThisStep = _clock.GetUtcNow();
            _clock.Advance(left < LongestStep ? left : LongestStep);
            await SettleAsync();
        }
    }

    /// <summary>From now on all goes well: everyone who waits is answered soon, and the site is well again.</summary>
    private async Task EndAsync()
    {
        Tell("all is well");
        var since = _clock.GetTimestamp();
        for (var step = 0; _callers.Any(caller => caller.Process.Lives && !caller.Task.IsCompleted) || AnyoneWrites(); step++)
        {
            Ensure(_clock.GetElapsedTime(since) < TimeSpan.FromMinutes(20), "Somebody waits for ever.");
            _timeBeforeThisStep = _clock.GetUtcNow();
            if (!Release(step, fault: 0))
            {
                _clock.Advance(TimeSpan.FromMilliseconds(Math.Min(2_000, 100 + (step * 5))));
            }

            await SettleAsync();
        }

        var stored = (await shared.FindAsync(_id, CancellationToken.None))!.Instance;
        var probe = StartProcess();
        probe.IsFree = true;
        Ensure(
            await IsRefreshTokenGoodAsync(probe.Core, stored),
            "The stored refresh token is not the one that Wix takes.");

        TokenResult? result = null;
        for (var tries = 0; tries < 4 && result is not TokenResult.Token; tries++)
        {
            var asking = probe.Core.GetAsync(_id);
            var askedAt = _clock.GetTimestamp();
            while (!asking.IsCompleted)
            {
                Ensure(_clock.GetElapsedTime(askedAt) < LongestBelievableLease * 2, "The last caller waits for ever.");
                await SettleAsync();
                _clock.Advance(TimeSpan.FromMilliseconds(200));
            }

            result = await asking;
            _clock.Advance((result as TokenResult.WixUnavailable)?.RetryAfter ?? TimeSpan.Zero);
        }

        var expected = stored.Status switch
        {
            InstanceStatus.Removed => typeof(TokenResult.Removed),
            InstanceStatus.ReinstallRequired => typeof(TokenResult.ReinstallRequired),
            _ when !fallback && IsLost(stored, ChainOf(await probe.Core.RefreshTokenOfAsync(_id))) => null,
            _ => typeof(TokenResult.Token),
        };
        Ensure(expected is null || result!.GetType() == expected, $"In the end there is {result} for {stored.Status}.");
    }

    private bool AnyoneWrites()
    {
        lock (_lock)
        {
            return _parked.Count > 0 || _processes.Any(process => process.Lives && !process.Core.Background.WhenIdleAsync(CancellationToken.None).IsCompleted);
        }
    }

    // Callers.

    private void Call(Process process, TokenRequirements requirements)
    {
        var startedAt = _clock.GetUtcNow();
        var removal = _removal;
        Start(process, $"asks for {(requirements.IsNew ? "a new one" : requirements.IsAhead ? "one ahead" : requirements.MinTtl)} {requirements.Rejected?[..4]}", async core =>
        {
            var result = await core.GetAsync(_id, requirements);
            Tell($"{process.Name}: {result.GetType().Name} {(result as TokenResult.Token)?.Generation}");
            if (result is not TokenResult.Token token)
            {
                return;
            }

            // Time may have passed on before this could be looked at, but no more than a step.
            var ttl = TimeSpan.FromTicks(Math.Min(requirements.MinTtl.Ticks, (long)(token.Lifetime.Ticks * 0.8)));
            var livesEnough = requirements.IsNew || requirements.IsAhead || token.ExpiresOn - _timeBeforeThisStep >= ttl;
            Ensure(livesEnough, $"A token of {token.ExpiresOn - _clock.GetUtcNow()} for {requirements.MinTtl}.");

            // After a removal no caller gets a token: at once in this process, in others when the cached token expires.
            if (removal is { } removed && removed == _removal)
            {
                Ensure(removed.By != process && startedAt - removed.At <= TokenMemory.CacheDuration + _setBack, "A token of a removed instance.");
            }
        });
    }

    private async Task ConsentAsync(Core core)
    {
        var refresh = NewChain();
        var now = _clock.GetUtcNow();
        var granted = new TokenAnswer.Granted(NewAccess(), new RefreshToken(refresh), now, now + TimeSpan.FromMinutes(5));

        // Wix's clock does not jump.
        var wixTime = TestClock.Start + TimeSpan.FromSeconds(ChainOf(refresh)!.Value);
        try
        {
            await core.Get<ConsentSaver>().SaveAsync(_id, new Consent(null, null, null, wixTime, false), granted, granted.RefreshToken!);
        }
        catch (StorageUnavailableException)
        {
            // The browser gets a page that asks to start again.
        }
    }

    private async Task RemoveAsync(Core core)
    {
        try
        {
            var stored = await core.Writer.UpdateAsync(
                _id,
                known: null,
                current => current is null or { Status: InstanceStatus.Removed } ? current : Instance.Forget(current, _id, _clock.GetUtcNow()),
                CancellationToken.None);
            if (stored is { Instance.Status: InstanceStatus.Removed })
            {
                core.Tokens.Forget(stored);
                lock (_lock)
                {
                    _removal = _removal is { } removal ? (removal.At, _processes.Single(process => process.Core == core)) : null;
                }
            }
        }
        catch (StorageUnavailableException)
        {
            // Wix sends its event again.
        }
    }

    // Processes.

    private Process StartProcess()
    {
        var store = new FaultyStore(shared);
        var core = new Core(store, _clock, settings: ("Wix__ClientCredentialsFallback", fallback ? "true" : "false"));
        var process = new Process($"P{_processes.Count}", core, store);
        store.Before = async call => (StoreFault)(await StopAsync(process, Stop.Store, call.Step.ToString(), CancellationToken.None) switch
        {
            var fault when fault <= 3 => fault,
            _ => 0,
        });
        store.Done = call => Landed(process, call);
        store.Answering = call => StopAsync(process, Stop.StoreAnswer, call.Step.ToString(), CancellationToken.None);
        core.Wix.Answer = (path, body, cancellation) => AnswerAsync(process, path, body, cancellation);
        lock (_lock)
        {
            _processes.Add(process);
        }

        return process;
    }

    private void Start(Process process, string what, Func<Core, Task> work)
    {
        if (!process.Lives)
        {
            return;
        }

        Tell($"{process.Name}: {what}");
        _callers.Add(new Caller(process, _turns.Begin(() => work(process.Core))));
    }

    /// <summary>A process ends; what it has under way is done at the last moment or not at all, and never answered.</summary>
    private void Crash(Process process, bool landing)
    {
        if (!process.Lives)
        {
            return;
        }

        Tell($"{process.Name}: crashes");
        List<Parked> its;
        lock (_lock)
        {
            process.Lives = false;
            its = [.. _parked.Where(parked => parked.Process == process)];
            _parked.RemoveAll(parked => parked.Process == process);
            foreach (var attempt in _attempts.Values.Where(attempt => attempt.Process == process && attempt.Unsaved is not null))
            {
                _lostByAccident.Add(attempt.Unsaved!.Value);
            }
        }

        its.Where(parked => landing && parked.Stop is Stop.Store or Stop.Wix).ToList().ForEach(parked => parked.Go.SetResult(0));
        StartProcess();
    }

    private async Task<int> StopAsync(Process process, Stop stop, string what, CancellationToken cancellationToken)
    {
        if (process.IsFree)
        {
            return 0;
        }

        var parked = new Parked(process, stop, what, new TaskCompletionSource<int>());
        lock (_lock)
        {
            if (process.Lives)
            {
                _parked.Add(parked);
            }
        }

        try
        {
            return await parked.Go.Task.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            lock (_lock)
            {
                _parked.Remove(parked);
            }

            throw;
        }
    }

    private bool Release(int which, int fault)
    {
        Parked parked;
        lock (_lock)
        {
            if (_parked.Count == 0)
            {
                return false;
            }

            parked = _parked[which % _parked.Count];
            _parked.Remove(parked);
        }

        Tell($"{parked.Process.Name}: {parked.Stop} {parked.What} goes on{(fault == 0 ? "" : $" with fault {fault}")}");
        parked.Go.SetResult(fault);
        return true;
    }

    // What lands in the store.

    private void Landed(Process process, StoreCall call)
    {
        if (call.Instance is not { } now)
        {
            return;
        }

        lock (_lock)
        {
            Tell($"{process.Name}: {call.Step} landed, generation {now.Generation}");
            var before = call.Previous;
            Ensure(now.Generation >= (before?.Generation ?? 0), "A generation fell.");
            if (before is { Status: InstanceStatus.Removed } && now.Status != InstanceStatus.Removed)
            {
                Ensure(now.CommitId is { } by && !_attempts.ContainsKey(by) && now.Generation > before.Generation, "A tombstone came to life without a consent.");
            }

            _removal = now.Status != InstanceStatus.Removed ? null : _removal ?? (_clock.GetUtcNow(), null);

            var ended = before?.Lease is { } lease ? _attempts.GetValueOrDefault(lease.Owner) : null;
            if (call.Step == StoreStep.Lease)
            {
                var time = _clock.GetUtcNow();
                Ensure(
                    before!.Lease is not { } other || other.Owner == now.Lease!.Owner || other.Until <= time + _setBack || other.Until > time + LongestBelievableLease,
                    "A lease was taken over before its end.");
                var attempt = _attempts.GetValueOrDefault(now.Lease!.Owner) ?? (_attempts[now.Lease.Owner] = new Attempt(process, now.Generation));
                attempt.Until = now.Lease.Until;
            }
            else if (now.Lease is null && ended is not null)
            {
                ended.IsReleased = true;
            }

            if (now.CommitId is { } commit && _attempts.TryGetValue(commit, out var committed))
            {
                committed.Unsaved = null;
                Ensure(now.Generation >= committed.Generation + 1, "A commit without a new generation.");
            }
        }
    }

    // Wix.

    private async Task<HttpResponseMessage> AnswerAsync(Process process, string path, JsonElement? body, CancellationToken cancellationToken)
    {
        Asked(process, FaultyStore.Attempt);
        switch (await StopAsync(process, Stop.Wix, path, cancellationToken))
        {
            case 1:
                return StubWix.Status(500);
            case 2:
                return StubWix.Status(429, "40");
            case 3 or 4:
                return StubWix.Status(400);
            case 5:
                await Task.Delay(Timeout.InfiniteTimeSpan, _clock, cancellationToken);
                break;
        }

        var (response, chain) = Carry(process, path, body!.Value);
        try
        {
            await StopAsync(process, Stop.WixAnswer, path, cancellationToken);
        }
        catch (OperationCanceledException) when (chain is not null)
        {
            // Wix has replaced the refresh token and the service does not know.
            lock (_lock)
            {
                _lostByAccident.Add(chain.Value);
                if (FaultyStore.Attempt is { } owner && _attempts.TryGetValue(owner, out var attempt))
                {
                    attempt.Unsaved = null;
                }
            }

            throw;
        }

        return response;
    }

    /// <summary>
    /// For one generation, a second attempt asks Wix only when the first has given its lease back or has outlived it; and
    /// a process that holds tokens it could not save yet asks for no others.
    /// </summary>
    private void Asked(Process process, string? owner)
    {
        lock (_lock)
        {
            if (process.IsFree)
            {
                return;
            }

            Ensure(owner is not null && _attempts.ContainsKey(owner), "Wix was asked without a lease.");
            var attempt = _attempts[owner!];
            var time = _clock.GetUtcNow();
            Ensure(_jumped || attempt.Until > time - _setBack, "Wix was asked after the end of the lease.");
            foreach (var other in _attempts.Values.Where(other => other != attempt && other.Generation == attempt.Generation && other.HasAsked))
            {
                Ensure(
                    _jumped || other.IsReleased || other.Until <= time + _setBack,
                    $"Two attempts ask for generation {attempt.Generation + 1} at once.");
                Ensure(
                    other.Process != process || other.Unsaved is null,
                    "The old refresh token was used while the new one was not saved.");
            }

            attempt.HasAsked = true;
        }
    }

    private (HttpResponseMessage Response, int? Chain) Carry(Process process, string path, JsonElement body)
    {
        lock (_lock)
        {
            if (path == "/oauth2/token")
            {
                return (StubWix.Tokens(NewAccess().Reveal(), expiresIn: 300), null);
            }

            var refresh = body.GetProperty("refresh_token").GetString()!;
            var chain = ChainOf(refresh)!.Value;
            if (_heads[chain] != refresh)
            {
                return (StubWix.Status(400), null);
            }

            Spends++;
            Tell($"{process.Name}: {refresh} is used");
            if (!rotates)
            {
                return (StubWix.Tokens(NewAccess().Reveal(), expiresIn: 300), null);
            }

            _heads[chain] = $"refresh-{chain}-{_issued + 1}";
            if (process.Lives)
            {
                if (FaultyStore.Attempt is { } owner && _attempts.TryGetValue(owner, out var attempt))
                {
                    attempt.Unsaved = chain;
                }
            }
            else
            {
                _lostByAccident.Add(chain);
            }

            return (StubWix.Tokens(NewAccess().Reveal(), _heads[chain], 300), chain);
        }
    }

    private string NewChain()
    {
        lock (_lock)
        {
            _heads.Add($"refresh-{_heads.Count}-0");
            return _heads[^1];
        }
    }

    private AccessToken NewAccess()
    {
        lock (_lock)
        {
            return new AccessToken($"access-{++_issued}");
        }
    }

    private static int? ChainOf(string? refresh) =>
        refresh is null ? null : int.Parse(refresh.Split('-')[1], System.Globalization.CultureInfo.InvariantCulture);

    private async Task<bool> IsRefreshTokenGoodAsync(Core core, Instance stored)
    {
        if (stored.Status == InstanceStatus.Removed || stored.Grant == Grant.ClientCredentials)
        {
            return true;
        }

        var refresh = await core.RefreshTokenOfAsync(_id);
        var chain = ChainOf(refresh);
        return chain is not null && (_heads[chain.Value] == refresh || IsLost(stored, chain));
    }

    private bool IsLost(Instance stored, int? chain) =>
        (chain is not null && _lostByAccident.Contains(chain.Value))
        || (stored.Grant == Grant.ClientCredentials && !fallback);

    private void Check()
    {
        lock (_lock)
        {
            _broken.AddRange(_processes.SelectMany(process => process.Core.Logs.Of(RefreshBroke)));
            _broken.AddRange(_callers.Where(caller => caller.Task.IsFaulted).Select(caller => caller.Task.Exception!.InnerException!.ToString()));
            Assert.True(_broken.Count == 0, string.Join('\n', _broken));
        }
    }

    // What is found inside a process must not be swallowed there.
    private void Ensure(bool holds, string otherwise)
    {
        if (!holds)
        {
            lock (_lock)
            {
                _story.Add($"!!! {otherwise}");
                _broken.Add(otherwise);
            }

            throw new InvalidOperationException(otherwise);
        }
    }

    private void Tell(string line)
    {
        lock (_lock)
        {
            _story.Add($"{_clock.GetUtcNow():mm:ss.fff} {line}");
        }
    }

    private sealed class Process(string name, Core core, FaultyStore store)
    {
        public string Name => name;

        public FaultyStore Store => store;

        public Core Core => core;

        public bool Lives { get; set; } = true;

        public bool IsFree { get; set; }
    }

    private sealed class Attempt(Process process, long generation)
    {
        public Process Process => process;

        public long Generation => generation;

        public DateTimeOffset Until { get; set; }

        public bool HasAsked { get; set; }

        public bool IsReleased { get; set; }

        /// <summary>The consent whose refresh token it has used and not saved the next one of.</summary>
        public int? Unsaved { get; set; }
    }

    private sealed record Parked(Process Process, Stop Stop, string What, TaskCompletionSource<int> Go);

    private sealed record Caller(Process Process, Task Task);
}
