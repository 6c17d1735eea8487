using WixOAuth.Instances;

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

/// <summary>
/// Which events a change of an instance causes: the one place that maps transitions to events. It compares the record
/// before and after a write, so that a transition cannot forget to report its event.
/// </summary>
internal static class InstanceEvents
{
    /// <summary>The events of a change, in the order in which they are sent.</summary>
    public static IEnumerable<(InstanceEventType Type, string Reason)> Between(Instance? before, Instance after)
    {
        var newTokens = after.ConsentId is not null && after.ConsentId != before?.ConsentId ? "consent"
            : after.ImportedAt is not null && after.ImportedAt != before?.ImportedAt ? "import"
            : null;
        if (StatusEvent(before, after, newTokens) is { } change)
        {
            yield return change;
        }

        if (after.CustomerConflictAt is not null && after.CustomerConflictAt != before?.CustomerConflictAt)
        {
            yield return (InstanceEventType.CustomerConflict, "consent");
        }

        if (after.SetupCompletedAt is not null && after.SetupCompletedAt != before?.SetupCompletedAt)
        {
            yield return (InstanceEventType.SetupCompleted, "wix_accepted");
        }
    }

    private static (InstanceEventType Type, string Reason)? StatusEvent(Instance? before, Instance after, string? newTokens) =>
        (before?.Status, after.Status) switch
        {
            (null or InstanceStatus.Removed, InstanceStatus.Removed) => null,
            (_, InstanceStatus.Removed) => (InstanceEventType.Removed, after.Forgotten ? "forgotten" : "app_removed"),
            (_, InstanceStatus.Active) when newTokens is not null => (WasServed(before) ? InstanceEventType.Reconnected : InstanceEventType.Connected, newTokens),

            // A clone or a lost redirect: nobody consented here, and the first token shows that the installation works.
            (InstanceStatus.Active, InstanceStatus.Active) when IsFirstToken(before!, after) => (InstanceEventType.Connected, "app_installed"),

            // An earlier event named the customer that the removal has ended.
            (InstanceStatus.Active, InstanceStatus.Active) when LostCustomerToRemoval(before!, after) => (InstanceEventType.Connected, "late_removal"),
            (InstanceStatus.Active or null or InstanceStatus.Removed, InstanceStatus.ReinstallRequired) =>
                (InstanceEventType.ReinstallRequired, before?.Status == InstanceStatus.Active ? "rejected" : "not_consented"),
            (InstanceStatus.ReinstallRequired, InstanceStatus.Active) => (InstanceEventType.Recovered, "token_accepted"),
            _ => null,
        };

    private static bool WasServed(Instance? before) =>
        before is { Status: not InstanceStatus.Removed } && (before.ConsentedAt is not null || before.RefreshedAt is not null)
        && !IsLossUntold(before);

    // No event tells that a site which only a consent can serve again has lost its customer.
    private static bool IsLossUntold(Instance before) => before is { Status: InstanceStatus.ReinstallRequired, Customer: null, CustomerNamedAt: not null };

    private static bool LostCustomerToRemoval(Instance before, Instance after) =>
        before.Customer is not null && after.Customer is null && after.CustomerNamedAt is not null;

    private static bool IsFirstToken(Instance before, Instance after) =>
        after.ConsentedAt is null && before.RefreshedAt is null && after.RefreshedAt is not null;
}
