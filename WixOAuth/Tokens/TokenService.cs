using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Tokens;

/// <summary>
/// Hands out access tokens: from the memory of this process, else by a refresh that all callers of an instance share. A
/// token near its end is served while the next one is fetched in the background.
/// </summary>
internal sealed class TokenService(
    TokenRefresher refresher,
    TokenMemory memory,
    LastUsedTracker uses,
    BackgroundWork background,
    TokenMetrics metrics,
    TimeProvider time,
    ILogger<TokenService> logger)
{
    private const int LastRound = 3;

    private readonly ConcurrentDictionary<InstanceId, PendingRefresh> _pending = new();

    /// <summary>An access token of an instance that meets <paramref name="requirements"/>, or why there is none.</summary>
    /// <exception cref="OperationCanceledException">The caller gave up; a refresh that it started goes on for others.</exception>
    public ValueTask<TokenResult> GetTokenAsync(InstanceId id, TokenRequirements requirements, CancellationToken cancellationToken)
    {
        var now = time.GetUtcNow();

        // The sweep acts on the stored row, which may be due for a reason other than the token's age.
        if (requirements is { Rejected: null, IsAhead: false } && memory.Find(id, now) is { } held && requirements.IsMetBy(held, now))
        {
            RefreshAheadIfDue(held, now);
            uses.Note(id, now);
            metrics.Answered(held, TokenSource.Memory);
            return new ValueTask<TokenResult>(held);
        }

        return new ValueTask<TokenResult>(AnswerAsync(id, requirements, cancellationToken));
    }

    /// <summary>
    /// For the sweep: refreshes an instance whose row it has just read, unless it turns out to need none. The row
    /// decides, whatever this process remembers.
    /// </summary>
    internal Task<(TokenResult Result, TokenSource Source)> RefreshDueAsync(StoredInstance read) =>
        WaitForTokenAsync(read.Instance.Id, TokenRequirements.Ahead, read, CancellationToken.None);

    /// <summary>Evicts the cached tokens of an instance whose removal was just saved.</summary>
    public void Forget(StoredInstance removed)
    {
        memory.Forget(removed.Instance.Id, removed.Instance.Generation);

        // A pending refresh may have read the row before: later callers must not join it.
        _pending.TryRemove(removed.Instance.Id, out _);
    }

    private async Task<TokenResult> AnswerAsync(InstanceId id, TokenRequirements requirements, CancellationToken cancellationToken)
    {
        using var activity = metrics.Trace("GetToken", id);
        try
        {
            var (result, source) = await WaitForTokenAsync(id, requirements, read: null, cancellationToken);
            metrics.Answered(result, source, activity);
            return result;
        }
        catch (OperationCanceledException)
        {
            metrics.Cancelled();
            throw;
        }
    }

    private async Task<(TokenResult Result, TokenSource Source)> WaitForTokenAsync(
        InstanceId id, TokenRequirements requirements, StoredInstance? read, CancellationToken cancellationToken)
    {
        var askedAt = time.GetUtcNow();
        for (var round = 1; ; round++)
        {
            // The last round starts a refresh of its own: pending ones with weaker requirements could keep this caller waiting for ever.
            var (pending, joined) = round < LastRound
                ? JoinOrStart(id, requirements, read)
                : (Start(id, new PendingRefresh(requirements), read: null), false);
            var (result, source) = await pending.Task.WaitAsync(cancellationToken);
            var now = time.GetUtcNow();
            if (result is TokenResult.Token token && !requirements.IsAhead)
            {
                uses.Note(id, now);
                RefreshAheadIfDue(token, now);
            }

            if (IsAnswer(requirements, result, pending, joined && round == 1, joined, askedAt, now))
            {
                return (result, source);
            }

            // What was read before that refresh is outdated.
            read = null;
            if (requirements.Rejected is null && memory.Find(id, now) is { } held && requirements.IsMetBy(held, now))
            {
                return (held, source);
            }

            if (round == LastRound)
            {
                return (new TokenResult.WixUnavailable(RefreshDecisions.LongestPoll), source);
            }
        }
    }

    /// <summary>
    /// Whether a result answers these requirements. A refresh that others started may have had lesser ones, or may have
    /// begun before we asked; even our own token may have aged too much before it was saved.
    /// </summary>
    private static bool IsAnswer(
        TokenRequirements requirements, TokenResult result, PendingRefresh pending, bool joinedFirst, bool joined, DateTimeOffset askedAt, DateTimeOffset now) =>
        result switch
        {
            TokenResult.Unknown or TokenResult.Removed => true,
            TokenResult.Token token when requirements.IsNew => !joined || token.IssuedAt >= askedAt,
            TokenResult.Token token => requirements.IsMetBy(token, now) || (requirements.IsAhead && !joined),
            _ => !joined || (!joinedFirst && pending.Requirements.IsNew == requirements.IsNew && pending.Requirements.IsAhead == requirements.IsAhead),
        };

    private void RefreshAheadIfDue(TokenResult.Token token, DateTimeOffset now)
    {
        // This caller is served; the next ones are to find a fresh token.
        if (now >= token.RefreshOn && JoinOrStart(token.InstanceId, TokenRequirements.Ahead, read: null) is (var pending, false))
        {
            StartPause(token, pending);
        }
    }

    // In a method of its own: inside its caller the closure would be allocated for every token from memory.
    private void StartPause(TokenResult.Token token, PendingRefresh pending) =>
        background.Start("refresh ahead", () => PauseUnlessRefreshedAsync(token, pending));

    private async Task PauseUnlessRefreshedAsync(TokenResult.Token old, PendingRefresh pending)
    {
        var (result, _) = await pending.Task;
        var now = time.GetUtcNow();
        if (memory.Find(old.InstanceId, now) is { } held && held.Generation == old.Generation)
        {
            // Without a pause every caller would ask the storage again.
            var pause = (result as TokenResult.WixUnavailable)?.RetryAfter ?? RefreshDecisions.LongestPoll;
            memory.Remember(held with { RefreshOn = now + pause });
        }
    }

    private (PendingRefresh Pending, bool Joined) JoinOrStart(InstanceId id, TokenRequirements requirements, StoredInstance? read)
    {
        if (_pending.TryGetValue(id, out var pending))
        {
            return (pending, true);
        }

        var mine = new PendingRefresh(requirements);
        pending = _pending.GetOrAdd(id, mine);
        return pending == mine ? (Start(id, mine, read), false) : (pending, true);
    }

    private PendingRefresh Start(InstanceId id, PendingRefresh pending, StoredInstance? read)
    {
        // The program waits for it when it stops, even if the caller has left: what Wix grants must be saved.
        background.Start("refresh", () => RunAsync(id, pending, read));
        return pending;
    }

    // Takes no caller's cancellation: who started it may leave while others wait.
    private async Task RunAsync(InstanceId id, PendingRefresh pending, StoredInstance? read)
    {
        await Task.Yield();
        (TokenResult, TokenSource) result = (new TokenResult.StorageUnavailable(), TokenSource.Storage);
        Exception? unexpected = null;
        try
        {
            result = await refresher.RefreshIfNeededAsync(id, pending.Requirements, read);
        }
        catch (StorageUnavailableException)
        {
            logger.StorageUnavailable(id);
        }
        catch (SecretUnavailableException)
        {
            logger.SecretUnavailable(id);
        }
        catch (InvalidDataException exception)
        {
            logger.Unreadable(id, exception.Message);
        }
        catch (Exception exception)
        {
            logger.RefreshBroke(id, exception.GetType().Name, exception.StackTrace);
            unexpected = exception;
        }
        finally
        {
            _pending.TryRemove(KeyValuePair.Create(id, pending));
            _ = unexpected is null ? pending.TrySetResult(result) : pending.TrySetException(unexpected);
        }
    }

    /// <summary>The one refresh of an instance that may be under way in this process, and those who wait for it.</summary>
    private sealed class PendingRefresh(TokenRequirements requirements)
        : TaskCompletionSource<(TokenResult Result, TokenSource Source)>(TaskCreationOptions.RunContinuationsAsynchronously)
    {
        public TokenRequirements Requirements => requirements;
    }
}
