namespace WixOAuth.Events;

/// <summary>What to do with the event that an instance's later events wait for.</summary>
internal enum DeliveryStep
{
    Send,
    Wait,
    Park,
}

/// <summary>When an event is sent, retried and parked. Pure functions; the effects are in <see cref="EventDelivery"/>.</summary>
internal static class DeliveryPolicy
{
    /// <summary>Delivery is retried for this long; then the event is parked.</summary>
    public static readonly TimeSpan RetriedFor = TimeSpan.FromHours(72);

    /// <summary>A parked event is kept for this long.</summary>
    public static readonly TimeSpan ParkedFor = TimeSpan.FromDays(30);

    /// <summary>A process that sends an event may take this long: the attempt, and the write of its result.</summary>
    public static readonly TimeSpan LeaseTime = EventSender.Timeout + TimeSpan.FromSeconds(20);

    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LongestPause = TimeSpan.FromHours(1);

    /// <summary>The next step for an event.</summary>
    /// <param name="waiting">The event.</param>
    /// <param name="receiverRecoveredAt">When the receiver last answered again after an outage; pauses from before then are void.</param>
    /// <param name="now">The time.</param>
    public static DeliveryStep Next(OutboxEvent waiting, DateTimeOffset? receiverRecoveredAt, DateTimeOffset now)
    {
        // A lease that ends later than any lease can was written by a clock that was ahead.
        if (waiting.Lease is { } lease && lease.Until > now && lease.Until <= now + LeaseTime)
        {
            return DeliveryStep.Wait;
        }

        if (waiting.Attempts > 0 && now - waiting.WaitingSince >= RetriedFor)
        {
            return DeliveryStep.Park;
        }

        var isPaused = waiting.RetryAt > now && waiting.RetryAt <= now + (LongestPause * 2) && !(waiting.LastAttemptAt < receiverRecoveredAt);
        return isPaused ? DeliveryStep.Wait : DeliveryStep.Send;
    }

    /// <summary>The event after an attempt that did not deliver it; parked when the receiver wants it no more or time is up.</summary>
    /// <param name="sent">The event as it was leased.</param>
    /// <param name="result">How the attempt ended.</param>
    /// <param name="jitter">From 0 up to 1: spreads the retries of many events.</param>
    /// <param name="now">The time.</param>
    public static OutboxEvent AfterFailure(OutboxEvent sent, SendResult result, double jitter, DateTimeOffset now)
    {
        var failed = sent with { Attempts = sent.Attempts + 1, LastAttemptAt = now, Lease = null };
        return result.Outcome == SendOutcome.Gone || now - sent.WaitingSince >= RetriedFor
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
