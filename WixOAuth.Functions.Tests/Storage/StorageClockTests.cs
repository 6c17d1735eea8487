using WixOAuth.Functions.Tests.Support;
using WixOAuth.Storage;

namespace WixOAuth.Functions.Tests.Storage;

public sealed class StorageClockTests
{
    [Fact]
    public void A_time_that_cannot_be_moved_is_unreadable()
    {
        var time = TestClock.New();
        var clock = new StorageClock(time);
        clock.Observe(time.GetUtcNow().AddHours(-1));
        var instance = Samples.NewInstance() with { AccessTokenIssuedAt = time.GetUtcNow(), AccessTokenExpiresOn = DateTimeOffset.MaxValue };

        var raised = Assert.Throws<InvalidDataException>(() => clock.FromStored(instance, time.GetUtcNow()));

        Assert.Contains($"'i|{instance.Id}'", raised.Message, StringComparison.Ordinal);
    }
}
