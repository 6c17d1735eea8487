using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Tokens;
using WixOAuth.Wix;

namespace WixOAuth.Maintenance;

internal enum SweepOutcome
{
    Refreshed,

    /// <summary>It needed none after all (removed, idle, or another process was refreshing it), or no grant is allowed for it.</summary>
    Skipped,

    /// <summary>It should have a new token and has none.</summary>
    Failed,

    /// <summary>A failure that lasts until somebody mends the row.</summary>
    Unreadable,
}

internal sealed class DueInstanceRefresher(
    IInstanceStore store,
    InstanceWriter writer,
    TokenService tokenService,
    TokenSchedule schedule,
    LastUsedTracker uses,
    SetupCompleter setup,
    TimeProvider time,

    // Eight: the last two are the clock and the log.
    ILogger<DueInstanceRefresher> logger)
{
    /// <summary>Refreshes an instance that is due, sends what is pending to Wix, and moves it on in the due index. A stop ends it only before tokens are requested.</summary>
    internal async Task<SweepOutcome> RefreshAsync(DueInstance due, CancellationToken untilStop)
    {
        try
        {
            if (await store.FindAsync(due.Id, untilStop) is not { } stored || stored.Instance.DueAt != due.DueAt)
            {
                await store.RemoveDueAsync(due, untilStop);
                return SweepOutcome.Skipped;
            }

            stored = await WithLastUseAsync(stored, untilStop);
            if (stored.Instance is { SetupPending: false, Status: InstanceStatus.Active } && schedule.DueAt(stored.Instance, time.GetUtcNow()) > time.GetUtcNow())
            {
                await MoveOnAsync(stored);
                return SweepOutcome.Skipped;
            }

            // From here on nothing is cancelled: the tokens that Wix grants must be saved.
            untilStop.ThrowIfCancellationRequested();
            var (result, source) = await tokenService.RefreshDueAsync(stored);
            if (result is TokenResult.ReinstallRequired && source == TokenSource.Storage)
            {
                await MoveOnAsync(stored);
                return SweepOutcome.Skipped;
            }

            if (result is not TokenResult.Token token)
            {
                return result is TokenResult.Unknown or TokenResult.Removed ? SweepOutcome.Skipped : SweepOutcome.Failed;
            }

            var refreshed = source == TokenSource.Refresh && token.Generation > stored.Instance.Generation;
            try
            {
                await FollowUpAsync(stored, token.AccessToken, refreshed, untilStop);
            }
            catch (StorageUnavailableException exception) when (refreshed)
            {
                logger.SweepIncomplete(due.Id, exception.GetType().Name);
            }

            return refreshed ? SweepOutcome.Refreshed : SweepOutcome.Skipped;
        }
        catch (OperationCanceledException) when (untilStop.IsCancellationRequested)
        {
            return SweepOutcome.Skipped;
        }
        catch (InvalidDataException exception)
        {
            logger.Unreadable(due.Id, exception.Message);
            return SweepOutcome.Unreadable;
        }
        catch (Exception exception)
        {
            logger.SweepFailed(due.Id, exception.GetType().Name);
            return SweepOutcome.Failed;
        }
    }

    private async Task FollowUpAsync(StoredInstance stored, AccessToken accessToken, bool refreshed, CancellationToken untilStop)
    {
        var settled = stored.Instance.SetupPending
            && !untilStop.IsCancellationRequested
            && await setup.SendAsync(stored, accessToken) == WixResponseKind.Success;
        if (!refreshed && !settled)
        {
            await MoveOnAsync(stored);
        }
    }

    /// <summary>
    /// The row as it was read, with the latest known use, which the next write saves. The separate row of the last use is read
    /// only when the instance looks idle.
    /// </summary>
    private async Task<StoredInstance> WithLastUseAsync(StoredInstance stored, CancellationToken cancellationToken)
    {
        var id = stored.Instance.Id;
        var instance = stored.Instance with { LastUsedAt = uses.Newest(id, stored.Instance.LastUsedAt) };
        if (schedule.IsIdle(instance, time.GetUtcNow())
            && await store.FindLastUseAsync(id, cancellationToken) is { } usedAt
            && !(usedAt <= instance.LastUsedAt))
        {
            instance = instance with { LastUsedAt = usedAt };
        }

        return stored with { Instance = instance };
    }

    /// <summary>Nothing was written, but the instance must not stay due now, or every sweep would begin with it.</summary>
    private Task<StoredInstance?> MoveOnAsync(StoredInstance stored) => writer.UpdateAsync(
        stored.Instance.Id,
        stored,
        current =>
        {
            var now = time.GetUtcNow();
            return current?.DueAt <= now && schedule.DueAt(current, now) is var next && !(next <= now) ? current with { DueAt = next } : current;
        },
        CancellationToken.None);
}
