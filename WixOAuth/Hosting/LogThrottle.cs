namespace WixOAuth.Hosting;

/// <summary>
/// Limits how often an event that anybody can cause is logged: without a limit, an attacker could flood the logs.
/// </summary>
internal sealed class LogThrottle(TimeProvider time, int most = 1)
{
    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private long? _beganAt;
    private int _lines;

    /// <param name="suppressed">How many lines were suppressed in the previous minute; reported once.</param>
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
