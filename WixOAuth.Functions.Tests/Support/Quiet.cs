using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>For tests that have to know when all that can happen has happened; they run alone.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Quiet : ICollectionFixture<AzuriteFixture>
{
    public const string Name = "Quiet";

    private static readonly TimeSpan Long = TimeSpan.FromMilliseconds(40);

    // Threads of the pool that the test framework keeps for itself, as far as seen.
    private static int s_others = int.MaxValue;
    private static int s_inARow;

    private static readonly Lazy<Task> s_warmedUp = new(WarmUpOnceAsync);

    /// <summary>Has the compiler and the exceptions over with, which would take longer than is waited for.</summary>
    public static Task WarmUpAsync() => s_warmedUp.Value;

    /// <summary>
    /// Returns when nothing runs on the thread pool any more, so that fake time does not pass under work that only waits
    /// for its turn, or for the compiler.
    /// </summary>
    public static async Task SettleAsync(Func<bool>? isBusy = null)
    {
        var startedAt = TimeProvider.System.GetTimestamp();
        for (var quiet = 0; quiet < 4; quiet++)
        {
            await Task.Run(static () => { }).ConfigureAwait(false);
            ThreadPool.GetMaxThreads(out var all, out _);
            ThreadPool.GetAvailableThreads(out var free, out _);
            var running = all - free;
            s_others = Math.Min(s_others, running);
            if (ThreadPool.PendingWorkItemCount > 0 || running > s_others || isBusy?.Invoke() == true)
            {
                quiet = -1;
                if (TimeProvider.System.GetElapsedTime(startedAt) > Long && isBusy?.Invoke() != true)
                {
                    // Once it was something slow; time and again it is another thread that the framework keeps.
                    s_others += ++s_inARow % 3 == 0 ? 1 : 0;
                    return;
                }
            }
        }

        s_inARow = 0;
    }

    private static async Task WarmUpOnceAsync()
    {
        using var core = new Core(new FaultyStore(new MemoryInstanceStore()));
        core.Wix.Answer = async (_, _, cancellation) =>
        {
            await Task.Delay(Timeout.InfiniteTimeSpan, core.Clock, cancellation);
            return StubWix.Status(500);
        };
        var id = Core.NewId();
        await core.InstallAsync(id);
        core.Clock.Advance(TimeSpan.FromMinutes(10));
        await core.Clock.RunAsync(core.GetAsync(id));
        ((FaultyStore)core.Store).FailAll();
        await core.Clock.RunAsync(core.GetAsync(id));
        await SettleAsync();
    }
}
