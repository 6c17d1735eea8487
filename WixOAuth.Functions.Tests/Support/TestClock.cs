using Microsoft.Extensions.Time.Testing;

namespace WixOAuth.Functions.Tests.Support;

internal static class TestClock
{
    public static readonly DateTimeOffset Start = new(2026, 5, 4, 3, 2, 1, TimeSpan.Zero);

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    public static FakeTimeProvider New() => new(Start);

    /// <summary>
    /// Lets time pass in small steps until the work has ended. For work that waits for the clock and for nothing else.
    /// </summary>
    /// <exception cref="TimeoutException">The work has not ended after five minutes of real time.</exception>
    public static async Task<T> RunAsync<T>(this FakeTimeProvider clock, Task<T> work, TimeSpan? step = null)
    {
        var startedAt = TimeProvider.System.GetTimestamp();
        while (!work.IsCompleted)
        {
            await SingleThreadSynchronizationContext.SettleAsync(() => false);
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
}
