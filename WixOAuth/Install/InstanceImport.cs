using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Install;

internal readonly record struct ImportResult(ImportOutcome Outcome, TimeSpan RetryAfter = default);

/// <summary>
/// Takes over a site from another system, beside live traffic: the token is used once at Wix, confirmed as at the
/// Redirect URL, and saved only where no newer consent is stored. Repeating an import changes nothing.
/// </summary>
internal sealed partial class InstanceImport(
    IInstanceStore store,
    InstanceWriter writer,
    TokenGrants grants,
    InstanceConfirmation confirmation,
    TokenProtector protector,
    InstanceTokens tokens,
    TokenSchedule schedule,
    IForgottenInstances forgotten,
    TimeProvider time,

    // Ten: one for each step of an import, so that one class shows all of it in order.
    ILogger<InstanceImport> logger)
{
    private static readonly TimeSpan s_retryAfter = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_longestRetryAfter = TimeSpan.FromMinutes(1);

    /// <summary>Imports a site; without a refresh token it is served by client credentials. Once the token is used nothing cancels it.</summary>
    /// <exception cref="StorageUnavailableException">The storage fails; the import may have succeeded and can be repeated.</exception>
    /// <exception cref="SecretUnavailableException">A secret cannot be read, or nothing may be sealed now; nothing was used.</exception>
    public async Task<ImportResult> ImportAsync(InstanceId id, RefreshToken? refreshToken, ImportedSite site, CancellationToken cancellationToken)
    {
        var stored = await store.FindAsync(id, cancellationToken);
        var decision = await DecideAsync(stored?.Instance, refreshToken, site);
        if (decision is not (ImportOutcome.Imported or ImportOutcome.Refreshed))
        {
            return new ImportResult(decision);
        }

        if (refreshToken is null && !grants.MayUseClientCredentials)
        {
            return new ImportResult(ImportOutcome.TokenRequired);
        }

        await protector.EnsureCanSealAsync(cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();

        // From here on nothing is cancelled. Without a token the app's own credentials are tried.
        var answer = await grants.TryAsync(id, refreshToken, CancellationToken.None);
        if (answer is not TokenAnswer.Granted granted)
        {
            return answer is TokenAnswer.Unavailable unavailable ? Unavailable(unavailable.RetryAfter) : Rejected(id);
        }

        // Whose token is it? The import's instance id is only a claim.
        var confirmed = await confirmation.ConfirmAsync(granted.AccessToken, id, CancellationToken.None);
        if (confirmed.Outcome != ConfirmationOutcome.Confirmed)
        {
            return confirmed.Outcome == ConfirmationOutcome.Refused ? Rejected(id) : Unavailable(retryAfter: null);
        }

        var described = site with { Site = confirmed.Instance?.Site, AppVersion = confirmed.Instance?.AppVersion };
        return new ImportResult(await SaveAsync(id, stored, refreshToken, described, granted));
    }

    private static ImportResult Unavailable(TimeSpan? retryAfter) => new(
        ImportOutcome.WixUnavailable, TimeSpan.FromTicks(Math.Clamp(retryAfter?.Ticks ?? 0, s_retryAfter.Ticks, s_longestRetryAfter.Ticks)));

    private ImportResult Rejected(InstanceId id)
    {
        ImportRejected(id);
        return new ImportResult(ImportOutcome.Rejected);
    }

    private async Task<ImportOutcome> SaveAsync(
        InstanceId id, StoredInstance? known, RefreshToken? given, ImportedSite site, TokenAnswer.Granted granted)
    {
        var (importId, outcome) = (Guid.NewGuid().ToString("N"), ImportOutcome.Imported);
        var stored = await writer.CommitAsync(
            id,
            known,
            async before =>
            {
                // Decided again each time: a consent or a removal may have happened in between.
                outcome = await DecideAsync(before, given, site);
                if (outcome is not (ImportOutcome.Imported or ImportOutcome.Refreshed))
                {
                    return before;
                }

                var now = time.GetUtcNow();
                var sealedTokens = await tokens.SealAsync(id, Instance.NextGeneration(before), granted, given is null ? null : granted.RefreshToken ?? given);
                var instance = Instance.Imported(before, id, site, sealedTokens, importId, now);
                return instance with { DueAt = schedule.DueAt(instance, now) };
            },
            current => current.CommitId == importId);
        if (stored!.Instance.CommitId == importId)
        {
            tokens.Remember(stored.Instance, granted.AccessToken);
            if (site.Revive)
            {
                await RemoveForgottenAsync(id);
            }
        }

        ImportDone(id, outcome);
        return outcome;
    }

    // After the save, which must not wait: the token was already used. If the record stays, it affects only a restore of a copy
    // from before this import, because a restore prefers a later import to the record.
    private async Task RemoveForgottenAsync(InstanceId id)
    {
        try
        {
            await forgotten.RemoveAsync(id, CancellationToken.None);
            if (await store.FindAsync(id, CancellationToken.None) is { Instance.Forgotten: true })
            {
                // Forgotten again since the save, and this removed the record of that.
                await forgotten.AddAsync(id, CancellationToken.None);
            }
        }
        catch (StorageUnavailableException)
        {
            StillForgotten(id);
        }
    }

    private async Task<ImportOutcome> DecideAsync(Instance? before, RefreshToken? given, ImportedSite site)
    {
        var isSame = given is not null && before is { Status: not InstanceStatus.Removed } && given.Equals(await tokens.OpenRefreshTokenAsync(before));
        return Instance.DecideImport(before, site, given is not null, isSame);
    }

    [LoggerMessage(711, LogLevel.Information, "Instance {InstanceId}: import ended as {Outcome}")]
    private partial void ImportDone(InstanceId instanceId, ImportOutcome outcome);

    [LoggerMessage(712, LogLevel.Warning, "Instance {InstanceId}: import refused, Wix rejects the token, or it belongs to another instance or app")]
    private partial void ImportRejected(InstanceId instanceId);

    [LoggerMessage(713, LogLevel.Warning, "Instance {InstanceId}: imported, but the backup container still records it as forgotten; a restore of an older copy would remove it")]
    private partial void StillForgotten(InstanceId instanceId);
}
