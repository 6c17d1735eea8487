using WixOAuth.Functions.Tests.Support;
using WixOAuth.Install;

namespace WixOAuth.Functions.Tests.Install;

/// <summary>How many codes are exchanged, and who waits.</summary>
public sealed class ExchangeLimiterTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly Core _core = new();

    private ExchangeLimiter Limiter => _core.Limiter;

    public void Dispose() => _core.Dispose();

    [Fact]
    public async Task Twenty_are_let_in_two_hundred_wait_and_the_next_is_refused_at_once()
    {
        await EnterAsync(ExchangeLimiter.MaxConcurrent);
        var waiting = Enumerable.Range(0, ExchangeLimiter.MaxWaiting).Select(_ => Limiter.TryEnterAsync(None).AsTask()).ToList();

        Assert.Null(await Limiter.TryEnterAsync(None));
        Assert.All(waiting, turn => Assert.False(turn.IsCompleted));
    }

    [Fact]
    public async Task The_one_that_waits_longest_is_next()
    {
        var inside = await EnterAsync(ExchangeLimiter.MaxConcurrent);
        var first = Limiter.TryEnterAsync(None).AsTask();
        var second = Limiter.TryEnterAsync(None).AsTask();
        _core.Clock.Advance(TimeSpan.FromSeconds(1));

        inside[0].Dispose();

        Assert.NotNull(await first);
        Assert.False(second.IsCompleted);
    }

    [Fact]
    public async Task A_wait_ends_after_five_seconds()
    {
        await EnterAsync(ExchangeLimiter.MaxConcurrent);
        var waiting = Limiter.TryEnterAsync(None).AsTask();

        _core.Clock.Advance(ExchangeLimiter.LongestWait - TimeSpan.FromTicks(1));
        Assert.False(waiting.IsCompleted);
        _core.Clock.Advance(TimeSpan.FromTicks(1));

        Assert.Null(await waiting);
    }

    [Fact]
    public async Task A_caller_that_leaves_gives_up_its_place()
    {
        var inside = await EnterAsync(ExchangeLimiter.MaxConcurrent);
        using var leaving = new CancellationTokenSource();
        var left = Limiter.TryEnterAsync(leaving.Token).AsTask();
        var next = Limiter.TryEnterAsync(None).AsTask();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);

        _core.Clock.Advance(TimeSpan.FromSeconds(1));
        inside[0].Dispose();

        Assert.NotNull(await next);
    }

    // Three clients that ask again as soon as they are answered, by a Wix that answers at once.
    [Fact]
    public async Task In_a_minute_no_more_than_fifty_a_second_are_let_in_however_fast_Wix_answers()
    {
        var letIn = 0;
        var start = _core.Clock.GetUtcNow();
        var clients = Enumerable.Range(0, 60).Select(_ => AttackAsync()).ToList();
        while (_core.Clock.GetUtcNow() - start < TimeSpan.FromMinutes(1))
        {
            _core.Clock.Advance(TimeSpan.FromMilliseconds(100));
            await SingleThreadSynchronizationContext.SettleAsync(isBusy: () => false);
        }

        Assert.InRange(letIn, 2_500, (ExchangeLimiter.MaxPerSecond * 60) + ExchangeLimiter.MaxConcurrent);
        GC.KeepAlive(clients);

        async Task AttackAsync()
        {
            while (_core.Clock.GetUtcNow() - start < TimeSpan.FromMinutes(1))
            {
                using var turn = await Limiter.TryEnterAsync(None);
                letIn += turn is null ? 0 : 1;
            }
        }
    }

    [Fact]
    public async Task A_turn_that_is_given_back_twice_counts_once()
    {
        var inside = await EnterAsync(ExchangeLimiter.MaxConcurrent);
        _core.Clock.Advance(TimeSpan.FromSeconds(1));

        inside[0].Dispose();
        inside[0].Dispose();

        Assert.NotNull(await Limiter.TryEnterAsync(None));
        Assert.False(Limiter.TryEnterAsync(None).AsTask().IsCompleted);
    }

    private async Task<List<IDisposable>> EnterAsync(int count)
    {
        List<IDisposable> turns = [];
        for (var number = 0; number < count; number++)
        {
            turns.Add((await Limiter.TryEnterAsync(None))!);
        }

        Assert.DoesNotContain(null, turns);
        return turns;
    }
}
