using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Wix;

/// <summary>
/// Logs failed calls with Wix's request id, by which Wix's support finds them. Bounded for each endpoint, because anybody
/// can cause failing exchanges, which must not hide other failures.
/// </summary>
internal sealed class FailedCallLog(TimeProvider time, ILogger logger)
{
    /// <summary>How many lines are written in a minute for one endpoint at most, one more for those left out before.</summary>
    public const int MostEachMinute = 8;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Minute> _minutes = new(StringComparer.Ordinal);

    /// <summary>Logs a failed call, unless the endpoint has had its lines in this minute.</summary>
    public void Add(string endpoint, string outcome, int? status, string? requestId)
    {
        int notLogged;
        lock (_lock)
        {
            ref var minute = ref CollectionsMarshal.GetValueRefOrAddDefault(_minutes, endpoint, out var exists);
            notLogged = 0;
            if (!exists || time.GetElapsedTime(minute.Began) >= TimeSpan.FromMinutes(1))
            {
                notLogged = minute.Calls - MostEachMinute;
                minute = new Minute(time.GetTimestamp(), 0);
            }

            minute = minute with { Calls = minute.Calls + 1 };
            if (minute.Calls > MostEachMinute)
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

    private record struct Minute(long Began, int Calls);
}
