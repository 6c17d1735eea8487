using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Settings;
using WixOAuth.Tokens;

namespace WixOAuth.Lifecycle;

/// <summary>
/// What happens to an installation besides consents and refreshes: Wix tells that the app was installed or removed,
/// and an operator forgets it. Events may come late, twice and in any order (wix-protocol §10); they are ordered by
/// Wix's clock only, and what they do in the end is the same as if they had come in that order.
/// </summary>
/// <remarks>
/// Each change costs one read and one write, plus one of each per conflicting writer. Slower work, such as requesting tokens
/// from Wix, is left to the sweep: the instance becomes due.
/// </remarks>
internal sealed partial class InstanceLifecycle(
    InstanceWriter writer, TokenService tokenService, IForgottenInstances forgotten, ServiceSettings settings, TimeProvider time, ILogger<InstanceLifecycle> logger)
{
    private bool SendSetupCompleted => settings.Wix.SetupCompletion == SetupCompletion.OnInstall;

    /// <summary>Applies <see cref="Instance.AppInstalled"/>.</summary>
    /// <returns>False when it changed nothing.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; the event may be applied again.</exception>
    public Task<bool> InstalledAsync(InstanceId id, DateTimeOffset issuedAt, CancellationToken cancellationToken) => ChangeAsync(
        "AppInstalled",
        id,
        (before, now) => Instance.AppInstalled(before, id, issuedAt, settings.Wix.ClientCredentialsFallback, SendSetupCompleted, now),
        cancellationToken);

    /// <summary>
    /// Applies <see cref="Instance.AppRemoved"/>. A removal in doubt (<see cref="Instance.RemovalDoubtedFor"/>) is settled by
    /// the next refresh: if Wix rejects the tokens it was real, otherwise an old event.
    /// </summary>
    /// <returns>False when it changed nothing.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; the event may be applied again.</exception>
    public Task<bool> RemovedAsync(InstanceId id, DateTimeOffset issuedAt, CancellationToken cancellationToken) =>
        ChangeAsync("AppRemoved", id, (before, now) => Instance.AppRemoved(before, id, issuedAt, SendSetupCompleted, now), cancellationToken);

    /// <summary>Applies <see cref="Instance.Forget"/>.</summary>
    /// <returns>False when it was forgotten before.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; it may be forgotten again.</exception>
    public async Task<bool> ForgetAsync(InstanceId id, CancellationToken cancellationToken)
    {
        var hasChanged = await ChangeAsync("ForgetInstance", id, (before, now) => Instance.Forget(before, id, now), cancellationToken);

        // Also when it was forgotten before: that may be a repeat of a call which failed here.
        await forgotten.AddAsync(id, cancellationToken);
        return hasChanged;
    }

    /// <summary>Sets or clears the customer that a site belongs to.</summary>
    /// <returns>The instance as it is now; unchanged where it is removed. Null when it is not known.</returns>
    /// <exception cref="StorageUnavailableException">The storage fails; it may be set again.</exception>
    public async Task<Instance?> SetCustomerAsync(InstanceId id, string? customer, CancellationToken cancellationToken)
    {
        // One time for all attempts, by which one whose answer was lost is recognised.
        var now = time.GetUtcNow();
        var stored = await writer.UpdateAsync(
            id, known: null, before => before is null or { Status: InstanceStatus.Removed } ? before : before.WithCustomer(customer, now), cancellationToken);
        return stored?.Instance;
    }

    private async Task<bool> ChangeAsync(
        string what, InstanceId id, Func<Instance?, DateTimeOffset, Instance> change, CancellationToken cancellationToken)
    {
        var hasChanged = false;
        var stored = await writer.UpdateAsync(
            id,
            known: null,
            before =>
            {
                var after = change(before, time.GetUtcNow());
                hasChanged = !ReferenceEquals(before, after);
                return after;
            },
            cancellationToken);
        var instance = stored!.Instance;
        if (instance.Status == InstanceStatus.Removed)
        {
            tokenService.Forget(stored);
        }

        if (hasChanged)
        {
            Changed(id, what, instance.Status, instance.RemovalNotedAt is not null);
        }
        else
        {
            Unchanged(id, what, instance.Status);
        }

        return hasChanged;
    }

    [LoggerMessage(601, LogLevel.Information, "Instance {InstanceId}: {What}, now {Status} (removal in doubt: {Doubted})")]
    private partial void Changed(InstanceId instanceId, string what, InstanceStatus status, bool doubted);

    [LoggerMessage(602, LogLevel.Information, "Instance {InstanceId}: {What} changed nothing, still {Status}")]
    private partial void Unchanged(InstanceId instanceId, string what, InstanceStatus status);
}
