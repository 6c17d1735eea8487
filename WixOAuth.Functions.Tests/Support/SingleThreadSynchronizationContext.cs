using System.Collections.Concurrent;
using System.Diagnostics;
using ThreadState = System.Diagnostics.ThreadState;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>
/// Runs asynchronous work on one separate thread, one continuation at a time, so that a test knows when none of it can
/// continue: what is left then waits for the clock or for a gate of the test. The thread pool cannot show that.
/// </summary>
internal sealed class SingleThreadSynchronizationContext : SynchronizationContext, IDisposable
{
    /// <summary>How long a test waits until nothing can continue.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    // Counted over all contexts: one may wait for work on another. Only one test runs at a time.
    private static int s_left;

    private readonly BlockingCollection<(SendOrPostCallback Turn, object? State)> _turns = [];

    public SingleThreadSynchronizationContext()
    {
        new Thread(Run) { IsBackground = true, Name = nameof(SingleThreadSynchronizationContext) }.Start();
    }

    /// <summary>Whether no continuation is left in any context.</summary>
    public static bool AreOver => Volatile.Read(ref s_left) == 0;

    public override void Post(SendOrPostCallback d, object? state)
    {
        Interlocked.Increment(ref s_left);
        try
        {
            _turns.Add((d, state));
        }
        catch (InvalidOperationException)
        {
            // The test is over; the work that it left behind stops.
            Interlocked.Decrement(ref s_left);
        }
    }

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException();

    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Starts work, which then runs one continuation at a time.</summary>
    public Task<T> Begin<T>(Func<Task<T>> work)
    {
        var ended = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(_ => _ = RunAsync(), null);
        return ended.Task;

        // It ends in a continuation: after a wait until there are none it has ended.
        async Task RunAsync()
        {
            try
            {
                ended.SetResult(await work());
            }
            catch (OperationCanceledException exception)
            {
                ended.SetCanceled(exception.CancellationToken);
            }
            catch (Exception exception)
            {
                ended.SetException(exception);
            }
        }
    }

    /// <summary>Starts work, which then runs one continuation at a time.</summary>
    public Task Begin(Func<Task> work) => Begin(async () =>
    {
        await work();
        return true;
    });

    /// <summary>Returns when no continuation is left here or on the thread pool.</summary>
    /// <param name="isBusy">Whether something outside is working and will post a continuation.</param>
    public static async Task SettleAsync(Func<bool> isBusy)
    {
        var since = TimeProvider.System.GetTimestamp();

        // Twice, because a thread may wake another one while the threads are looked at.
        for (var quiet = 0; quiet < 2; quiet++)
        {
            if (TimeProvider.System.GetElapsedTime(since) > Patience)
            {
                throw new TimeoutException(
                    $"It does not come to rest: {s_left} turns, {(isBusy() ? "busy" : "not busy")}, {ThreadPool.PendingWorkItemCount} on the pool.");
            }

            await OfThePoolAsync().ConfigureAwait(false);
            if (IsWorkLeft() || IsAnotherThreadRunning() || IsWorkLeft())
            {
                quiet = -1;
            }
        }

        bool IsWorkLeft() => !AreOver || isBusy() || ThreadPool.PendingWorkItemCount > 0;
    }

    /// <summary>
    /// Returns when the thread pool has taken up what waits for it now. Fairly: what a thread of the pool queues comes
    /// before all that others have queued, or else whoever asks here again and again keeps just those from their turn.
    /// </summary>
    public static Task OfThePoolAsync() =>
        Task.Factory.StartNew(static () => { }, CancellationToken.None, TaskCreationOptions.PreferFairness, TaskScheduler.Default);

    public void Dispose() => _turns.CompleteAdding();

    // Counts a thread that the machine keeps waiting, too: no count of the thread pool shows it.
    private static bool IsAnotherThreadRunning()
    {
        using var process = Process.GetCurrentProcess();
        return process.Threads.Cast<ProcessThread>().Count(thread => thread.ThreadState is ThreadState.Running or ThreadState.Ready) > 1;
    }

    private void Run()
    {
        SetSynchronizationContext(this);
        foreach (var (turn, state) in _turns.GetConsumingEnumerable())
        {
            turn(state);
            Interlocked.Decrement(ref s_left);
        }
    }
}
