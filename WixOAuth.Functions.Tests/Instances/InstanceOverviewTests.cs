using Moq;
using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Instances;

/// <summary>What the operators' page counts.</summary>
public sealed class InstanceOverviewTests
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly Microsoft.Extensions.Time.Testing.FakeTimeProvider _clock = TestClock.New();
    private readonly MemoryInstanceStore _store = new();

    [Fact]
    public async Task Each_instance_is_counted_by_status_remaining_life_and_failure()
    {
        double?[] lives = [-1, 0, null, 30, 30.5, 60, 120, 121, 300, 301];
        foreach (var life in lives)
        {
            await AddAsync(InstanceStatus.Active, life, fails: life is 30 or 301);
        }

        await AddAsync(InstanceStatus.Removed, 30, fails: true);
        await AddAsync(InstanceStatus.ReinstallRequired, 30, fails: true);

        var overview = await NewOverview().GetAsync(forceRefresh: false, None);

        Assert.Equal((10, 1, 1), (overview.ByStatus[InstanceStatus.Active], overview.ByStatus[InstanceStatus.Removed], overview.ByStatus[InstanceStatus.ReinstallRequired]));

        // Up to 30 s, 1 min, 2 min, 5 min, and longer.
        Assert.Equal([1, 2, 1, 2, 1], overview.ByLife);
        Assert.Equal((3, 0), (overview.Overdue, overview.Resting));
        Assert.Equal(2, overview.Failing);
        Assert.Equal(2, overview.FailingIds.Count);
        Assert.False(overview.IsPartial);
    }

    [Fact]
    public async Task An_idle_site_is_not_overdue_and_one_that_the_sweep_does_not_reach_is()
    {
        var tick = TimeSpan.FromTicks(1);
        await AddAsync(InstanceStatus.Active, -1, fails: false, due: TimeSpan.FromHours(20));
        await AddAsync(InstanceStatus.Active, -1, fails: false, due: tick - InstanceOverview.OverdueAfter);
        await AddAsync(InstanceStatus.Active, null, fails: false, due: TimeSpan.Zero);
        await AddAsync(InstanceStatus.Active, -1, fails: false, due: -InstanceOverview.OverdueAfter);
        await AddAsync(InstanceStatus.Active, -1, fails: true, due: TimeSpan.FromMinutes(1));
        await AddAsync(InstanceStatus.Active, 30, fails: false, due: TimeSpan.FromDays(-1));
        await AddAsync(InstanceStatus.Removed, -1, fails: false, due: null);

        var overview = await NewOverview().GetAsync(forceRefresh: false, None);

        Assert.Equal((2, 3), (overview.Overdue, overview.Resting));
        Assert.Equal(1, overview.ByLife.Sum());
    }

    [Fact]
    public async Task Those_that_fail_are_named_in_order_up_to_a_limit()
    {
        for (var number = 0; number <= InstanceOverview.MostNamed; number++)
        {
            await AddAsync(InstanceStatus.Active, 30, fails: true);
        }

        var overview = await NewOverview().GetAsync(forceRefresh: false, None);

        Assert.Equal(InstanceOverview.MostNamed + 1, overview.Failing);
        Assert.Equal(InstanceOverview.MostNamed, overview.FailingIds.Distinct().Count());
        Assert.Equal(overview.FailingIds.Select(id => id.ToString()).Order(StringComparer.Ordinal), overview.FailingIds.Select(id => id.ToString()));
    }

    [Theory]
    [InlineData(0, false)]
    [InlineData(1, true)]
    public async Task Counting_stops_at_the_limit_and_is_marked_partial(int tooMany, bool isPartial)
    {
        var store = new Mock<IInstanceStore>();
        var summary = new InstanceSummary(new InstanceId(Guid.NewGuid()), InstanceStatus.Active, _clock.GetUtcNow().AddMinutes(1), null, false, null, null);
        store.Setup(it => it.ReadSummariesAsync(None)).Returns(Enumerable.Repeat(summary, InstanceOverview.Limit + tooMany).ToAsyncEnumerable());

        var overview = await new InstanceOverview(store.Object, Grant.RefreshToken, _clock).GetAsync(forceRefresh: false, None);

        Assert.Equal((InstanceOverview.Limit, isPartial), (overview.ByStatus[InstanceStatus.Active], overview.IsPartial));
    }

    [Theory]
    [InlineData(RefreshTokenFaultKind.Unreadable, Grant.RefreshToken, Grant.RefreshToken, 1, 1)]
    [InlineData(RefreshTokenFaultKind.Unreadable, Grant.ClientCredentials, Grant.RefreshToken, 1, 1)]
    [InlineData(RefreshTokenFaultKind.Unreadable, Grant.ClientCredentials, Grant.ClientCredentials, 1, 1)]
    [InlineData(RefreshTokenFaultKind.Rejected, Grant.ClientCredentials, Grant.RefreshToken, 1, 0)]
    [InlineData(RefreshTokenFaultKind.Rejected, Grant.ClientCredentials, Grant.ClientCredentials, 0, 0)]
    [InlineData(RefreshTokenFaultKind.Rejected, Grant.RefreshToken, Grant.RefreshToken, 0, 0)]
    internal async Task An_unreadable_refresh_token_always_counts_and_a_rejected_one_only_while_client_credentials_serve_in_its_place(
        RefreshTokenFaultKind kind, Grant current, Grant preferred, int onFallback, int unreadable)
    {
        var fault = new RefreshTokenFault(kind, _clock.GetUtcNow(), 1, null);
        foreach (var status in new[] { InstanceStatus.Active, InstanceStatus.ReinstallRequired, InstanceStatus.Removed })
        {
            var instance = Samples.NewInstance() with { Status = status, Grant = Grant.RefreshToken, AccessTokenGrant = current, RefreshTokenFault = fault };
            Assert.NotNull(await _store.TryWriteAsync(null, instance, None));
        }

        var overview = await NewOverview(preferred).GetAsync(forceRefresh: false, None);

        Assert.Equal((onFallback, unreadable), (overview.OnFallback, overview.Unreadable));
    }

    [Fact]
    public async Task An_overview_is_cached_for_30_seconds()
    {
        var overview = NewOverview();
        await overview.GetAsync(forceRefresh: false, None);
        await AddAsync(InstanceStatus.Active, 30, fails: false);
        _clock.Advance(TimeSpan.FromSeconds(30) - TimeSpan.FromTicks(1));
        Assert.Equal(0, (await overview.GetAsync(forceRefresh: false, None)).ByStatus[InstanceStatus.Active]);

        _clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(1, (await overview.GetAsync(forceRefresh: false, None)).ByStatus[InstanceStatus.Active]);

        // Unless an operator has just changed something; all others see it then, too.
        await AddAsync(InstanceStatus.Active, 30, fails: false);
        Assert.Equal(1, (await overview.GetAsync(forceRefresh: false, None)).ByStatus[InstanceStatus.Active]);
        Assert.Equal(2, (await overview.GetAsync(forceRefresh: true, None)).ByStatus[InstanceStatus.Active]);
        Assert.Equal(2, (await overview.GetAsync(forceRefresh: false, None)).ByStatus[InstanceStatus.Active]);
    }

    private InstanceOverview NewOverview(Grant preferred = Grant.RefreshToken) => new(_store, preferred, _clock);

    private async Task AddAsync(InstanceStatus status, double? life, bool fails, TimeSpan? due = null)
    {
        var now = _clock.GetUtcNow();
        var instance = Samples.NewInstance() with { Status = status, AccessTokenExpiresOn = life is { } seconds ? now.AddSeconds(seconds) : null };
        instance = fails ? instance.Failed(TokenError.Rejected, null, now, now) with { Status = status } : instance;
        Assert.NotNull(await _store.TryWriteAsync(null, instance with { DueAt = due is { } until ? now + until : null }, None));
    }
}
