using System.Buffers.Binary;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>
/// Keeps a site's name, its address and the app's version as Wix has them (Get App Instance, wix-protocol §6). Asked for
/// at once where nothing is known yet, as of a clone, and then about once a day while the site is in use, with a token
/// that was just refreshed.
/// </summary>
internal sealed class SiteDescriber(WixClient wix, InstanceWriter writer, TimeProvider time)
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <summary>Asks Wix if it is time to, and saves what has changed. An answer that does not come is asked for again later.</summary>
    /// <exception cref="StorageUnavailableException">The storage fails.</exception>
    public async Task DescribeIfDueAsync(Instance before, bool isInUse, AccessToken accessToken)
    {
        if (IsDue(before, isInUse, time.GetUtcNow())
            && await wix.GetAppInstanceAsync(accessToken, CancellationToken.None) is { Site: { } site } described
            && (described.InstanceId ?? before.Id) == before.Id)
        {
            await writer.UpdateAsync(
                before.Id,
                known: null,
                current => current is null or { Status: InstanceStatus.Removed } ? current : current.Described(site, described.AppVersion, time.GetUtcNow()),
                CancellationToken.None);
        }
    }

    /// <summary>
    /// Each instance has its own time of day, from its id, and the refresh that passes it asks. Nothing has to be stored
    /// for this, and the questions spread over the day.
    /// </summary>
    internal static bool IsDue(Instance before, bool isInUse, DateTimeOffset now)
    {
        var offset = (long)(BinaryPrimitives.ReadUInt32BigEndian(before.Id.ToByteArray().AsSpan(12)) / (double)(1L << 32) * Day.Ticks);
        return before is { ConsentedAt: null, Site: null }
            || before.RefreshedAt is not { } refreshedAt
            || (isInUse && (refreshedAt.UtcTicks + offset) / Day.Ticks != (now.UtcTicks + offset) / Day.Ticks);
    }
}
