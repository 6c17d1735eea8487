namespace WixOAuth.Events;

/// <summary>What happened to an instance; docs/events.md says when each is sent. The value of the event's <c>type</c> is <see cref="CloudEvent.TypeOf"/>.</summary>
internal enum InstanceEventType
{
    Connected,
    Reconnected,
    Removed,
    ReinstallRequired,
    Recovered,
    SetupCompleted,
    CustomerConflict,
}
