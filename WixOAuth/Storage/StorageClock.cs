using WixOAuth.Instances;

namespace WixOAuth.Storage;

/// <summary>
/// Converts the times of stored access tokens to the storage's clock, which all processes share. Otherwise a token that was
/// stored by a process whose clock is ahead would be served after its expiry. Safe for concurrent use.
/// </summary>
/// <param name="time">The clock of this process; null to store times as they are.</param>
internal sealed class StorageClock(TimeProvider? time)
{
    /// <summary>A smaller difference is left alone: the date of an answer has no fractions of a second, and an answer takes time.</summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromSeconds(5);

    private long _lead;

    private TimeSpan Lead => TimeSpan.FromTicks(Interlocked.Read(ref _lead));

    public void Observe(DateTimeOffset? answeredAt)
    {
        if (time is not null && answeredAt is not null)
        {
            var lead = time.GetUtcNow() - answeredAt.Value;
            Interlocked.Exchange(ref _lead, lead.Duration() > Tolerance ? lead.Ticks : 0);
        }
    }

    public Instance ToStored(Instance instance) => instance.WithTokenTimesMoved(-Lead);

    /// <summary>An instance as it was read, with its token's times by the clock of this process. Its row was written at a time of the storage's clock.</summary>
    /// <exception cref="InvalidDataException">A time of its token is so early or late that it cannot be moved.</exception>
    public Instance FromStored(Instance instance, DateTimeOffset? writtenAt)
    {
        // No token is stored before it is issued: the writer's clock was set back in between, or its version compares no clocks.
        var ahead = time is null ? default : instance.AccessTokenIssuedAt - writtenAt ?? default;
        try
        {
            return instance.WithTokenTimesMoved(Lead - (ahead > Tolerance ? ahead : default));
        }
        catch (ArgumentOutOfRangeException)
        {
            throw new InvalidDataException($"The row '{InstanceRows.InstanceKey(instance.Id)}' has a time of its access token that is out of range.");
        }
    }
}
