using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Instances;

public sealed class InstanceWriterTests
{
    [Fact]
    public async Task A_commit_makes_no_try_after_its_patience_while_the_storage_hangs()
    {
        var hang = TimeSpan.FromSeconds(20);
        var store = new WatchedStore(new MemoryInstanceStore());
        using var core = new Core(store);
        store.Before = async (_, _) =>
        {
            await Task.Delay(hang, core.Clock, CancellationToken.None);
            throw new StorageUnavailableException("The storage hangs.");
        };
        var instance = Samples.NewInstance();
        var startedAt = core.Clock.GetUtcNow();

        await Assert.ThrowsAsync<StorageUnavailableException>(
            () => core.RunAsync(() => core.Writer.CommitAsync(instance.Id, null, _ => instance), TimeSpan.FromMilliseconds(500)));

        Assert.Equal(2, store.Calls.Count);
        Assert.InRange(core.Clock.GetUtcNow() - startedAt, 2 * hang, InstanceWriter.PatientFor + hang);
    }
}
