namespace WixOAuth.Hosting;

/// <summary>
/// Lets a few log lines pass per minute, for what anybody can cause: one line for each time would let an attacker flood the logs.
/// </summary>
internal sealed class LogThrottle(TimeProvider time, int most = 1)
{
    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private long? _beganAt;
    private int _lines;

    /// <param name="suppressed">How many lines were kept back in the minute before; told once.</param>
    public bool TryPass(out int suppressed)
    {
        lock (_lock)
        {
            suppressed = 0;
            if (_beganAt is not { } beganAt || time.GetElapsedTime(beganAt) >= Interval)
            {
                suppressed = Math.Max(0, _lines - most);
                (_beganAt, _lines) = (time.GetTimestamp(), 0);
            }

            return ++_lines <= most;
        }
    }
}
