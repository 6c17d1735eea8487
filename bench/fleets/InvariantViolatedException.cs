using WixOAuth.Instances;

namespace WixOAuth.Fleets;

/// <summary>Something happened that must not, whatever goes wrong.</summary>
internal sealed class InvariantViolatedException(string message) : Exception(message)
{
    /// <param name="rule">Of <see cref="FleetRule"/>.</param>
    /// <param name="at">When it was seen.</param>
    /// <param name="id">For which site; null where it concerns none alone.</param>
    /// <param name="details">What was seen.</param>
    public InvariantViolatedException(string rule, DateTimeOffset at, InstanceId? id, string details)
        : this($"\"{rule}.\" {at - FleetSchedule.Start:d\\.hh\\:mm\\:ss}{(id is null ? "" : $", site {id}")}: {details}")
    {
    }
}
