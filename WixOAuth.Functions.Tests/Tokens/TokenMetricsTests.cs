using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class TokenMetricsTests : IDisposable
{
    private readonly Core _core = new();
    private readonly Measured _measured;

    public TokenMetricsTests() => _measured = new Measured(_core);

    private TokenMetrics Metrics => _core.Get<TokenMetrics>();

    public void Dispose()
    {
        _measured.Dispose();
        _core.Dispose();
    }

    [Fact]
    public void Every_result_of_a_request_has_its_outcome()
    {
        var now = TestClock.Start;
        TokenResult[] results =
        [
            new TokenResult.Token(Core.NewId(), new AccessToken("access-1"), now, now.AddMinutes(5), 1, now),
            new TokenResult.Unknown(),
            new TokenResult.Removed(),
            new TokenResult.ReinstallRequired(),
            new TokenResult.WixUnavailable(TimeSpan.FromSeconds(1)),
            new TokenResult.StorageUnavailable(),
        ];

        foreach (var result in results)
        {
            Metrics.Answered(result, TokenSource.Storage);
        }

        Metrics.Answered(results[0], TokenSource.Memory);
        Metrics.Answered(results[0], TokenSource.Refresh);
        Assert.Equal(
            new()
            {
                ["outcome=ok source=storage"] = 1,
                ["outcome=ok source=memory"] = 1,
                ["outcome=ok source=refresh"] = 1,
                ["outcome=unknown_instance source=storage"] = 1,
                ["outcome=app_removed source=storage"] = 1,
                ["outcome=reinstall_required source=storage"] = 1,
                ["outcome=wix_unavailable source=storage"] = 1,
                ["outcome=storage_unavailable source=storage"] = 1,
            },
            _measured.Of("wixoauth.token.requests"));
    }

    [Theory]
    [InlineData(SecretProof.Since, "proven")]
    [InlineData(SecretProof.Recent, "proven")]
    [InlineData(SecretProof.Suspect, "suspect")]
    [InlineData(SecretProof.TooFewSites, "too_few_sites")]
    [InlineData(SecretProof.Unknown, "unknown")]
    internal void Every_proof_has_its_outcome(SecretProof proof, string outcome)
    {
        Metrics.Probed(proof);

        Assert.Equal(new() { [$"outcome={outcome}"] = 1 }, _measured.Of("wixoauth.app_secret.probes"));
    }

    [Theory]
    [InlineData(null, RefreshTokenFaultKind.Rejected, "rejected")]
    [InlineData(null, RefreshTokenFaultKind.Unreadable, "unreadable")]
    [InlineData(RefreshTokenFaultKind.Rejected, RefreshTokenFaultKind.Unreadable, "unreadable")]
    [InlineData(RefreshTokenFaultKind.Rejected, null, "recovered")]
    [InlineData(RefreshTokenFaultKind.Rejected, RefreshTokenFaultKind.Rejected, null)]
    [InlineData(null, null, null)]
    internal void A_refresh_token_is_counted_when_it_goes_out_of_use_and_when_it_comes_back(
        RefreshTokenFaultKind? before, RefreshTokenFaultKind? after, string? outcome)
    {
        Metrics.RefreshTokenTried(FaultOf(before), FaultOf(after));

        Assert.Equal(
            outcome is null ? [] : new Dictionary<string, double> { [$"outcome={outcome}"] = 1 }, _measured.Of("wixoauth.refresh_token.faults"));
    }

    private static RefreshTokenFault? FaultOf(RefreshTokenFaultKind? kind) => kind is { } known ? new(known, TestClock.Start, 1, null) : null;
}
