using Microsoft.Extensions.Logging;

namespace WixOAuth.Wix;

/// <summary>
/// Logs failed calls with Wix's request id, by which Wix's support finds them. Bounded, because anybody can cause
/// exchanges that fail.
/// </summary>
internal sealed class FailedCallLog(TimeProvider time, ILogger logger)
{
    /// <summary>How many lines are written in a minute at most.</summary>
    public const int MostEachMinute = 30;

    private readonly Lock _lock = new();
    private long? _minuteBegan;
    private int _inThisMinute;

    /// <summary>Logs a failed call, unless the minute has had its lines.</summary>
    public void Add(string endpoint, string outcome, int? status, string? requestId)
    {
        int notLogged;
        lock (_lock)
        {
            notLogged = BeginMinuteIfOver();
            if (++_inThisMinute > MostEachMinute)
            {
                return;
            }
        }

        if (notLogged > 0)
        {
            logger.CallsNotLogged(notLogged);
        }

        logger.CallFailed(endpoint, outcome, status, requestId);
    }

    private int BeginMinuteIfOver()
    {
        if (_minuteBegan is { } began && time.GetElapsedTime(began) < TimeSpan.FromMinutes(1))
        {
            return 0;
        }

        var notLogged = _inThisMinute - MostEachMinute;
        (_minuteBegan, _inThisMinute) = (time.GetTimestamp(), 0);
        return notLogged;
    }
}
