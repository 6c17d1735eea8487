using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

public sealed class TokenScheduleTests
{
    private static readonly DateTimeOffset s_now = Samples.Noon;
    private static readonly TimeSpan s_day = TimeSpan.FromDays(1);
    private readonly TokenSchedule _schedule = new(Core.Read());

    [Fact]
    public void Tokens_are_refreshed_when_35_to_40_percent_of_their_life_is_left_spread_over_the_sites()
    {
        var life = TimeSpan.FromMinutes(5);
        var left = Enumerable.Range(0, 2_000).Select(_ => Core.NewId())
            .Select(id => (s_now + life - TokenSchedule.RefreshOn(id, s_now, s_now + life)) / life).ToList();

        Assert.All(left, part => Assert.InRange(part, 0.35, 0.40));
        Assert.InRange(left.Min(), 0.35, 0.355);
        Assert.InRange(left.Max(), 0.395, 0.40);
        Assert.InRange(left.Average(), 0.373, 0.377);
    }

    [Fact]
    public void A_site_is_always_spread_alike()
    {
        var id = new InstanceId(Guid.Parse("00112233-4455-6677-8899-aabbccddeeff"));

        // Worked out by hand, from the bytes of the id alone: a HashCode would be another in each process.
        Assert.Equal(TimeSpan.FromTicks(1_800_557_281), TokenSchedule.RefreshOn(id, s_now, s_now.AddMinutes(5)) - s_now);
        Assert.Equal(TimeSpan.FromTicks(1_800_557_281), TokenSchedule.RefreshOn(id, s_now.AddDays(1), s_now.AddDays(1).AddMinutes(5)) - s_now.AddDays(1));
    }

    [Theory]
    [InlineData(false, 0, 2)]
    [InlineData(false, 1, 4)]
    [InlineData(false, 5, 64)]
    [InlineData(false, 6, 120)]
    [InlineData(false, 1_000, 120)]
    [InlineData(true, 0, 60)]
    [InlineData(true, 1, 120)]
    [InlineData(true, 4, 360)]
    [InlineData(true, 1_000, 360)]
    public void Pauses_double_up_to_a_limit_and_are_spread_by_a_quarter(bool rejected, int failuresBefore, int seconds)
    {
        var pauses = Enumerable.Range(0, 500).Select(_ => TokenSchedule.Cooldown(failuresBefore, rejected, retryAfter: null) / TimeSpan.FromSeconds(seconds)).ToList();

        Assert.All(pauses, pause => Assert.InRange(pause, 0.75, 1.25));
        Assert.True(pauses.Min() < 0.8 && pauses.Max() > 1.2);
        Assert.Equal(TimeSpan.FromHours(1), TokenSchedule.Cooldown(failuresBefore, rejected, TimeSpan.FromHours(1)));
        Assert.InRange(TokenSchedule.Cooldown(failuresBefore, rejected, TimeSpan.FromSeconds(1)) / TimeSpan.FromSeconds(seconds), 0.75, 1.25);
    }

    [Fact]
    public void A_marked_site_is_due_after_an_hour_then_four_then_daily()
    {
        var marked = Samples.NewInstance().Failed(TokenError.Rejected, null, s_now, s_now).Marked(s_now);
        Assert.Equal(s_now.AddHours(1), _schedule.DueAt(marked, s_now));
        Assert.Equal(s_now.AddHours(5), _schedule.DueAt(TriedAt(1), s_now.AddHours(1)));
        Assert.Equal(s_now.AddHours(5) + s_day, _schedule.DueAt(TriedAt(5), s_now.AddHours(5)));
        Assert.Equal(s_now.AddHours(29) + s_day, _schedule.DueAt(TriedAt(29), s_now.AddHours(29)));

        // An earlier version that marked it wrote no time of that.
        Assert.Equal(s_now.AddHours(1), _schedule.DueAt(marked with { MarkedAt = null }, s_now));

        Instance TriedAt(int hours) => marked.Failed(TokenError.Rejected, null, s_now, s_now.AddHours(hours));
    }

    [Fact]
    public void A_site_that_a_clock_ahead_has_written_is_due_now_and_a_marked_one_within_a_day()
    {
        var failed = Samples.NewInstance().Failed(TokenError.Rejected, null, s_now + TokenSchedule.LatestDue, s_now);
        Assert.Equal(s_now + TokenSchedule.LatestDue, _schedule.DueAt(failed, s_now));
        Assert.Equal(s_now.AddTicks(-1), _schedule.DueAt(failed, s_now.AddTicks(-1)));

        var ahead = s_now.AddYears(1);
        Assert.Equal(s_now + s_day, _schedule.DueAt(failed.Failed(TokenError.Rejected, null, ahead, ahead).Marked(ahead), s_now));
    }

