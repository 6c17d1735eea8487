using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Client;

/// <summary>The cache in front of the service: one <see cref="InstanceTokens"/> for each instance, and the requests that fill it.</summary>
internal sealed class WixTokenClient(TokenEndpoint endpoint, TimeProvider time, ILogger<WixTokenClient> logger) : IWixTokenClient, IDisposable
{
    /// <summary>A token is refreshed when this part of the life that it came with is left.</summary>
    private const double RefreshAt = 0.4;

    /// <summary>The shortest life handed out: the lesser of this and a fifth of the life. With less left, callers wait for the refresh.</summary>
    private static readonly TimeSpan s_shortestLife = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_longestWaitWithToken = TimeSpan.FromSeconds(3);
    private const int Attempts = 3;

    /// <summary>No attempt begins later than this after the first: one that the service lets hang takes as long.</summary>
    private static readonly TimeSpan s_retryWithin = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan s_firstPause = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_longestPause = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_longestRetryAfter = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_evictEvery = TimeSpan.FromMinutes(1);

    private readonly ConcurrentDictionary<Guid, InstanceTokens> _instances = new();
    private readonly CancellationTokenSource _disposed = new();
    private long _evictedAt = time.GetTimestamp();

    /// <summary>How many instances are cached.</summary>
    internal int Count => _instances.Count;

    public ValueTask<WixAccessToken> GetTokenAsync(Guid instanceId, CancellationToken cancellationToken = default) =>
        _instances.TryGetValue(instanceId, out var tokens) && tokens.Fresh is { } token
            ? new ValueTask<WixAccessToken>(token)
            : GetSlowlyAsync(instanceId, cancellationToken);

