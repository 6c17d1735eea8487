using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Instances;
using WixOAuth.Maintenance;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Scale;

/// <summary>A stretch of simulated time.</summary>
/// <param name="Start">When counting begins.</param>
/// <param name="WarmUp">How long before that the world begins, so that it has settled.</param>
/// <param name="Length">How long is counted.</param>
internal sealed record Window(DateTimeOffset Start, TimeSpan WarmUp, TimeSpan Length);

/// <summary>What a window has shown.</summary>
/// <param name="Counts">The sums.</param>
/// <param name="Sweeps">Each sweep.</param>
/// <param name="Warm">How many sites had been asked for within IdleAfter when counting began.</param>
internal sealed record Observed(Counts Counts, IReadOnlyList<SweepSummary> Sweeps, int Warm);

/// <summary>
/// Sites that are in use, processes that sweep and one that answers GetToken (as on Flex Consumption, where timers, queues
/// and HTTP run on instances of their own), one store, one clock. All processes are the real service, but for the store's
/// memory, Wix and time. One process sweeps by the timer, several by messages for the shards.
/// </summary>
internal sealed class World : IDisposable
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan Tick = TimeSpan.FromMinutes(1);

    private readonly Window _window;
    private readonly SimulatedTime _time;
    private readonly Counts _counts = new();
    private readonly MemoryInstanceStore _memory = new();
    private readonly CountingStore _store;
    private readonly ModelledWix _wix;
    private readonly HttpClient _http;
    private readonly List<ServiceProvider> _sweeping;
    private readonly ServiceProvider _answering;
    private readonly TokenService _keeper;
    private readonly List<SweepSummary> _sweeps = [];
    private readonly TimeSpan _idleAfter;
    private readonly Grant _grant;
    private long _busySecond;
    private bool _isSweeping;

    public World(Window window, TimeSpan idleAfter, int concurrency, int instances = 1, Grant grant = Grant.RefreshToken)
    {
        _window = window;
        _idleAfter = idleAfter;
        _grant = grant;
        _time = new SimulatedTime(window.Start - window.WarmUp);
        _store = new CountingStore(_memory, _time, _counts);
        _wix = new ModelledWix(_time, _counts);
        _http = new HttpClient(_wix) { Timeout = Timeout.InfiniteTimeSpan };
        _sweeping = [.. Enumerable.Range(0, instances).Select(_ => BuildProcess(concurrency))];
        _answering = BuildProcess(concurrency);
        _keeper = _answering.GetRequiredService<TokenService>();
    }

    public async Task<Observed> RunAsync(int sites, int seed, Func<int, SiteUse> useOf)
    {
        var warm = await FurnishAsync(sites, new Random(seed), useOf);
        _store.IsOn = true;
        for (var at = _window.Start - _window.WarmUp; at < _window.Start + _window.Length; at += Tick)
        {
            _time.At(at, _ => _ = _sweeping.Count == 1 ? SweepAsync() : FanOutAsync(), null);
        }

        // As the host's background service does where nothing sweeps.
        for (var at = _window.Start - _window.WarmUp + (Tick / 2); at < _window.Start + _window.Length; at += RefreshHistory.Interval)
        {
            _time.At(at, _ => _ = _answering.GetRequiredService<RefreshHistory>().SaveAsync(CancellationToken.None), null);
        }

        await _time.RunUntilAsync(_window.Start);
        var before = _counts with { };
        _sweeps.Clear();
        await _time.RunUntilAsync(_window.Start + _window.Length);
        return new Observed(_counts.With(before, (after, until) => after - until), [.. _sweeps], warm);
    }

    public void Dispose()
    {
        _sweeping.ForEach(process => process.Dispose());
        _answering.Dispose();
        _http.Dispose();
        _wix.Dispose();
    }

    private ServiceProvider BuildProcess(int concurrency)
    {
        var settings = new Dictionary<string, string?>
        {
            ["Wix:AppId"] = "11111111-2222-4333-8444-555555555555",
            ["Wix:AppSecret"] = "the-app-secret",
            ["Wix:RedirectUrl"] = "https://tokens.example.com/api/redirect",
            ["Wix:PreferredGrant"] = _grant.ToString(),
            ["Tables:ConnectionString"] = "UseDevelopmentStorage=true",
            ["Tokens:ProtectionKey"] = Convert.ToBase64String(new byte[32]),
            ["Tokens:IdleAfter"] = _idleAfter.ToString("c"),
            ["Tokens:RefreshConcurrency"] = Format.Of(concurrency, "F0"),
        };
        var services = new ServiceCollection();
        services.AddSingleton<ILoggerFactory>(NullLoggerFactory.Instance).AddSingleton(typeof(ILogger<>), typeof(NullLogger<>));
        services.AddWixOAuth(new ConfigurationBuilder().AddInMemoryCollection(settings).Build());
        services
            .Replace(ServiceDescriptor.Singleton<TimeProvider>(_time))
            .Replace(ServiceDescriptor.Singleton<IInstanceStore>(_store))
            .Replace(ServiceDescriptor.Singleton<IConsumedStateStore>(_store))
            .Replace(ServiceDescriptor.Singleton<IRefreshTallyStore>(_store))
            .Replace(ServiceDescriptor.Singleton<ISweepStateStore>(_store))
            .Replace(ServiceDescriptor.Singleton<IKeyCheckStore>(_memory))
            .Replace(ServiceDescriptor.Singleton(provider => ActivatorUtilities.CreateInstance<WixTransport>(provider, _http, _http)));
        return services.BuildServiceProvider();
    }

    /// <summary>
    /// Brings every site to where its use of the day before has left it. Left out are those that nothing would happen
    /// to: not warm, not called and not due within the window. They cost nothing, which is what the due index is for.
    /// </summary>
    private async Task<int> FurnishAsync(int sites, Random random, Func<int, SiteUse> useOf)
    {
        var (begin, end) = (_time.GetUtcNow(), _window.Start + _window.Length);
        var (protector, schedule) = (_answering.GetRequiredService<TokenProtector>(), _answering.GetRequiredService<TokenSchedule>());
        var uses = _answering.GetRequiredService<LastUsedTracker>();
        var writeEvery = TimeSpan.FromTicks(Math.Min(TimeSpan.TicksPerHour, _idleAfter.Ticks / 2));
        var warm = 0;
        for (var number = 0; number < sites; number++)
        {
            var bytes = new byte[16];
            random.NextBytes(bytes);
            var id = new InstanceId(new Guid(bytes));
            var phase = random.NextDouble();
            var use = useOf(number);
            DateTimeOffset? called = null, written = null;
            var next = use.NextCall(begin - TimeSpan.FromDays(1));
            for (; next < begin; next = use.NextCall(next.Value))
            {
                called = next;
                written = written is null || called - written >= writeEvery ? called : written;
            }

            var isWarm = begin - called <= _idleAfter;
            var used = isWarm ? written : called;
            var instance = new Instance
            {
                Id = id,
                Status = InstanceStatus.Active,
                Generation = 1,
                LastUsedAt = used,
                InstalledAt = begin - TimeSpan.FromDays(100),
                ConsentedAt = begin - TimeSpan.FromDays(100),
                UpdatedAt = begin,
                Site = new Site(null, "A site", null),
                SetupCompletedAt = begin - TimeSpan.FromDays(100),
            };

            // A warm one was refreshed with a tick of the last four; another when it had become idle, or with a check since.
            var daily = schedule.DueAt(RefreshedAt(instance, begin), begin)!.Value - begin;
            var refreshedAt = isWarm ? begin - (Tick * (1 + (int)(phase * 4)))
                : called is { } last ? Earlier(last + _idleAfter, begin)
                : begin - (daily * phase);
            if (!isWarm && refreshedAt + daily <= begin)
            {
                refreshedAt += daily;
            }

            instance = RefreshedAt(instance, refreshedAt);
            instance = instance with { DueAt = schedule.DueAt(instance, begin) };
            warm += isWarm ? 1 : 0;
            if (!isWarm && !(next < end) && instance.DueAt > end)
            {
                continue;
            }

            var granted = new TokenAnswer.Granted(new AccessToken("access"), new RefreshToken("refresh"), refreshedAt, refreshedAt + Lifetime);
            var tokens = await InstanceTokens.SealAsync(protector, id, 1, granted, granted.RefreshToken);
            await _memory.TryWriteAsync(null, instance with { AccessToken = tokens.Access, RefreshToken = tokens.Refresh }, CancellationToken.None);
            if (used is { } at)
            {
                await _memory.SaveLastUseAsync(id, at, CancellationToken.None);
            }

            if (isWarm)
            {
                uses.Note(id, written!.Value);
                await SimulatedTime.RestAsync();
            }

            if (next is { } first && first < end)
            {
                Plan(id, use, first);
            }
        }

        return warm;
    }

    private void Plan(InstanceId id, SiteUse use, DateTimeOffset at)
    {
        _time.At(
            at,
            _ =>
            {
                _ = GetTokenAsync(id);
                if (use.NextCall(at) is { } next && next < _window.Start + _window.Length)
                {
                    Plan(id, use, next);
                }
            },
            null);
    }

    private async Task GetTokenAsync(InstanceId id)
    {
        var askedAt = _time.GetUtcNow();
        _counts.GetTokens++;
        if (_busySecond != askedAt.ToUnixTimeSeconds())
        {
            _busySecond = askedAt.ToUnixTimeSeconds();
            _counts.BusyHttpSeconds++;
        }

        var asking = _keeper.GetTokenAsync(id, TokenRequirements.Default, CancellationToken.None);
        if (!asking.IsCompleted)
        {
            _counts.AskedStorage++;
        }

        var result = await asking;
        _counts.Refused += result is TokenResult.Token ? 0 : 1;
        _counts.WaitedForWix += _time.GetUtcNow() - askedAt >= Model.WixLatency ? 1 : 0;
    }

    private async Task SweepAsync()
    {
        // The host starts no timer that still runs.
        if (_isSweeping)
        {
            return;
        }

        _isSweeping = true;
        Count([await _sweeping[0].GetRequiredService<RefreshSweep>().RunAsync(CancellationToken.None)]);
        _isSweeping = false;
    }

    /// <summary>Messages for all shards; each process takes a batch, and the next when it is done, as long as they live.</summary>
    private Task FanOutAsync()
    {
        var sentAt = _time.GetUtcNow();
        var messages = new Queue<InstanceShard>(InstanceShard.All);

        // batchSize: as many as it takes for every instance to have its share, and 4 at most.
        var batchSize = Math.Clamp(InstanceShard.Count / _sweeping.Count, 1, 4);
        return Task.WhenAll(_sweeping.Select(async process =>
        {
            var sweep = process.GetRequiredService<RefreshSweep>();
            while (messages.Count > 0 && _time.GetUtcNow() - sentAt < Tick)
            {
                var batch = new List<InstanceShard>();
                while (batch.Count < batchSize && messages.TryDequeue(out var shard))
                {
                    batch.Add(shard);
                }

                Count(await Task.WhenAll(batch.Select(shard => sweep.RunAsync(CancellationToken.None, shard))));
            }
        }));
    }

    // An instance is billed once for what it does at the same time.
    private void Count(SweepSummary[] atOnce)
    {
        _sweeps.AddRange(atOnce);
        _counts.Sweeps += atOnce.Length;
        _counts.SweepSeconds += atOnce.Max(summary => summary.Duration.TotalSeconds);
        _counts.SweptRefreshes += atOnce.Sum(summary => summary.Refreshed);
        _counts.CutOff += atOnce.Count(summary => summary.Duration >= RefreshSweep.LongestSweep);
    }

    private static Instance RefreshedAt(Instance instance, DateTimeOffset at) =>
        instance with { AccessTokenIssuedAt = at, AccessTokenExpiresOn = at + Lifetime, RefreshedAt = at };

    private static DateTimeOffset Earlier(DateTimeOffset one, DateTimeOffset other) => one < other ? one : other;
}
