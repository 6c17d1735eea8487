using WixOAuth.Instances;

namespace WixOAuth.Functions.Tests.Support;

public static class Tombstones
{
    /// <summary>What a removal leaves: no tokens, and a generation that beats any refresh under way.</summary>
    public static Instance Tombstone(this Instance instance) => instance with
    {
        Status = InstanceStatus.Removed,
        Generation = instance.Generation + 1,
        AccessToken = null,
        RefreshToken = null,
        AccessTokenIssuedAt = null,
        AccessTokenExpiresOn = null,
        Lease = null,
        Failures = null,
        DueAt = null,
    };
}
