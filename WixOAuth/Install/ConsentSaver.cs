using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Install;

/// <summary>Saves the tokens of a consent, so that they are not lost whatever happens to the request that brought them.</summary>
internal sealed class ConsentSaver(
    InstanceWriter writer, TokenProtector protector, TokenService tokenService, TokenSchedule schedule, TimeProvider time, ILogger<ConsentSaver> logger)
{
    /// <summary>
    /// Saves and caches the tokens of a consent, once. Changes that others made while the response to the write was lost
    /// stay as they are; so does a newer consent.
    /// </summary>
    public async Task<StoredInstance> SaveAsync(InstanceId id, Consent consent, TokenAnswer.Granted granted, RefreshToken refreshToken)
    {
        var consentId = Guid.NewGuid().ToString("N");
        var isConflict = false;
        var stored = await writer.CommitAsync(
            id,
            known: null,
            async before =>
            {
                var now = time.GetUtcNow();
                isConflict = Instance.IsCustomerConflict(before, consent);
                var tokens = await protector.ProtectAsync(id, Instance.NextGeneration(before), granted, refreshToken);
                var instance = Instance.Consented(before, id, consent, tokens, consentId, now);
                return ReferenceEquals(instance, before) ? before : instance with { DueAt = schedule.DueAt(instance, now) };
            },
            current => current.ConsentId == consentId);
        if (isConflict)
        {
            logger.CustomerConflict(id);
        }

        if (stored!.Instance.CommitId == consentId)
        {
            tokenService.Remember(stored, granted.AccessToken);
        }

        return stored;
    }
}
