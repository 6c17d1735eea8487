using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class AppSecretLedgerTests : IDisposable
{
    private readonly Core _core = new();

    public void Dispose() => _core.Dispose();

    [Fact]
    public void Sites_that_had_tokens_are_returned_latest_first()
    {
        var (first, second, third) = (Succeed(), Succeed(), Succeed());
        Succeed(first);

        Assert.Equal([first, third, second], Known());
        Assert.Equal([first, third], _core.Ledger.LastSucceeded(2, default));
        Assert.Equal([third, second], _core.Ledger.LastSucceeded(2, except: first));
    }

    [Fact]
    public void Site_that_was_rejected_is_forgotten_and_one_without_an_answer_is_not()
    {
        var (rejected, unavailable) = (Succeed(), Succeed());

        _core.Ledger.Record(rejected, new TokenAnswer.Rejected());
        _core.Ledger.Record(unavailable, new TokenAnswer.Unavailable(TokenError.WixUnavailable, null));

        Assert.Equal([unavailable], Known());
    }

    [Fact]
    public void Sixty_four_sites_are_remembered_and_the_oldest_makes_room()
    {
        var sites = Enumerable.Range(0, 64).Select(_ => Succeed()).ToList();
        Assert.Equal(sites.AsEnumerable().Reverse(), Known());

        var last = Succeed();

        Assert.Equal([last, .. sites.Skip(1).Reverse()], Known());
    }

    [Fact]
    public void Suspicion_is_logged_once_and_ends_with_the_first_token()
    {
        using var measured = new Measured(_core);
        _core.Ledger.Suspect(3);
        _core.Ledger.Suspect(5);
        Assert.True(_core.Ledger.IsSuspect);
        Assert.Equal([1], Gauge());
        Assert.Contains("all 3 sites", Assert.Single(_core.Logs.Of(412)), StringComparison.Ordinal);

        Succeed();
        Succeed();

        Assert.False(_core.Ledger.IsSuspect);
        Assert.Equal([1, 0], Gauge());
        Assert.Single(_core.Logs.Of(413));

        IEnumerable<double> Gauge() => measured.Values.Where(value => value.Name == "wixoauth.app_secret.suspect").Select(value => value.Value);
    }

    private InstanceId Succeed(InstanceId? id = null)
    {
        var site = id ?? Core.NewId();
        var now = _core.Clock.GetUtcNow();
        _core.Ledger.Record(site, new TokenAnswer.Granted(new AccessToken("access"), null, now, now.AddMinutes(5)));
        _core.Clock.Advance(TimeSpan.FromSeconds(1));
        return site;
    }

    private IReadOnlyList<InstanceId> Known() => _core.Ledger.LastSucceeded(100, default);
}
