using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// What Wix granted to an attempt, and what is to be kept of it: <paramref name="RefreshToken"/> is sealed for the new
/// generation; null leaves the stored one as it is. <paramref name="Replaced"/> is the refresh token that it replaces;
/// null when Wix sent no new one.
/// </summary>
internal sealed record NewTokens(
    string AttemptId, Grant Grant, TokenAnswer.Granted Tokens, RefreshToken? RefreshToken, RefreshToken? Replaced, RefreshTokenFault? Fault, long StartedAt);

/// <summary>
/// Saves new tokens, patiently. Wix may no longer accept the refresh token that they were requested with, so while they
/// are not saved, this process does not use it again.
/// </summary>
internal sealed class TokenCommitter(
    InstanceWriter writer,
    InstanceTokens tokens,
    TokenSchedule schedule,
    LastUsedTracker uses,
    BackgroundWork background,
    TimeProvider time,
    ILogger<TokenCommitter> logger)
{
    private static readonly TimeSpan BetweenTries = TimeSpan.FromSeconds(5);

    // So that a long outage does not fill the log. Less than a caller waits for a token.
    private static readonly TimeSpan BetweenLaterTries = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LaterAfter = TimeSpan.FromMinutes(10);

    // Instances whose new tokens wait to be saved, and the attempt that was granted them.
    private readonly ConcurrentDictionary<InstanceId, string> _unsaved = new();

    /// <summary>Whether new tokens of an instance wait here to be saved.</summary>
    public bool IsUnsaved(InstanceId id) => _unsaved.ContainsKey(id);

    /// <summary>Saves new tokens. Returns the new token even if it cannot be saved yet, or the winner's token if another attempt committed first.</summary>
    internal async Task<TokenResult> CommitAsync(StoredInstance leased, NewTokens granted)
    {
        var unsaved = KeyValuePair.Create(leased.Instance.Id, granted.AttemptId);
        _unsaved[unsaved.Key] = unsaved.Value;
        try
        {
            var result = await SaveAsync(leased, granted);
            _unsaved.TryRemove(unsaved);
            return result;
        }
        catch (Exception exception)
        {
            // The token is good although it could not be saved, and its callers need not wait for that.
            logger.CommitFailed(unsaved.Key, exception.GetType().Name);
            background.Start("late commit", () => CommitLateAsync(leased, granted, unsaved));
            return tokens.RememberUnsaved(unsaved.Key, granted.Tokens, leased.Instance.Generation + 1);
        }
    }

    // Until they are saved or others are, or the program ends: they may contain the only refresh token that Wix still
    // accepts. They are few, because without the storage no lease is taken.
    private async Task CommitLateAsync(StoredInstance leased, NewTokens granted, KeyValuePair<InstanceId, string> unsaved)
    {
        var startedAt = time.GetTimestamp();
        while (true)
        {
            await Task.Delay(time.GetElapsedTime(startedAt) < LaterAfter ? BetweenTries : BetweenLaterTries, time, CancellationToken.None);
            try
            {
                await SaveAsync(leased, granted);
                _unsaved.TryRemove(unsaved);
                return;
            }
            catch (Exception exception)
            {
                logger.CommitFailed(unsaved.Key, exception.GetType().Name);
            }
        }
    }

    private async Task<TokenResult> SaveAsync(StoredInstance leased, NewTokens granted)
    {
        var id = leased.Instance.Id;
        RefreshTokenFaultKind? before = null;
        var stored = await writer.CommitAsync(
            id,
            leased,
            async current =>
            {
                // The fence is the generation, not the ETag nor the lease: as long as no other tokens were saved and the
                // instance was not removed, ours are the newest.
                if (current is null
                    || current.Status == InstanceStatus.Removed
                    || (current.Generation != leased.Instance.Generation && !await HoldsReplacedAsync(current, granted)))
                {
                    return current;
                }

                before = current.RefreshTokenFault?.Kind;
                var now = time.GetUtcNow();
                var sealedTokens = await tokens.SealAsync(id, Instance.NextGeneration(current), granted.Tokens, granted.RefreshToken);
                var refreshed = current.Refreshed(granted.Grant, sealedTokens, granted.Fault, granted.AttemptId, now);
                refreshed = refreshed with { LastUsedAt = uses.Newest(id, current.LastUsedAt) };
                if (current.IsDoubtedAs(leased.Instance))
                {
                    refreshed = refreshed.RemovalRefuted();
                }

                return refreshed with { DueAt = schedule.DueAt(refreshed, now) };
            },
            current => current.CommitId == granted.AttemptId);
        if (stored is null || stored.Instance.CommitId != granted.AttemptId)
        {
            return await tokens.AdoptAsync(id, stored);
        }

        logger.Refreshed(id, stored.Instance.Generation, granted.Grant, time.GetElapsedTime(granted.StartedAt).TotalMilliseconds);
        var after = stored.Instance.RefreshTokenFault?.Kind;
        if (after is { } fault && after != before)
        {
            logger.OnFallback(id, fault);
        }
        else if (before is not null && after is null && granted.Grant == Grant.RefreshToken)
        {
            logger.OffFallback(id);
        }

        return tokens.Remember(stored.Instance, granted.Tokens.AccessToken);
    }

    // Another attempt was granted tokens by client credentials meanwhile, and kept a refresh token that Wix has replaced. If it was
    // granted them by that refresh token, Wix still accepts it.
    private async Task<bool> HoldsReplacedAsync(Instance current, NewTokens granted) =>
        current.CurrentGrant == Grant.ClientCredentials
        && granted.Replaced is { } replaced && replaced.Equals(await tokens.OpenRefreshTokenAsync(current));
}
