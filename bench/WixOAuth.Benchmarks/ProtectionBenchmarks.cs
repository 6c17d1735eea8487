using BenchmarkDotNet.Attributes;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;

namespace WixOAuth.Benchmarks;

/// <summary>What a refresh and a redirect spend on encryption.</summary>
[MemoryDiagnoser]
public class ProtectionBenchmarks
{
    private static readonly byte[] s_payload = new byte[24];

    private readonly InstanceId _id = new(Guid.NewGuid());
    private readonly AccessToken _token = Service.NewAccessToken();
    private Service _service = null!;
    private TokenProtector _tokens = null!;
    private StateProtector _states = null!;
    private ProtectedText _sealed = null!;
    private string _state = "";

    [GlobalSetup]
    public async Task Setup()
    {
        _service = new Service();
        (_tokens, _states) = (_service.Get<TokenProtector>(), _service.Get<StateProtector>());
        (_sealed, _state) = (await SealAsync(), await ProtectStateAsync());
        if (await UnsealAsync() is null || await UnprotectStateAsync() is null)
        {
            throw new InvalidOperationException("What was sealed does not open.");
        }
    }

    [GlobalCleanup]
    public void Cleanup() => _service.Dispose();

    [Benchmark(Description = "Seal a token of 1,400 characters")]
    public async ValueTask SealTokenAsync() => await SealAsync();

    [Benchmark(Description = "Unseal it")]
    public async ValueTask UnsealTokenAsync() => await UnsealAsync();

    [Benchmark(Description = "Protect a state")]
    public ValueTask<string> ProtectStateAsync() => _states.ProtectAsync(StatePurpose.InstallState, s_payload, default, CancellationToken.None);

    [Benchmark(Description = "Unprotect it")]
    public ValueTask<byte[]?> UnprotectStateAsync() => _states.UnprotectAsync(StatePurpose.InstallState, _state, default, CancellationToken.None);

    private ValueTask<ProtectedText> SealAsync() => _tokens.ProtectAsync(_id, TokenField.AccessToken, 1, _token, CancellationToken.None);

    private ValueTask<AccessToken?> UnsealAsync() => _tokens.UnprotectAccessTokenAsync(_id, 1, _sealed, CancellationToken.None);
}
