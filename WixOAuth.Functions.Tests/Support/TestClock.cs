using Microsoft.Extensions.Time.Testing;

namespace WixOAuth.Functions.Tests.Support;

internal static class TestClock
{
    public static readonly DateTimeOffset Start = new(2026, 5, 4, 3, 2, 1, TimeSpan.Zero);

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_longestRest = TimeSpan.FromSeconds(20);

    public static FakeTimeProvider New() => new(Start);

    /// <summary>
    /// Lets time pass in small steps until the work has ended. For work that waits for the clock and for nothing else.
    /// </summary>
    /// <remarks>
    /// Where the work was begun turn by turn (<see cref="SingleThreadSynchronizationContext"/>), time passes only while it waits. Where it is on
    /// the thread pool, as a sweep's is, time may also pass while the machine keeps a thread of it waiting, by minutes.
    /// </remarks>
    /// <exception cref="TimeoutException">The work has not ended after five minutes of real time.</exception>
    public static async Task<T> RunAsync<T>(this FakeTimeProvider clock, Task<T> work, TimeSpan? step = null)
    {
        var startedAt = TimeProvider.System.GetTimestamp();
        while (!work.IsCompleted)
        {
            await RestAsync(work);
            if (TimeProvider.System.GetElapsedTime(startedAt) > s_patience)
            {
                throw new TimeoutException($"The work has not ended, though the clock was set forward to {clock.GetUtcNow():O}.");
            }

            if (!work.IsCompleted)
            {
                clock.Advance(step ?? TimeSpan.FromMilliseconds(50));
            }
        }

        return await work;
    }

    // Continuations run on the pool: time must not pass on before they had their turn. Tests run one at a time, so a pool
    // at rest means that all that can happen has happened, unless the machine keeps a thread waiting in the middle.
    private static async Task RestAsync(Task work)
    {
        var startedAt = TimeProvider.System.GetTimestamp();
        for (var quiet = 0; quiet < 10 && !work.IsCompleted; quiet++)
        {
            await SingleThreadSynchronizationContext.OfThePoolAsync().ConfigureAwait(false);
            if ((ThreadPool.PendingWorkItemCount > 0 || !SingleThreadSynchronizationContext.AreOver) && TimeProvider.System.GetElapsedTime(startedAt) < s_longestRest)
            {
                quiet = -1;
            }
        }
    }
}
