using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class FalseRejectionsTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;
    private readonly MemoryInstanceStore _memory = new();
    private readonly FaultyStore _store;
    private readonly Core _core;

    public FalseRejectionsTests()
    {
        _store = new FaultyStore(_memory);
        _core = new Core(_store);
    }

    private FalseRejections FalseRejections => _core.Get<FalseRejections>();

    private DateTimeOffset Now => _core.Clock.GetUtcNow();

    public void Dispose() => _core.Dispose();

    public static TheoryData<string, bool, bool> Successes => new()
    {
        // The site before; whether a token by client credentials, and one by the refresh token, shows a false rejection.
        { "healthy", false, false },
        { "failed", false, false },
        { "rejected", true, true },
        { "marked", true, true },
        { "clone that needs a consent", false, false },
        { "refresh token rejected", false, true },
        { "refresh token unreadable", false, false },
    };

    [Theory]
    [MemberData(nameof(Successes))]
    public async Task Token_for_a_site_that_was_rejected_shows_a_false_rejection(string before, bool byCredentials, bool byRefreshToken)
    {
        using var measured = new Measured(_core);
        var instance = (await _core.InstallAsync(Core.NewId())).Instance;
        instance = before switch
        {
            "failed" => instance.Failed(TokenError.WixUnavailable, fault: null, Now, Now),
            "rejected" => instance.Failed(TokenError.Rejected, fault: null, Now, Now),
            "marked" => instance.Failed(TokenError.Rejected, fault: null, Now, Now).Marked(Now),
            "clone that needs a consent" => instance.Marked(Now),
            "refresh token rejected" => instance with { RefreshTokenFault = Fault(RefreshTokenFaultKind.Rejected) },
            "refresh token unreadable" => instance with { RefreshTokenFault = Fault(RefreshTokenFaultKind.Unreadable) },
            _ => instance,
        };

        FalseRejections.Check(instance, Grant.ClientCredentials);
        Assert.Equal(byCredentials ? 1 : 0, FalseRejections.Recent);
        FalseRejections.Check(instance, Grant.RefreshToken);

        Assert.Equal(byRefreshToken ? 1 : 0, FalseRejections.Recent);
        Assert.Equal((byCredentials ? 1 : 0) + (byRefreshToken ? 1 : 0), measured.Of("wixoauth.false_rejections").GetValueOrDefault(""));
        await _core.Background.WhenIdleAsync(None);
        Assert.Empty(_core.Logs.Of(424));
    }

    [Fact]
    public async Task False_rejection_counts_for_an_hour()
    {
        await FindFalseAsync();
        _core.Clock.Advance(TimeSpan.FromMinutes(30));
        await FindFalseAsync();

        _core.Clock.Advance(TimeSpan.FromMinutes(30));
        Assert.Equal(2, FalseRejections.Recent);
        _core.Clock.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(1, FalseRejections.Recent);
        _core.Clock.Advance(TimeSpan.FromMinutes(30));
        Assert.Equal(0, FalseRejections.Recent);
    }

    [Fact]
    public async Task False_rejection_in_the_future_does_not_count_after_the_clock_was_set_back()
    {
        await FindFalseAsync();
        _core.Clock.AdjustTime(Now.AddMinutes(-10));

        Assert.Equal(0, FalseRejections.Recent);
    }

    [Fact]
    public async Task False_rejections_that_do_not_count_are_not_kept()
    {
        await FindFalseAsync();
        _core.Clock.AdjustTime(Now.AddHours(2));
        await FindFalseAsync();

        // A time at which the first would count, and the second is in the future.
        _core.Clock.AdjustTime(Now.AddHours(-1.5));
        Assert.Equal(0, FalseRejections.Recent);
    }

    [Fact]
    public async Task Rejected_sites_become_due_20_a_second()
    {
        List<InstanceId> rejected = [];
        for (var number = 0; number < 41; number++)
        {
            rejected.Add(await RejectAsync());
        }

        var healthy = (await _core.InstallAsync(Core.NewId())).Instance;
        await FindFalseAsync();

        List<Instance> due = [];
        foreach (var id in rejected)
        {
            due.Add(await _core.ReadAsync(id));
        }

        Assert.Equal(Enumerable.Range(0, 41).Select(number => Now.AddMilliseconds(50 * number)), due.Select(instance => instance.DueAt!.Value).Order());
        Assert.All(due, instance => Assert.Equal(instance.DueAt, instance.Failures!.RetryAt));
        Assert.Equal(healthy.DueAt, (await _core.ReadAsync(healthy.Id)).DueAt);
        Assert.Contains("; 41 instances", Assert.Single(_core.Logs.Of(424)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(30)]
    [InlineData(null)]
    public async Task Marked_site_that_was_rejected_again_within_the_day_becomes_due(int? markedHoursAgo)
    {
        var id = await RejectAsync();
        var stored = (await _memory.FindAsync(id, None))!;
        DateTimeOffset? markedAt = markedHoursAgo is { } hours ? Now.AddHours(-hours) : null;
        await _memory.TryWriteAsync(stored, stored.Instance with { Status = InstanceStatus.ReinstallRequired, MarkedAt = markedAt }, None);
        _core.Clock.Advance(TimeSpan.FromHours(2));

        await FindFalseAsync();

        Assert.Equal(Now, (await _core.ReadAsync(id)).DueAt);
    }

    [Fact]
    public async Task Rejected_sites_are_searched_for_every_five_minutes_at_most()
    {
        await FindFalseAsync();
        var id = await RejectAsync();
        var waits = (await _core.ReadAsync(id)).DueAt;

        await FindFalseAsync();
        await PassAsync(FalseRejections.BetweenRuns - TimeSpan.FromTicks(1));
        Assert.Equal(waits, (await _core.ReadAsync(id)).DueAt);

        await PassAsync(TimeSpan.FromTicks(1));
        Assert.Equal(Now, (await _core.ReadAsync(id)).DueAt);

        // Nothing has been found since.
        var later = await RejectAsync();
        waits = (await _core.ReadAsync(later)).DueAt;
        await PassAsync(FalseRejections.BetweenRuns * 2);
        Assert.Equal(waits, (await _core.ReadAsync(later)).DueAt);
    }

    [Fact]
    public async Task Sites_become_due_after_the_storage_failed()
    {
        var id = await RejectAsync();
        _store.FailAll();
        await FindFalseAsync();
        Assert.Empty(_core.Logs.Of(501));

        _store.FailNone();
        await PassAsync(FalseRejections.BetweenRuns);

        Assert.Equal(Now, (await _core.ReadAsync(id)).DueAt);
        Assert.Single(_core.Logs.Of(424));
    }

    [Fact]
    public async Task Next_scan_does_not_write_again_what_is_due_already()
    {
        var id = await RejectAsync();
        await FindFalseAsync();
        var due = await _memory.FindAsync(id, None);

        await FindFalseAsync();
        await PassAsync(FalseRejections.BetweenRuns);

        Assert.Equal(2, _core.Logs.Of(424).Count);
        Assert.Equal(due!.ETag, (await _memory.FindAsync(id, None))!.ETag);
    }

    [Fact]
    public void Site_that_is_tried_sooner_anyway_is_not_postponed()
    {
        var instance = new Instance { Id = Core.NewId(), Status = InstanceStatus.Active, Generation = 1, InstalledAt = Now, UpdatedAt = Now, RefreshToken = new ProtectedText("key", new byte[1]) };
        var (soon, later) = (Now.AddSeconds(1), Now.AddSeconds(2));
        var failed = instance.Failed(TokenError.Rejected, Fault(RefreshTokenFaultKind.Rejected) with { RetryAt = soon }, soon, Now) with { DueAt = soon };

        Assert.Equal((soon, soon, soon), TimesOf(failed.MadeDue(later)));
        Assert.Equal((Now, Now, Now), TimesOf(failed.MadeDue(Now)));

        // An attempt without a time may be made at once; a refresh token without one is tried only with the next refresh.
        var untimed = failed with { Failures = failed.Failures! with { RetryAt = null }, RefreshTokenFault = Fault(RefreshTokenFaultKind.Rejected), DueAt = null };
        Assert.Equal((null, later, later), TimesOf(untimed.MadeDue(later)));

        static (DateTimeOffset? Attempt, DateTimeOffset? RefreshToken, DateTimeOffset? Due) TimesOf(Instance due) =>
            (due.Failures!.RetryAt, due.RefreshTokenFault!.RetryAt, due.DueAt);
    }

    [Fact]
    public async Task Clone_that_needs_a_consent_does_not_become_due()
    {
        var stored = await _core.InstallAsync(Core.NewId());
        await _memory.TryWriteAsync(stored, stored.Instance.Marked(Now) with { DueAt = null }, None);

        await FindFalseAsync();

        Assert.Null((await _core.ReadAsync(stored.Instance.Id)).DueAt);
    }

    [Fact]
    public async Task Row_that_cannot_be_read_holds_back_no_other()
    {
        var (unreadable, id) = (await RejectAsync(), await RejectAsync());
        _store.Before = call => call.Id == unreadable ? throw new InvalidDataException("Property X is damaged.") : Task.FromResult(StoreFault.None);

        await FindFalseAsync();

        Assert.InRange((await _core.ReadAsync(id)).DueAt!.Value, Now, Now.AddSeconds(1));
        Assert.Contains("Property X is damaged.", Assert.Single(_core.Logs.Of(411)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Site_that_is_refreshed_or_removed_meanwhile_stays_as_it_is(bool isRemoved)
    {
        var id = await RejectAsync();
        Instance? changed = null;
        _store.Before = async call =>
        {
            if (call.Step == StoreStep.Read && changed is null)
            {
                var stored = (await _memory.FindAsync(id, None))!;
                changed = isRemoved ? stored.Instance with { Status = InstanceStatus.Removed } : stored.Instance with { Failures = null };
                await _memory.TryWriteAsync(stored, changed, None);
            }

            return StoreFault.None;
        };

        await FindFalseAsync();

        Assert.NotNull(changed);
        Assert.Equal(changed.DueAt, (await _core.ReadAsync(id)).DueAt);
    }

    private static RefreshTokenFault Fault(RefreshTokenFaultKind kind) => new(kind, TestClock.Start, 1, null);

    /// <summary>Saves a site that Wix has just rejected, and that is to be tried again in six hours.</summary>
    private async Task<InstanceId> RejectAsync()
    {
        var stored = await _core.InstallAsync(Core.NewId());
        var retryAt = Now.AddHours(6);
        await _memory.TryWriteAsync(stored, stored.Instance.Failed(TokenError.Rejected, fault: null, retryAt, Now) with { DueAt = retryAt }, None);
        return stored.Instance.Id;
    }

    private Task PassAsync(TimeSpan time)
    {
        _core.Clock.Advance(time);
        return _core.Background.WhenIdleAsync(None);
    }

    /// <summary>Reports a token for a rejected site, one that is not in the store.</summary>
    private async Task FindFalseAsync()
    {
        var instance = new Instance
        {
            Id = Core.NewId(),
            Status = InstanceStatus.Active,
            Generation = 1,
            InstalledAt = Now,
            UpdatedAt = Now,
        };
        FalseRejections.Check(instance.Failed(TokenError.Rejected, fault: null, Now, Now), Grant.RefreshToken);
        await _core.Background.WhenIdleAsync(None);
    }
}
