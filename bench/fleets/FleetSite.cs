using WixOAuth.Instances;

namespace WixOAuth.Fleets;

/// <summary>What the invariants know of a site.</summary>
/// <param name="id">Which.</param>
/// <param name="isCalled">Whether callers ask for it; for another one only sweeps care.</param>
internal sealed class FleetSite(InstanceId id, bool isCalled)
{
    public InstanceId Id => id;

    public bool IsCalled => isCalled;

    /// <summary>When it removed the app, and how long something else had gone wrong before.</summary>
    public (DateTimeOffset At, TimeSpan TroubleBefore)? Death { get; set; }

    public bool IsHealthy => Death is null;

    /// <summary>Since when it is marked.</summary>
    public DateTimeOffset? MarkedAt { get; set; }

    /// <summary>Whether it was marked while it was healthy and Wix rejected requests at random.</summary>
    public bool WasMarkedByChance { get; set; }

    /// <summary>When it was tried last, and how long something else had gone wrong before.</summary>
    public (DateTimeOffset At, TimeSpan TroubleBefore) Tried { get; set; }

    /// <summary>The row and the refresh token of Wix that were compared last.</summary>
    public (string ETag, string RefreshToken) Compared { get; set; }
}
