namespace WixOAuth.Hosting;

/// <summary>
/// Lets one log line pass per minute, for what anybody can cause: one line for each time would let an attacker flood the logs.
/// </summary>
internal sealed class LogThrottle(TimeProvider time)
{
    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private long _passedAt;
    private int _suppressed;

    /// <summary>Whether to log now.</summary>
    /// <param name="suppressed">How many lines were kept back since the last one.</param>
    public bool TryPass(out int suppressed)
    {
        var now = time.GetUtcNow().UtcTicks;
        var passedAt = Volatile.Read(ref _passedAt);

        // A time in the future was written by a clock that has been set back since.
        if ((now - passedAt >= Interval.Ticks || now < passedAt) && Interlocked.CompareExchange(ref _passedAt, now, passedAt) == passedAt)
        {
            suppressed = Interlocked.Exchange(ref _suppressed, 0);
            return true;
        }

        Interlocked.Increment(ref _suppressed);
        suppressed = 0;
        return false;
    }
}