    public async ValueTask<WixAccessToken> ReplaceTokenAsync(Guid instanceId, string rejectedToken, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(rejectedToken);
        var tokens = TokensOf(instanceId);
        var (token, pending) = tokens.Replace(rejectedToken, previous => Begin(instanceId, tokens, rejectedToken, previous));
        return token ?? await pending!.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    public void Dispose()
    {
        _disposed.Cancel();
        _disposed.Dispose();
    }

    private async ValueTask<WixAccessToken> GetSlowlyAsync(Guid instanceId, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        ObjectDisposedException.ThrowIf(_disposed.IsCancellationRequested, this);
        var tokens = TokensOf(instanceId);
        var (token, pending) = tokens.Get(previous => Begin(instanceId, tokens, rejected: null, previous));
        if (pending is null)
        {
            return token!;
        }

        try
        {
            return await (token is null ? pending.WaitAsync(cancellationToken) : pending.WaitAsync(tokens.HalfOfWhatIsLeft(s_longestWaitWithToken), time, cancellationToken))
                .ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // However slow the service is, a living token is returned while it lives.
            return tokens.Alive ?? await pending.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (WixOAuthException failure) when (failure is WixOAuthUnavailableException || token is not null)
        {
            // The request may be another caller's report of the token, which is better than nothing.
            if (tokens.Alive is not { } alive)
            {
                throw;
            }

            return alive;
        }
    }

    // Not on the caller's thread, and with no caller's cancellation: others share it.
    private Task<WixAccessToken> Begin(Guid instanceId, InstanceTokens tokens, string? rejected, Task? previous)
    {
        var stop = _disposed.Token;
        var request = Task.Run(() => RequestAsync(instanceId, tokens, rejected, previous, stop), CancellationToken.None);
        _ = CompleteAsync(instanceId, tokens, request);
        return request;
    }

    private async Task CompleteAsync(Guid instanceId, InstanceTokens tokens, Task<WixAccessToken> request)
    {
        // Yields: the caller still holds the lock, and has not stored the request yet.
        await ((Task)request).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        tokens.Completed(request);
        if (request.Exception?.InnerException is WixOAuthException failure && tokens.Alive is not null)
        {
            logger.RefreshFailed(instanceId, failure.Code, (int?)failure.Status, failure.Message);
        }

        EvictIdle();
    }

    private async Task<WixAccessToken> RequestAsync(
        Guid instanceId, InstanceTokens tokens, string? rejected, Task? previous, CancellationToken cancellationToken)
    {
        if (previous is not null)
        {
            await previous.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (tokens.Alive is { } replaced && replaced.Token != rejected)
            {
                return replaced;
            }
        }

        var giveUpOn = Moment.Now(time).After(s_retryWithin, time);
        for (var attempt = 0; ; attempt++)
        {
            var startedAt = Moment.Now(time);
            try
            {
                var body = await endpoint.GetAsync(instanceId, rejected, rejected is null ? tokens.MinTtl : null, cancellationToken).ConfigureAwait(false);
                var token = new WixAccessToken(instanceId, body.AccessToken!, body.ExpiresOn);

                // Counted from before the request, by this machine's own clocks: the service's may differ.
                var life = TimeSpan.FromSeconds(Math.Clamp(body.ExpiresIn, 0, 86_400));
                var shortest = life / 5 < s_shortestLife ? life / 5 : s_shortestLife;
                tokens.Succeeded(new HeldToken(
                    token,
                    RefreshOn: startedAt.After(life * (1 - RefreshAt), time),
                    ShortOn: startedAt.After(life - shortest, time),
                    DeadOn: startedAt.After(life, time),
                    // expires_in is rounded down, and the answer took its time.
                    EndsBy: Moment.Now(time).After(life + TimeSpan.FromSeconds(1), time)));
                return token;
            }
            catch (WixOAuthException failure)
            {
                tokens.Failed(failure, failures => Pauses(failure, failures));
                if (!IsWorthWaiting(failure, attempt, out var pause) || giveUpOn.From(Moment.Now(time), time) <= pause || tokens.Alive is not null)
                {
                    throw;
                }

                await Task.Delay(pause, time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    // Callers wait here: for a short time only, and never less than the service asks for.
    private static bool IsWorthWaiting(WixOAuthException failure, int attempt, out TimeSpan pause)
    {
        pause = Pause(attempt);
        if (failure is not WixOAuthUnavailableException unavailable || attempt + 1 >= Attempts)
        {
            return false;
        }

        if (unavailable.RetryAfter is { } retryAfter)
        {
            pause = retryAfter;
        }

        return pause <= TimeSpan.FromSeconds(2);
    }

    private static (TimeSpan Refresh, TimeSpan Ask) Pauses(WixOAuthException failure, int failures)
    {
        var retryAfter = (failure as WixOAuthUnavailableException)?.RetryAfter ?? TimeSpan.Zero;
        var asked = retryAfter < s_longestRetryAfter ? retryAfter : s_longestRetryAfter;
        var pause = Pause(failures);
        return (pause > asked ? pause : asked, asked);
    }

    private static TimeSpan Pause(int failures)
    {
        var pause = s_firstPause * Math.Pow(2, Math.Min(failures, 10));
        return (pause < s_longestPause ? pause : s_longestPause) * (0.75 + (0.5 * Random.Shared.NextDouble()));
    }

    private InstanceTokens TokensOf(Guid instanceId) => _instances.GetOrAdd(instanceId, static (_, time) => new InstanceTokens(time), time);

    // Memory follows the instances in use. A caller that holds a removed entry costs at most one more request.
    private void EvictIdle()
    {
        var now = time.GetTimestamp();
        var last = Volatile.Read(ref _evictedAt);
        if (time.GetElapsedTime(last, now) < s_evictEvery || Interlocked.CompareExchange(ref _evictedAt, now, last) != last)
        {
            return;
        }

        foreach (var (id, tokens) in _instances)
        {
            if (tokens.IsIdle)
            {
                _instances.TryRemove(KeyValuePair.Create(id, tokens));
            }
        }
    }
}

internal static partial class ClientLog
{
    [LoggerMessage(1, LogLevel.Warning, "The token of instance {InstanceId} could not be refreshed in the background; the cached one is still alive. {Code} {Status} {Reason}")]
    public static partial void RefreshFailed(this ILogger logger, Guid instanceId, string? code, int? status, string reason);
}