    [Theory]
    [InlineData(true, true, 1)]
    [InlineData(true, false, 1)]
    [InlineData(false, true, 1)]
    [InlineData(false, false, 24 + 3)]
    public void A_marked_site_whose_time_has_come_and_that_no_grant_is_allowed_for_is_looked_at_the_next_day(bool hasRefreshToken, bool fallback, int hours)
    {
        var schedule = new TokenSchedule(Core.Read(("Wix__ClientCredentialsFallback", fallback.ToString())));
        var marked = Samples.NewInstance().Failed(TokenError.Rejected, null, s_now, s_now).Marked(s_now) with
        {
            RefreshToken = hasRefreshToken ? new("key", new byte[1]) : null,
        };

        Assert.Equal(s_now.AddHours(1), schedule.DueAt(marked, s_now));
        Assert.Equal(s_now.AddHours(hours), schedule.DueAt(marked, s_now.AddHours(3)));
    }

    [Fact]
    public void A_site_on_fallback_is_due_when_its_refresh_token_is_tried_again_unless_client_credentials_are_preferred()
    {
        var instance = Active() with
        {
            LastUsedAt = s_now,
            RefreshToken = new("key", new byte[1]),
            AccessTokenGrant = Grant.ClientCredentials,
            AccessTokenIssuedAt = s_now,
            AccessTokenExpiresOn = s_now.AddHours(4),
            RefreshTokenFault = new RefreshTokenFault(RefreshTokenFaultKind.Rejected, s_now, 2, s_now.AddHours(1)),
        };
        Assert.Equal(s_now.AddHours(1), _schedule.DueAt(instance, s_now));
        Assert.True(_schedule.DueAt(instance with { RefreshTokenFault = null }, s_now) > s_now.AddHours(2));

        var bridge = new TokenSchedule(Core.Read(("Wix__PreferredGrant", "ClientCredentials")));
        Assert.True(bridge.DueAt(instance, s_now) > s_now.AddHours(2));
    }

    [Fact]
    public void An_idle_site_is_due_at_most_a_day_less_a_tenth_after_its_refresh()
    {
        var instance = Active() with { LastUsedAt = s_now.AddHours(-2), RefreshedAt = s_now.AddMinutes(-30), AccessTokenIssuedAt = s_now.AddMinutes(-40), AccessTokenExpiresOn = s_now.AddMinutes(-35) };
        Assert.InRange(_schedule.DueAt(instance, s_now)!.Value - s_now.AddMinutes(-30), s_day * 0.9, s_day);

        var installed = instance with { RefreshedAt = null };
        Assert.InRange(_schedule.DueAt(installed, s_now)!.Value - s_now.AddMinutes(-40), s_day * 0.9, s_day);

        // No token lives for longer than a day.
        Assert.Equal(s_now, _schedule.DueAt(instance with { AccessTokenExpiresOn = s_now.AddDays(10) }, s_now));
    }

    [Fact]
    public void A_pending_set_up_event_is_due_after_half_of_the_time_since_the_consent()
    {
        var instance = Active() with { SetupPending = true, LastUsedAt = s_now, InstalledAt = s_now.AddDays(-9), AccessTokenIssuedAt = s_now.AddHours(25), AccessTokenExpiresOn = s_now.AddHours(25) };

        Assert.Equal(s_now.AddHours(2), _schedule.DueAt(instance with { ConsentedAt = s_now.AddHours(-4) }, s_now));
        Assert.Equal(s_now.AddMinutes(1), _schedule.DueAt(instance with { ConsentedAt = s_now }, s_now));
        Assert.Equal(s_now.AddDays(1), _schedule.DueAt(instance with { ConsentedAt = null }, s_now));
        Assert.True(_schedule.DueAt(instance with { ConsentedAt = s_now.AddHours(-4), AccessTokenIssuedAt = s_now, AccessTokenExpiresOn = s_now.AddMinutes(5) }, s_now) < s_now.AddMinutes(5));
    }

    [Fact]
    public void A_pending_set_up_event_does_not_make_a_failing_or_marked_site_due_sooner()
    {
        var failing = (Active() with { SetupPending = true, ConsentedAt = s_now }).Failed(TokenError.Rejected, null, s_now.AddMinutes(6), s_now);

        Assert.Equal(s_now.AddMinutes(6), _schedule.DueAt(failing, s_now));
        Assert.Equal(s_now.AddHours(1), _schedule.DueAt(failing.Marked(s_now), s_now));
        Assert.Equal(s_now.AddHours(1), _schedule.DueAt(failing.Marked(s_now) with { Failures = null }, s_now));
    }

    private static Instance Active() => Samples.NewInstance();
}
