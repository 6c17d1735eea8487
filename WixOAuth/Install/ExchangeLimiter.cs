using System.Threading.RateLimiting;

namespace WixOAuth.Install;

/// <summary>
/// Bounds the redirects that spend a code, and the buttons of links, in this process. Anybody can get a state, so without
/// a limit anybody could make us call Wix and write rows as fast as we can.
/// </summary>
internal sealed class ExchangeLimiter(TimeProvider time) : IDisposable
{
    public const int MaxConcurrent = 20;
    public const int MaxPerSecond = 50;
    public const int MaxWaiting = 200;

    public static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5);

    // Holding each permit at least this long turns the concurrency limit into a rate limit.
    private static readonly TimeSpan ShortestHold = TimeSpan.FromSeconds((double)MaxConcurrent / MaxPerSecond);

    private readonly ConcurrencyLimiter _limiter = new(new ConcurrencyLimiterOptions
    {
        PermitLimit = MaxConcurrent,
        QueueLimit = MaxWaiting,
        QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
    });

    /// <summary>Waits for its turn; null when too many wait already or it took too long.</summary>
    /// <returns>Dispose it when Wix has answered.</returns>
    /// <exception cref="OperationCanceledException">The caller left.</exception>
    public async ValueTask<IDisposable?> TryEnterAsync(CancellationToken cancellationToken)
    {
        using var inTime = new CancellationTokenSource(LongestWait, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        try
        {
            var lease = await _limiter.AcquireAsync(1, until.Token);
            return lease.IsAcquired ? new Permit(lease, time) : null;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    public void Dispose() => _limiter.Dispose();

    private sealed class Permit(RateLimitLease lease, TimeProvider time) : IDisposable
    {
        private readonly long _takenAt = time.GetTimestamp();
        private int _returned;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _returned, 1) == 0)
            {
                _ = ReturnAsync();
            }
        }

        private async Task ReturnAsync()
        {
            if (ShortestHold - time.GetElapsedTime(_takenAt) is var rest && rest > TimeSpan.Zero)
            {
                await Task.Delay(rest, time);
            }

            lease.Dispose();
        }
    }
}
