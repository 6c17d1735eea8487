using WixOAuth.Functions.Tests.Storage;
using WixOAuth.Functions.Tests.Support;
using WixOAuth.Instances;
using WixOAuth.Tokens;

namespace WixOAuth.Functions.Tests.Tokens;

/// <summary>The rules of <see cref="RejectionPolicy"/> by example.</summary>
public sealed class RejectionPolicyTests
{
    private static readonly DateTimeOffset s_now = TestClock.Start;

    [Theory]
    [InlineData("granted granted granted", SecretProof.Since)]
    [InlineData("granted", SecretProof.Since)]
    [InlineData("granted none none", SecretProof.Since)]
    [InlineData("rejected rejected rejected", SecretProof.Suspect)]
    [InlineData("rejected none", SecretProof.Suspect)]
    [InlineData("granted granted rejected", SecretProof.Unknown)]
    [InlineData("granted rejected rejected", SecretProof.Unknown)]
    [InlineData("none none none", SecretProof.Unknown)]
    [InlineData("", SecretProof.Unknown)]
    [InlineData("granted", SecretProof.Since, true)]
    [InlineData("rejected", SecretProof.TooFewSites, true)]
    [InlineData("rejected rejected", SecretProof.TooFewSites, true)]
    [InlineData("rejected none", SecretProof.Unknown, true)]
    [InlineData("granted rejected", SecretProof.Unknown, true)]
    internal void The_answers_to_a_probe_prove_the_app_secret_or_make_it_suspect(string answers, SecretProof proof, bool areFew = false) => Assert.Equal(proof, RejectionPolicy.Conclude(
        [.. answers.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(answer => answer switch
        {
            "granted" => ProbeAnswer.Granted,
            "rejected" => ProbeAnswer.Rejected,
            _ => ProbeAnswer.NoAnswer,
        })],
        areFew));

    [Theory]
    [InlineData(0, 0, 1, 0, SecretProof.Since, 1, false)]
    [InlineData(0, 0, 1, 0, SecretProof.Recent, 1, false)]
    [InlineData(0, 0, 1, 0, SecretProof.Unknown, 0, false)]
    [InlineData(0, 0, 1, 0, SecretProof.Suspect, 0, false)]
    [InlineData(0, 0, 1, 0, SecretProof.TooFewSites, 0, false)]
    [InlineData(4, 240, 9, 4, SecretProof.Since, 5, false)]
    [InlineData(5, 119, 9, 4, SecretProof.Since, 6, false)]
    [InlineData(5, 120, 9, 4, SecretProof.Since, 6, true)]
    [InlineData(5, 120, 9, 4, SecretProof.Recent, 6, false)]
    [InlineData(5, 120, 9, 4, SecretProof.Unknown, 5, false)]
    [InlineData(5, 120, 9, 4, SecretProof.Suspect, 5, false)]
    [InlineData(50, 600, 99, 40, SecretProof.Recent, 51, false)]
    [InlineData(0, 0, 999, 999, SecretProof.Unknown, 0, false)]
    [InlineData(0, 0, 999, 999, SecretProof.Suspect, 0, false)]
    [InlineData(0, 0, 6, 47, SecretProof.TooFewSites, 0, false)]
    [InlineData(0, 0, 5, 48, SecretProof.TooFewSites, 0, false)]
    [InlineData(0, 0, 6, 48, SecretProof.TooFewSites, 0, true)]
    internal void Rejections_are_counted_and_become_final_by_what_is_known_of_the_app_secret(
        int countedBefore, int countedForMinutes, int allRejections, int rejectedForHours, SecretProof proof, int countedAfter, bool isFinal)
    {
        var before = countedBefore == 0 ? null : new CountedRejections(countedBefore, s_now.AddMinutes(-countedForMinutes));
        var failures = new Failures(allRejections, allRejections, s_now.AddHours(-rejectedForHours), s_now, TokenError.Rejected, null);

        var verdict = RejectionPolicy.Judge(before, failures, proof, s_now);

        Assert.Equal((countedAfter, isFinal), (verdict.Counted?.Count ?? 0, verdict.IsFinal));
    }

    [Theory]
    [InlineData(SecretProof.Since, 1, 1, SecretProof.Since)]
    [InlineData(SecretProof.Since, 2, 1, SecretProof.Unknown)]
    [InlineData(SecretProof.Recent, 2, 23, SecretProof.Unknown)]
    [InlineData(SecretProof.Since, 9, 24, SecretProof.Since)]
    [InlineData(SecretProof.Suspect, 9, 1, SecretProof.Suspect)]
    [InlineData(SecretProof.TooFewSites, 9, 1, SecretProof.TooFewSites)]
    internal void A_proof_is_worth_nothing_for_a_day_after_two_false_rejections(SecretProof proof, int falselyRejected, int hours, SecretProof worth) =>
        Assert.Equal(worth, RejectionPolicy.Weigh(proof, falselyRejected, TimeSpan.FromHours(hours)));

