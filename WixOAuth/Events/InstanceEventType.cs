using WixOAuth.Instances;

namespace WixOAuth.Events;

/// <summary>What happened to an instance. The value of the event's <c>type</c> is <see cref="InstanceEventTypes.NameOf"/>.</summary>
internal enum InstanceEventType
{
    /// <summary>The app was installed on a site, for the first time or after a removal.</summary>
    Connected,

    /// <summary>The owner of a connected site consented again, or an import replaced its tokens.</summary>
    Reconnected,

    /// <summary>The app was removed from the site, or the instance was forgotten here.</summary>
    Removed,

    /// <summary>Wix no longer accepts the installation: the owner has to install the app again.</summary>
    ReinstallRequired,

    /// <summary>An instance that required a reinstall has a token again without a new consent.</summary>
    Recovered,

    /// <summary>Wix accepted <c>APP_FINISHED_CONFIGURATION</c> (wix-protocol §6).</summary>
    SetupCompleted,

    /// <summary>A consent named another customer than the instance's own, which was kept.</summary>
    CustomerConflict,
}

internal static class InstanceEventTypes
{
    public static string NameOf(InstanceEventType type) => "instance." + SnakeCaseEnum.Of(type);
}
