using Microsoft.Extensions.Time.Testing;

namespace WixOAuth.Functions.Tests.Support;

public static class TestClock
{
    public static readonly DateTimeOffset Start = new(2026, 5, 4, 3, 2, 1, TimeSpan.Zero);

    public static FakeTimeProvider New() => new(Start);

    /// <summary>
    /// Lets time pass in small steps until the work has ended. For work that waits for the clock and for nothing else.
    /// </summary>
    public static async Task<T> RunAsync<T>(this FakeTimeProvider clock, Task<T> work, TimeSpan? step = null, int steps = 10_000)
    {
        for (var i = 0; !work.IsCompleted && i < steps; i++)
        {
            // Continuations run on the pool: give them their turn before time passes on.
            for (var turn = 0; turn < 20 && !work.IsCompleted; turn++)
            {
                await Task.Yield();
            }

            clock.Advance(step ?? TimeSpan.FromMilliseconds(50));
        }

        return await work.WaitAsync(TimeSpan.FromSeconds(30));
    }
}
