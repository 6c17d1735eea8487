namespace WixOAuth.Functions.Tests.Support;

public class SingleThreadSynchronizationContextTests
{
    [Fact]
    public async Task A_turn_of_the_pool_comes_after_work_that_waits_already()
    {
        const int Waiting = 2_000;
        var done = 0;

        // From a thread of the pool, where what it queues for itself would come first.
        await Task.Run(async () =>
        {
            for (var number = 0; number < Waiting; number++)
            {
                ThreadPool.UnsafeQueueUserWorkItem(
                    _ =>
                    {
                        Thread.SpinWait(1_000);
                        Interlocked.Increment(ref done);
                    },
                    null);
            }

            await SingleThreadSynchronizationContext.OfThePoolAsync();
            Assert.InRange(Volatile.Read(ref done), Waiting / 2, Waiting);
        });
    }
}
