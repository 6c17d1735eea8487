using WixOAuth.Functions.Tests.Support;
using WixOAuth.Hosting;

namespace WixOAuth.Functions.Tests.Hosting;

public sealed class SharedResultTests
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly TaskCompletionSource<int> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _computed;

    [Fact]
    public async Task A_caller_who_leaves_does_not_end_the_computation_for_others()
    {
        var result = new SharedResult<int>(TestClock.New(), TimeSpan.FromSeconds(10));
        using var leaving = new CancellationTokenSource();
        var one = result.GetAsync(ComputeAsync, forceRefresh: false, leaving.Token);
        var other = result.GetAsync(ComputeAsync, forceRefresh: false, None);

        leaving.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => one);
        _first.SetResult(1);

        Assert.Equal(1, await other);
        Assert.Equal(1, await result.GetAsync(ComputeAsync, forceRefresh: false, None));
        Assert.Equal(2, await result.GetAsync(ComputeAsync, forceRefresh: true, None));
    }

    [Fact]
    public async Task A_failure_is_not_kept()
    {
        var result = new SharedResult<int>(TestClock.New(), TimeSpan.FromSeconds(10));
        _first.SetException(new InvalidOperationException());

        await Assert.ThrowsAsync<InvalidOperationException>(() => result.GetAsync(ComputeAsync, forceRefresh: false, None));

        Assert.Equal(2, await result.GetAsync(ComputeAsync, forceRefresh: false, None));
    }

    [Fact]
    public async Task A_cancelled_computation_is_not_kept()
    {
        var result = new SharedResult<int>(TestClock.New(), TimeSpan.FromSeconds(10));
        _first.SetCanceled();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => result.GetAsync(ComputeAsync, forceRefresh: false, None));

        Assert.Equal(2, await result.GetAsync(ComputeAsync, forceRefresh: false, None));
    }

    [Fact]
    public async Task A_result_is_kept_for_its_time_or_until_the_clock_is_set_back()
    {
        var clock = TestClock.New();
        var result = new SharedResult<int>(clock, TimeSpan.FromSeconds(10));
        _first.SetResult(1);

        Assert.Equal(1, await result.GetAsync(ComputeAsync, forceRefresh: false, None));
        clock.Advance(TimeSpan.FromSeconds(10) - TimeSpan.FromTicks(1));
        Assert.Equal(1, await result.GetAsync(ComputeAsync, forceRefresh: false, None));
        clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(2, await result.GetAsync(ComputeAsync, forceRefresh: false, None));
        clock.AdjustTime(clock.GetUtcNow() - TimeSpan.FromDays(1));
        Assert.Equal(3, await result.GetAsync(ComputeAsync, forceRefresh: false, None));
    }

    private Task<int> ComputeAsync() => Interlocked.Increment(ref _computed) is > 1 and var number ? Task.FromResult(number) : _first.Task;
}
