using System.Buffers.Binary;
using WixOAuth.Instances;
using WixOAuth.Settings;

namespace WixOAuth.Tokens;

/// <summary>
/// When an instance is to be looked at next. Margins are parts of a token's life, never fixed times: a fixed margin
/// longer than the life would refresh on every call (wix-protocol §11).
/// </summary>
internal sealed class TokenSchedule(ServiceSettings settings)
{
    /// <summary>A token is refreshed ahead of time when less than this fraction of its life is left, minus its jitter.</summary>
    private const double AheadPart = 0.40;

    /// <summary>The jitter: up to this fraction, fixed by instance, so that sites installed together do not stay due together.</summary>
    private const double Spread = 0.05;

    private static readonly TimeSpan Daily = TimeSpan.FromDays(1);

    /// <summary>
    /// Nothing is due later than this: the longest schedule is a day, and clocks differ. A later time was set by a clock
    /// that was ahead.
    /// </summary>
    public static readonly TimeSpan LatestDue = Daily + TimeSpan.FromHours(2);

    /// <summary>When a token is to be refreshed although it is still valid.</summary>
    public static DateTimeOffset RefreshOn(InstanceId id, DateTimeOffset issuedAt, DateTimeOffset expiresOn) =>
        expiresOn - ((expiresOn - issuedAt) * (AheadPart - (Spread * JitterOf(id))));

    /// <summary>When the sweep has to look at an instance next; null for one that is gone.</summary>
    public DateTimeOffset? DueAt(Instance instance, DateTimeOffset now)
    {
        if (instance.Status == InstanceStatus.Removed)
        {
            return null;
        }

        var due = TokenDueAt(instance, now);
        if (due > now + LatestDue)
        {
            // A marked site may have no allowed grant: it is only looked at, and must not stay due now.
            due = instance.Status == InstanceStatus.ReinstallRequired ? now + Daily : now;
        }

        // Without a token nothing can be sent: a marked or failing site is tried when its token is, and not before.
        var canSend = instance is { SetupPending: true, Status: InstanceStatus.Active } && instance.Failures?.RetryAt is null;
        return canSend && SetupDueAt(instance, now) is var setup && setup < due ? setup : due;
    }

    /// <summary>Whether an instance was not used for so long that it is only checked once a day. An install counts as a use.</summary>
    public bool IsIdle(Instance instance, DateTimeOffset now) =>
        settings.Tokens.IdleAfter > TimeSpan.Zero && now - (instance.LastUsedAt ?? instance.InstalledAt) > settings.Tokens.IdleAfter;

    /// <summary>How long no attempt is made after a failure, which may be a rejection; at least for as long as Wix asked for.</summary>
    public static TimeSpan Cooldown(int failuresBefore, bool rejected, TimeSpan? retryAfter)
    {
        var (first, most) = rejected
            // Six minutes, so that a healthy site is served within ten minutes of the end of any fault.
            ? (TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(6))
            : (TimeSpan.FromSeconds(2), TimeSpan.FromMinutes(2));
        var backoff = TimeSpan.FromTicks(Math.Min(most.Ticks, first.Ticks << Math.Min(failuresBefore, 10)));
        var spread = backoff * (0.75 + (0.5 * Random.Shared.NextDouble()));
        return retryAfter > spread ? retryAfter.Value : spread;
    }

    private DateTimeOffset TokenDueAt(Instance instance, DateTimeOffset now)
    {
        if (instance.Status == InstanceStatus.ReinstallRequired)
        {
            var triedAt = instance.Failures?.LastAt ?? instance.MarkedAt ?? instance.UpdatedAt;
            var triesAgainAt = RejectionPolicy.MarkedRetryAt(instance.MarkedAt ?? triedAt, triedAt);

            // Without an allowed grant nothing is tried: it is looked at again, in case the settings have changed.
            var isTried = instance.RefreshToken is not null || settings.Wix.ClientCredentialsFallback;
            return isTried || triesAgainAt > now ? triesAgainAt : now + Daily;
        }

        if (instance.Failures?.RetryAt is { } retryAt)
        {
            return retryAt;
        }

        if (instance.RemovalNotedAt is not null)
        {
            return now;
        }

        if (instance is not { AccessTokenIssuedAt: { } issuedAt, AccessTokenExpiresOn: { } expiresOn })
        {
            return now;
        }

        var ahead = RefreshOn(instance.Id, issuedAt, expiresOn);
        var daily = (instance.RefreshedAt ?? issuedAt) + (Daily * (1 - (0.1 * JitterOf(instance.Id))));
        var due = IsIdle(instance, now) && daily > ahead ? daily : ahead;
        return settings.Wix.PreferredGrant == Grant.RefreshToken && instance.RefreshTokenFault?.RetryAt is { } refreshTokenAt && refreshTokenAt < due
            ? refreshTokenAt
            : due;
    }

    // Waits half of the time since the install, at least a minute and at most a day: a backoff without a stored counter.
    private static DateTimeOffset SetupDueAt(Instance instance, DateTimeOffset now)
    {
        var wait = (now - (instance.ConsentedAt ?? instance.InstalledAt)) / 2;
        return now + TimeSpan.FromTicks(Math.Clamp(wait.Ticks, TimeSpan.TicksPerMinute, Daily.Ticks));
    }

    /// <summary>From 0 up to 1, always the same for one instance.</summary>
    private static double JitterOf(InstanceId id)
    {
        // Not HashCode: that differs from process to process. Multiplied, because ids may be alike but for a digit.
        var bytes = id.ToByteArray();
        var folded = BinaryPrimitives.ReadUInt64BigEndian(bytes) ^ BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(8));
        return ((folded * 0x9E3779B97F4A7C15) >> 32) / (uint.MaxValue + 1.0);
    }
}
