using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Storage;

public sealed class MemoryInstanceStoreTests : InstanceStoreConformance
{
    protected override Task<IInstanceStore> CreateAsync() => Task.FromResult<IInstanceStore>(new MemoryInstanceStore());
}
