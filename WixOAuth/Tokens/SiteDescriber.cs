using System.Buffers.Binary;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// Keeps a site's name, its address and the app's version as Wix has them (Get App Instance, wix-protocol §6). Asked for
/// with the first token, as of a clone, and then once a day, with a token that was just refreshed.
/// </summary>
internal sealed class SiteDescriber(WixClient wix, InstanceWriter writer, BackgroundWork background, TimeProvider time)
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    /// <summary>Asks Wix in the background if it is time to, and saves what has changed. An answer that does not come is asked for again the next day.</summary>
    /// <param name="before">The instance as the refresh found it.</param>
    /// <param name="accessToken">What the refresh obtained.</param>
    public void DescribeIfDue(Instance before, AccessToken accessToken)
    {
        if (IsDue(before, time.GetUtcNow()))
        {
            background.Start("site description", () => DescribeAsync(before.Id, accessToken));
        }
    }

    /// <summary>
    /// Each instance has its own time of day, from its id, and the refresh that passes it asks. Nothing has to be stored
    /// for this, and the questions spread over the day.
    /// </summary>
    internal static bool IsDue(Instance before, DateTimeOffset now)
    {
        var offset = (long)(BinaryPrimitives.ReadUInt32BigEndian(before.Id.ToByteArray().AsSpan(12)) / (double)(1L << 32) * Day.Ticks);
        return before.RefreshedAt is not { } refreshedAt
            || (refreshedAt.UtcTicks + offset) / Day.Ticks != (now.UtcTicks + offset) / Day.Ticks;
    }

    private async Task DescribeAsync(InstanceId id, AccessToken accessToken)
    {
        // The caller with the new token does not wait for this.
        await Task.Yield();
        if (await wix.GetAppInstanceAsync(accessToken, CancellationToken.None) is not { Site: { } site } described
            || (described.InstanceId ?? id) != id)
        {
            return;
        }

        try
        {
            await writer.UpdateAsync(
                id,
                known: null,
                current => current is null or { Status: InstanceStatus.Removed } ? current : current.Described(site, described.AppVersion, time.GetUtcNow()),
                CancellationToken.None);
        }
        catch (StorageUnavailableException)
        {
            // Tomorrow's answer serves as well, and the tokens are safe.
        }
    }
}
