using Microsoft.Extensions.Logging;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>Writes down that an attempt brought no token, what that means for the site, and when it is tried again.</summary>
internal sealed class FailureRecorder(InstanceWriter writer, TokenSchedule schedule, TimeProvider time, ILogger<FailureRecorder> logger)
{
    /// <summary>Records a failed attempt under its lease, gives the lease back, and returns what is stored; null when the instance is no longer known.</summary>
    internal async Task<StoredInstance?> RecordAsync(StoredInstance leased, Attempt attempt, SecretProof proof)
    {
        var (id, generation) = (leased.Instance.Id, leased.Instance.Generation);
        var isConfirmed = false;
        var stored = await writer.CommitAsync(
            id,
            leased,
            current =>
            {
                isConfirmed = false;
                if (current is null || IsNoLongerMine(current))
                {
                    return current;
                }

                var now = time.GetUtcNow();
                var cooldown = TokenSchedule.Cooldown(current.Failures?.Count ?? 0, attempt.Error == TokenError.Rejected, attempt.RetryAfter);
                var failed = current.Failed(attempt.Error!.Value, attempt.Fault, now + cooldown, now, wasAsked: !attempt.HasNoGrant);
                var isFinal = attempt.HasNoGrant || failed.Status == InstanceStatus.ReinstallRequired;
                if (attempt.EveryGrantRejected)
                {
                    var verdict = RejectionPolicy.Judge(current.CountedRejections, failed.Failures!, proof, now);
                    failed = failed with { CountedRejections = verdict.Counted };
                    if (verdict.IsFinal && current.IsDoubtedAs(leased.Instance))
                    {
                        isConfirmed = true;
                        return current.RemovalConfirmed(now);
                    }

                    isFinal |= verdict.IsFinal;
                }

                failed = isFinal ? failed.Marked(now) : failed;
                return failed with { DueAt = schedule.DueAt(failed, now) };
            },
            IsNoLongerMine);

        if (stored is not null && stored.Instance.Generation == generation)
        {
            logger.RefreshFailed(id, attempt.Error!.Value, stored.Instance.Failures?.Count ?? 0, stored.Instance.Status);
        }
        else if (isConfirmed)
        {
            logger.RemovalConfirmed(id);
        }

        return stored;

        // Either this failure is already recorded and only the response was lost, or another attempt took over the lease and
        // records its own result.
        bool IsNoLongerMine(Instance current) => current.Generation != generation || current.Lease?.Owner != attempt.Id;
    }
}
