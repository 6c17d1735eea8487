namespace WixOAuth.Events;

/// <summary>When an event is sent, retried and parked. Pure functions; the effects are in <see cref="EventDelivery"/>.</summary>
internal static class DeliveryPolicy
{
    /// <summary>Delivery is retried for this long at least; the first attempt that fails after it parks the event.</summary>
    public static readonly TimeSpan RetriedFor = TimeSpan.FromHours(72);

    // While the receiver is down, the circuit skips most attempts: an event must not be parked for its age alone.
    private const int FewestAttempts = 10;

    public static readonly TimeSpan ParkedFor = TimeSpan.FromDays(30);

    /// <summary>A process that sends an event may take this long: the attempt, and the write of its result.</summary>
    public static readonly TimeSpan LeaseTime = EventSender.Timeout + TimeSpan.FromSeconds(20);

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LongestPause = TimeSpan.FromHours(1);

    /// <summary>Whether an event is to be sent now. Pauses from before the receiver answered again after an outage are void.</summary>
    public static bool IsDue(OutboxEvent waiting, DateTimeOffset? receiverRecoveredAt, DateTimeOffset now)
    {
        // A lease that ends later than any lease can was written by a clock that was ahead.
        if (waiting.Lease is { } lease && lease.Until > now && lease.Until <= now + LeaseTime)
        {
            return false;
        }

        var isPaused = waiting.RetryAt > now && waiting.RetryAt <= now + (LongestPause * 2) && !(waiting.LastAttemptAt < receiverRecoveredAt);
        return !isPaused;
    }

    /// <summary>
    /// The event after a failed attempt; parked when the receiver answered 410 or the time for retries is over.
    /// <paramref name="jitter"/>, from 0 up to 1, spreads the retries of many events.
    /// </summary>
    public static OutboxEvent AfterFailure(OutboxEvent sent, SendResult result, double jitter, DateTimeOffset now)
    {
        var failed = sent with { Attempts = sent.Attempts + 1, LastAttemptAt = now, Lease = null };
        var isTimeUp = failed.Attempts >= FewestAttempts && now - sent.WaitingSince >= RetriedFor;
        return result.Outcome == SendOutcome.Gone || isTimeUp
            ? failed with { ParkedAt = now, RetryAt = null }
            : failed with { RetryAt = now + Pause(failed.Attempts, result.RetryAfter, jitter) };
    }

    private static TimeSpan Pause(int attempts, TimeSpan? retryAfter, double jitter)
    {
        var backoff = FirstPause * Math.Pow(2, Math.Min(attempts - 1, 10)) * (0.75 + (0.5 * jitter));
        var pause = retryAfter > backoff ? retryAfter.Value : backoff;
        return pause < LongestPause ? pause : LongestPause;
    }
}