    [Fact]
    public void Counting_starts_again_where_the_clock_was_set_back()
    {
        var failures = new Failures(9, 9, s_now.AddHours(5), s_now, TokenError.Rejected, null);

        Assert.Equal((new CountedRejections(1, s_now), false), RejectionPolicy.Judge(new CountedRejections(8, s_now.AddHours(5)), failures, SecretProof.Since, s_now));
        Assert.False(RejectionPolicy.Judge(null, failures, SecretProof.TooFewSites, s_now).IsFinal);
    }

    [Fact]
    public void A_refresh_token_is_tried_at_the_next_due_time_then_after_1_h_4_h_and_daily()
    {
        var fault = RejectionPolicy.Observed(null, RefreshTokenFaultKind.Rejected, s_now);
        Assert.Equal(new RefreshTokenFault(RefreshTokenFaultKind.Rejected, s_now, 1, null), fault);
        Assert.True(RejectionPolicy.IsDue(fault, s_now));

        foreach (var hours in new[] { 1, 4, 24, 24 })
        {
            fault = RejectionPolicy.Observed(fault, RefreshTokenFaultKind.Rejected, s_now);
            Assert.Equal((s_now, s_now.AddHours(hours)), (fault.Since, fault.RetryAt));
            Assert.False(RejectionPolicy.IsDue(fault, s_now));
            Assert.True(RejectionPolicy.IsDue(fault, s_now.AddHours(hours)));
        }
    }

    [Fact]
    public void Another_fault_or_one_in_the_future_starts_again()
    {
        var rejected = new RefreshTokenFault(RefreshTokenFaultKind.Rejected, s_now.AddDays(-9), 9, s_now.AddHours(9));

        Assert.Equal(new(RefreshTokenFaultKind.Unreadable, s_now, 1, null), RejectionPolicy.Observed(rejected, RefreshTokenFaultKind.Unreadable, s_now));
        Assert.Equal(new(RefreshTokenFaultKind.Rejected, s_now, 1, null), RejectionPolicy.Observed(rejected with { Since = s_now.AddHours(1) }, RefreshTokenFaultKind.Rejected, s_now));
        Assert.True(RejectionPolicy.IsDue(rejected with { RetryAt = s_now.AddDays(2) }, s_now));
    }

    [Theory]
    [InlineData(null, true)]
    [InlineData(14.9, false)]
    [InlineData(15.0, true)]
    [InlineData(-1.0, false)]
    [InlineData(-60.0, true)]
    public void A_caller_may_try_a_marked_site_every_15_minutes(double? minutesAgo, bool mayTry) =>
        Assert.Equal(mayTry, RejectionPolicy.MayCallerTry(minutesAgo is { } minutes ? s_now.AddMinutes(-minutes) : null, s_now));

    [Theory]
    [InlineData(InstanceStatus.Active, 1, null, null, true)]
    [InlineData(InstanceStatus.Active, 25, null, null, false)]
    [InlineData(InstanceStatus.Active, null, null, 1, true)]
    [InlineData(InstanceStatus.Active, null, null, 25, false)]
    [InlineData(InstanceStatus.Active, null, null, null, false)]
    [InlineData(InstanceStatus.ReinstallRequired, 1, 1, null, true)]
    [InlineData(InstanceStatus.ReinstallRequired, 2, 30, null, true)]
    [InlineData(InstanceStatus.ReinstallRequired, 25, 25, null, false)]
    [InlineData(InstanceStatus.ReinstallRequired, null, 1, null, true)]
    [InlineData(InstanceStatus.ReinstallRequired, 2, null, null, true)]
    [InlineData(InstanceStatus.ReinstallRequired, 25, null, null, false)]
    [InlineData(InstanceStatus.ReinstallRequired, null, null, null, false)]
    [InlineData(InstanceStatus.Removed, 1, 1, 1, false)]
    internal void A_false_rejection_casts_doubt_on_what_was_rejected_or_marked_within_a_day(InstanceStatus status, int? rejectedHoursAgo, int? markedHoursAgo, int? faultHoursAgo, bool isDoubted)
    {
        var site = new InstanceSummary(Samples.NewId(), status, null, null, rejectedHoursAgo is not null, null, null)
        {
            RejectedAt = Ago(rejectedHoursAgo),
            MarkedAt = Ago(markedHoursAgo),
            RefreshTokenFault = faultHoursAgo is null ? null : RefreshTokenFaultKind.Rejected,
            RefreshTokenFaultSince = Ago(faultHoursAgo),
        };

        Assert.Equal(isDoubted, RejectionPolicy.IsDoubted(site, s_now));

        static DateTimeOffset? Ago(int? hours) => hours is { } known ? s_now.AddHours(-known) : null;
    }
}
