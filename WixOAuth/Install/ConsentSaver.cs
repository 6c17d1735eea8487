using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>Saves the tokens of a consent, so that they are not lost whatever happens to the request that brought them.</summary>
internal sealed partial class ConsentSaver(
    InstanceWriter writer, InstanceTokens tokens, TokenSchedule schedule, TimeProvider time, ILogger<ConsentSaver> logger)
{
    /// <summary>
    /// Saves and caches the tokens of a consent, once: if the response to the write is lost, changes that others make afterwards
    /// are kept. A newer consent is kept too. <paramref name="known"/> is what is believed to be stored, which saves a read.
    /// </summary>
    public async Task<StoredInstance> SaveAsync(
        InstanceId id, Consent consent, TokenAnswer.Granted granted, RefreshToken refreshToken, StoredInstance? known = null)
    {
        var consentId = Guid.NewGuid().ToString("N");
        var isConflict = false;
        var stored = await writer.CommitAsync(
            id,
            known,
            async before =>
            {
                var now = time.GetUtcNow();
                var sealedTokens = await tokens.SealAsync(id, Instance.NextGeneration(before), granted, refreshToken);
                var instance = Instance.Consented(before, id, consent, sealedTokens, consentId, now);
                isConflict = instance.ConsentId == consentId && Instance.IsCustomerConflict(before, consent);
                return ReferenceEquals(instance, before) ? before : instance with { DueAt = schedule.DueAt(instance, now) };
            },
            current => current.ConsentId == consentId);
        if (isConflict)
        {
            CustomerConflict(id);
        }

        if (stored!.Instance.CommitId == consentId)
        {
            tokens.Remember(stored.Instance, granted.AccessToken);
        }

        return stored;
    }

    [LoggerMessage(208, LogLevel.Warning, "Instance {InstanceId}: a consent named another customer than the stored one; the tokens were saved and the customer was kept")]
    private partial void CustomerConflict(InstanceId instanceId);
}
