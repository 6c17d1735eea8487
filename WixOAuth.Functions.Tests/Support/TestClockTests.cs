namespace WixOAuth.Functions.Tests.Support;

public class TestClockTests
{
    [Fact]
    public async Task Time_passes_as_long_as_the_work_lasts_though_a_thread_of_it_is_held_up()
    {
        var clock = TestClock.New();
        var goOn = TestClock.Start + TimeSpan.FromMinutes(10);

        // What a busy machine does to a thread of the pool: it stands still, while the clock's own goes on.
        var work = Task.Run(async () =>
        {
            Assert.True(SpinWait.SpinUntil(() => clock.GetUtcNow() >= goOn, TimeSpan.FromSeconds(60)));
            await Task.Delay(TimeSpan.FromSeconds(1), clock);
            return true;
        });

        Assert.True(await clock.RunAsync(work));
    }
}
