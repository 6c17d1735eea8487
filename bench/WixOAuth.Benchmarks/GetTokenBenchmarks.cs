using BenchmarkDotNet.Attributes;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Benchmarks;

/// <summary>What a caller of GetToken waits for when this process knows the answer. The goal: 100 ns, 0 B.</summary>
[MemoryDiagnoser]
public class GetTokenBenchmarks
{
    private readonly TokenRequirements _tenSeconds = TokenRequirements.LivingFor(TimeSpan.FromSeconds(10), null);
    private Service _service = null!;
    private TokenService _tokens = null!;
    private IInstanceStore _store = null!;
    private InstanceId _id;

    [GlobalSetup]
    public async Task Setup()
    {
        _service = new Service();
        (_tokens, _store, _id) = (_service.Get<TokenService>(), _service.Get<IInstanceStore>(), await _service.InstallAsync());
        await FromMemoryAsync();
    }

    [GlobalCleanup]
    public void Cleanup() => _service.Dispose();

    // Every five minutes one is read again: one call in many millions.
    [Benchmark(Baseline = true, Description = "GetToken from memory")]
    public async ValueTask FromMemoryAsync() => await _tokens.GetTokenAsync(_id, TokenRequirements.Default, CancellationToken.None);

    [Benchmark(Description = "GetToken from memory, with min_ttl")]
    public async ValueTask FromMemoryWithMinTtlAsync() => await _tokens.GetTokenAsync(_id, _tenSeconds, CancellationToken.None);

    [Benchmark(Description = "Read an instance from the memory store")]
    public async Task<object?> FindAsync() => await _store.FindAsync(_id, CancellationToken.None);
}
