namespace WixOAuth.Functions.Tests.Support;

/// <summary>Tells when the thread pool has nothing to do but to ask here.</summary>
internal static class PoolWatch
{
    /// <summary>A thread that is busy for longer, although nothing is queued, is taken to be blocked, as some of the test runner are.</summary>
    private static readonly TimeSpan s_longestTurn = TimeSpan.FromMilliseconds(250);

    private static readonly Lock s_lock = new();
    private static int s_blocked;
    private static long s_restedAt;

    /// <summary>
    /// Whether nothing is queued and no thread works. An empty queue is not enough: a thread that has to compile what it took from
    /// there is at it for tens of milliseconds.
    /// </summary>
    public static bool IsAtRest()
    {
        ThreadPool.GetMaxThreads(out var most, out _);
        ThreadPool.GetAvailableThreads(out var available, out _);
        var (busy, isQueueEmpty) = (most - available, ThreadPool.PendingWorkItemCount == 0);
        lock (s_lock)
        {
            if (isQueueEmpty && (busy <= s_blocked || TimeProvider.System.GetElapsedTime(s_restedAt) > s_longestTurn))
            {
                (s_blocked, s_restedAt) = (busy, TimeProvider.System.GetTimestamp());
                return true;
            }

            if (!isQueueEmpty)
            {
                s_restedAt = TimeProvider.System.GetTimestamp();
            }

            return false;
        }
    }
}
