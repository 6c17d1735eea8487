using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Storage;

public sealed class MemoryInstanceStoreTests : InstanceStoreConformance
{
    private protected override Task<IInstanceStore> CreateAsync() => Task.FromResult<IInstanceStore>(new MemoryInstanceStore());
}
