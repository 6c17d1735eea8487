using WixOAuth.Events;
using WixOAuth.Instances;

namespace WixOAuth.Pages;

/// <summary>
/// What the operators' page shows. <c>Troubles</c> without a banner are not shown; <c>Events</c> is null when events are not in
/// use; <c>SendsEvents</c> is whether <c>Events__Url</c> is set.
/// </summary>
internal sealed record StatusModel(
    DateTimeOffset Now, IReadOnlyCollection<string> Troubles, Overview Seen, HourChart Hour, StoredEvents? Events, bool SendsEvents, InstancesFound Found);

internal sealed record StatusLine(string? Css, string Words);
