using Microsoft.Extensions.Logging;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>Sites and a sweep each minute, over hours: who is marked as to be installed again, and who must not be.</summary>
public sealed class AppSecretTrustTests : IDisposable
{
    private const int Sites = 50;
    private Core _core = NewCore();

    public void Dispose() => _core.Dispose();

    [Theory]
    [InlineData(401)]
    [InlineData(503)]
    public async Task An_hour_of_a_wrong_secret_or_of_no_Wix_marks_nobody_and_all_are_well_soon_after(int status)
    {
        var ids = await InstallAsync(Sites);
        Answer(_ => true);
        await SweepAsync(minutes: 10, ids);

        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(status));
        await SweepAsync(minutes: 120, ids, wixPauses: status == 503);
        Assert.Equal(status == 401, _core.Trust.IsSuspect);

        Answer(_ => true);
        await SweepAsync(minutes: 60, ids);

        Assert.False(_core.Trust.IsSuspect);
        Assert.All(await ReadAllAsync(ids), instance => Assert.Equal((InstanceStatus.Active, null), (instance.Status, instance.Failures)));
    }

    [Fact]
    public async Task A_tenth_of_the_sites_that_are_gone_is_marked_while_the_rest_is_well()
    {
        var ids = await InstallAsync(Sites);
        var gone = ids[..5].Select(RefreshTokenOf).ToHashSet();
        Answer(refreshToken => !gone.Contains(refreshToken));

        await SweepAsync(minutes: 60, ids[5..]);

        var instances = await ReadAllAsync(ids);
        Assert.All(instances[..5], instance => Assert.Equal(InstanceStatus.ReinstallRequired, instance.Status));
        Assert.All(instances[5..], instance => Assert.Equal(InstanceStatus.Active, instance.Status));
    }

    [Fact]
    public async Task Sites_that_are_gone_are_marked_after_the_wrong_secret_is_put_right_and_no_other()
    {
        var ids = await InstallAsync(Sites);
        var gone = ids[..5].Select(RefreshTokenOf).ToHashSet();
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(401));
        await SweepAsync(minutes: 60);

        Answer(refreshToken => !gone.Contains(refreshToken));
        await SweepAsync(minutes: 120, neverMarked: ids[5..]);

        Assert.All((await ReadAllAsync(ids))[..5], instance => Assert.Equal(InstanceStatus.ReinstallRequired, instance.Status));
    }

    [Theory]
    [InlineData(5, 100)]
    [InlineData(9, 50)]
    [InlineData(Sites, 5)]
    [InlineData(1_000, 1)]
    public async Task A_Wix_that_says_no_every_third_time_marks_nobody(int sites, int times)
    {
        for (var seed = 0; seed < times; seed++)
        {
            _core.Dispose();
            _core = NewCore();
            var ids = await InstallAsync(sites);
            Answer(TwoOfThree(ids, seed));

            await SweepAsync(minutes: 120, ids);
        }
    }

    [Fact]
    public async Task Sites_that_are_gone_are_marked_after_a_Wix_that_says_no_now_and_then_is_well_again()
    {
        var ids = await InstallAsync(Sites);
        var gone = ids[..5].Select(RefreshTokenOf).ToHashSet();
        var isWell = TwoOfThree(ids, seed: 1);
        Answer(refreshToken => !gone.Contains(refreshToken) && isWell(refreshToken));
        await SweepAsync(minutes: 60, ids);

        Answer(refreshToken => !gone.Contains(refreshToken));
        await SweepAsync(minutes: 120, neverMarked: ids[5..]);

        Assert.All((await ReadAllAsync(ids))[..5], instance => Assert.Equal(InstanceStatus.ReinstallRequired, instance.Status));
    }

    [Fact]
    public async Task A_site_that_now_and_then_is_refused_keeps_others_from_being_marked_for_a_day_at_most()
    {
        var ids = await InstallAsync(Sites);
        var (gone, fickle, turn) = (RefreshTokenOf(ids[0]), RefreshTokenOf(ids[1]), 0);
        Answer(refreshToken => refreshToken != gone && (refreshToken != fickle || turn++ % 5 != 0));

        await SweepAsync(minutes: 23 * 60, ids);
        await SweepAsync(minutes: 2 * 60, ids[1..]);

        Assert.Equal(InstanceStatus.ReinstallRequired, (await _core.ReadAsync(ids[0])).Status);
    }

    [Fact]
    public async Task A_rejection_that_comes_in_after_the_first_success_marks_nobody()
    {
        // The site that was asked for last with the wrong secret learns of it when others have succeeded already.
        var ids = await InstallAsync(5);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(401));
        await SweepAsync(minutes: 60);

        var (late, wasLate) = (RefreshTokenOf(ids[0]), false);
        Answer(refreshToken => refreshToken != late || wasLate || !(wasLate = true));
        await SweepAsync(minutes: 60, ids);
        Assert.True(wasLate);
    }

    [Fact]
    public async Task A_suspect_secret_is_one_loud_line_and_so_is_its_end()
    {
        var ids = await InstallAsync(Sites);
        _core.Wix.Answer = (_, _, _) => Task.FromResult(StubWix.Status(401));
        using var measured = new Measured(_core);
        See(10, new TokenAnswer.Rejected());
        Assert.Equal(1, measured.Of("wixoauth.app_secret.suspect")[""]);
        await SweepAsync(minutes: 60, ids);

        Assert.Single(_core.Logs.All, line => line.Level == LogLevel.Critical);
        Assert.Single(_core.Logs.Of(412));
        Assert.Empty(_core.Logs.Of(413));

        Answer(_ => true);
        await SweepAsync(minutes: 60, ids);
        Assert.Single(_core.Logs.Of(412));
        Assert.Single(_core.Logs.Of(413));
    }

    [Theory]
    [InlineData(2, 0, false)]
    [InlineData(3, 0, true)]
    [InlineData(8, 1, false)]
    [InlineData(9, 0, true)]
    [InlineData(5, 5, false)]
    [InlineData(6, 4, true)]
    [InlineData(101, 99, true)]
    [InlineData(99, 101, false)]
    public void Most_of_many_or_all_of_a_few_make_the_secret_suspect(int rejected, int granted, bool suspect)
    {
        See(granted, Granted());
        See(rejected, new TokenAnswer.Rejected());
        See(50, new TokenAnswer.Unavailable(TokenError.WixUnavailable, null));

        Assert.Equal(suspect, _core.Trust.IsSuspect);
    }

    [Fact]
    public void One_site_that_is_rejected_again_and_again_is_one()
    {
        var id = Core.NewId();
        for (var number = 0; number < 50; number++)
        {
            _core.Trust.Saw(id, "1", new TokenAnswer.Rejected(), wasRejected: false);
        }

        Assert.False(_core.Trust.IsSuspect);
    }

    [Fact]
    public void What_was_long_ago_or_many_sites_ago_counts_no_more()
    {
        See(10, new TokenAnswer.Rejected());
        Assert.True(_core.Trust.IsSuspect);
        _core.Clock.Advance(AppSecretTrust.Window);
        Assert.False(_core.Trust.IsSuspect);

        See(AppSecretTrust.MostSeen, new TokenAnswer.Rejected());
        _core.Clock.Advance(TimeSpan.FromSeconds(1));
        See(AppSecretTrust.MostSeen - 1, Granted());
        Assert.False(_core.Trust.IsSuspect);
    }

    [Fact]
    public void A_success_proves_the_secret_from_its_own_moment_on_for_others_and_for_that_version()
    {
        var (by, other) = (Core.NewId(), Core.NewId());
        var before = _core.Clock.GetUtcNow();
        _core.Clock.Advance(TimeSpan.FromMinutes(1));
        _core.Trust.Saw(by, "2", Granted(), wasRejected: false);
        var at = _core.Clock.GetUtcNow();

        Assert.True(_core.Trust.IsProvenSince(before, "2", other));
        Assert.True(_core.Trust.IsProvenSince(at, "2", other));
        Assert.False(_core.Trust.IsProvenSince(at.AddTicks(1), "2", other));
        Assert.False(_core.Trust.IsProvenSince(before, "1", other));
        Assert.False(_core.Trust.IsProvenSince(before, "2", by));
    }

    [Fact]
    public void After_a_rejection_that_turned_out_false_none_is_proof_for_an_hour()
    {
        var since = _core.Clock.GetUtcNow();
        _core.Trust.Saw(Core.NewId(), "1", Granted(), wasRejected: true);
        _core.Clock.Advance(AppSecretTrust.DoubtAfterFalseRejection - TimeSpan.FromTicks(1));
        _core.Trust.Saw(Core.NewId(), "1", Granted(), wasRejected: false);
        Assert.False(_core.Trust.IsProvenSince(since, "1", Core.NewId()));

        _core.Trust.Saw(Core.NewId(), "1", new TokenAnswer.Rejected(), wasRejected: true);
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.True(_core.Trust.IsProvenSince(since, "1", Core.NewId()));
    }

    [Fact]
    public void A_site_that_recovered_stays_in_doubt_for_a_while()
    {
        var ids = Enumerable.Range(0, 5).Select(_ => Core.NewId()).ToList();
        ids.ForEach(id => _core.Trust.Saw(id, "1", new TokenAnswer.Rejected(), wasRejected: false));
        _core.Clock.Advance(AppSecretTrust.Window - TimeSpan.FromMinutes(1));
        for (var minute = 0; minute < 20; minute++)
        {
            ids.ForEach(id => _core.Trust.Saw(id, "1", Granted(), wasRejected: minute == 0));
            Assert.True(_core.Trust.IsSuspect);
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
        }

        ids.ForEach(id => _core.Trust.Saw(id, "1", Granted(), wasRejected: false));
        Assert.False(_core.Trust.IsSuspect);
    }

    private void See(int sites, TokenAnswer answer)
    {
        for (var number = 0; number < sites; number++)
        {
            _core.Trust.Saw(Core.NewId(), "1", answer, wasRejected: false);
        }
    }

    private TokenAnswer.Granted Granted() =>
        new(new AccessToken("a"), null, _core.Clock.GetUtcNow(), _core.Clock.GetUtcNow() + TimeSpan.FromMinutes(5));

    private async Task<List<InstanceId>> InstallAsync(int sites)
    {
        var ids = Enumerable.Range(0, sites).Select(_ => Core.NewId()).ToList();
        foreach (var id in ids)
        {
            await _core.InstallAsync(id, refresh: RefreshTokenOf(id));
        }

        return ids;
    }

    private static Core NewCore() => new(settings: [("Wix__ClientCredentialsFallback", "false"), ("Tokens__IdleAfter", "00:00:00")]);

    // What a site is told is drawn for it and its turn: in which order threads ask must not matter.
    private static Func<string, bool> TwoOfThree(List<InstanceId> ids, int seed)
    {
        var draws = ids.Select((id, number) => (RefreshTokenOf(id), new Random((seed * 10_000) + number))).ToDictionary();
        return refreshToken => draws[refreshToken].Next(3) != 0;
    }

    private static string RefreshTokenOf(InstanceId id) => $"refresh-{id}";

    private void Answer(Func<string, bool> isWell) => _core.Wix.Answer = (_, body, _) =>
        Task.FromResult(isWell(body!.Value.GetProperty("refresh_token").GetString()!) ? StubWix.Tokens("well") : StubWix.Status(401));

    // Only where Wix is to be asked again after a pause does time pass in the sweep, and then it may pass by more than that.
    private async Task SweepAsync(int minutes, IReadOnlyCollection<InstanceId>? neverMarked = null, bool wixPauses = false)
    {
        for (var minute = 0; minute < minutes; minute++)
        {
            _core.Clock.Advance(TimeSpan.FromMinutes(1));
            var sweep = _core.Sweep.RunAsync(CancellationToken.None);
            await (wixPauses ? _core.Clock.RunAsync(sweep) : sweep.WaitAsync(Turns.Patience));
            foreach (var id in neverMarked ?? [])
            {
                Assert.Equal(InstanceStatus.Active, (await _core.ReadAsync(id)).Status);
            }
        }
    }

    private async Task<List<Instance>> ReadAllAsync(List<InstanceId> ids)
    {
        var instances = new List<Instance>();
        foreach (var id in ids)
        {
            instances.Add(await _core.ReadAsync(id));
        }

        return instances;
    }
}
