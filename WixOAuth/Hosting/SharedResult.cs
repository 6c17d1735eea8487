namespace WixOAuth.Hosting;

/// <summary>Caches the result of a computation and shares it between callers. A failure is not cached.</summary>
internal sealed class SharedResult<T>(TimeProvider time, TimeSpan keptFor)
{
    private readonly Lock _lock = new();
    private (DateTimeOffset At, Task<T> Result)? _last;

    /// <summary>The last result, or a new one when that is too old.</summary>
    /// <param name="compute">The computation. No caller's cancellation reaches it, because others wait for it too.</param>
    /// <param name="forceRefresh">Whether to compute it although the last result is recent.</param>
    /// <param name="cancellationToken">Ends the wait only.</param>
    public Task<T> GetAsync(Func<Task<T>> compute, bool forceRefresh, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            var now = time.GetUtcNow();

            // A time in the future was written by a clock that has been set back since.
            if (forceRefresh || _last is not { } last || now - last.At >= keptFor || now < last.At || last.Result is { IsCompleted: true, IsCompletedSuccessfully: false })
            {
                _last = last = (now, ComputeAsync(compute));
            }

            return last.Result.WaitAsync(cancellationToken);
        }
    }

    // Outside the lock.
    private static async Task<T> ComputeAsync(Func<Task<T>> compute)
    {
        await Task.Yield();
        return await compute();
    }
}
