namespace WixOAuth.Client;

/// <summary>A token with the timestamps (<see cref="TimeProvider.GetTimestamp"/>) that decide about it.</summary>
internal sealed record HeldToken(WixAccessToken Token, long RefreshOn, long DeadOn);

/// <summary>What is cached for one instance. Every transition is one method under the lock; the hot path reads one field.</summary>
internal sealed class InstanceTokens
{
    private readonly object _lock = new();
    private HeldToken? _held;
    private Task<WixAccessToken>? _pending;
    private string? _pendingReplaces;
    private WixOAuthException? _lastFailure;
    private int _failures;
    private long _refreshNotBefore = long.MinValue;
    private long _askNotBefore = long.MinValue;

    /// <summary>The cached token when it needs no refresh, else null.</summary>
    public WixAccessToken? Fresh(long now) => Volatile.Read(ref _held) is { } held && now < held.RefreshOn ? held.Token : null;

    /// <summary>The cached token when it is alive, else null.</summary>
    public WixAccessToken? Alive(long now) => Volatile.Read(ref _held) is { } held && now < held.DeadOn ? held.Token : null;

    /// <summary>Whether nothing here is of use any more.</summary>
    public bool IsIdle(long now)
    {
        lock (_lock)
        {
            return _pending is null && Alive(now) is null && now >= _askNotBefore;
        }
    }

    /// <summary>
    /// Decides for one caller: returns a token, or the request to wait for. A request is started when one is needed, none is
    /// under way, and no pause after a failure holds it back.
    /// </summary>
    /// <param name="now">The timestamp.</param>
    /// <param name="request">Starts a request; the argument is a request to wait for first.</param>
    /// <exception cref="WixOAuthException">The service asked to be left alone and there is no living token.</exception>
    public (WixAccessToken? Token, Task<WixAccessToken>? Pending) Get(long now, Func<Task?, Task<WixAccessToken>> request)
    {
        lock (_lock)
        {
            var alive = _held is { } held && _pendingReplaces != held.Token.Token ? Alive(now) : null;
            if (alive is not null)
            {
                if (_pending is null && Fresh(now) is null && now >= _refreshNotBefore)
                {
                    Start(request, replaces: null);
                }

                return (alive, null);
            }

            if (_pending is null && now < _askNotBefore)
            {
                throw _lastFailure!;
            }

            return (null, _pending ?? Start(request, replaces: null));
        }
    }

    /// <summary>Decides for a caller whose token Wix refused: one request reports it, after any request that does not.</summary>
    public (WixAccessToken? Token, Task<WixAccessToken>? Pending) Replace(string rejected, long now, Func<Task?, Task<WixAccessToken>> request)
    {
        lock (_lock)
        {
            if (Alive(now) is { } other && other.Token != rejected)
            {
                return (other, null);
            }

            if (_pending is not null && _pendingReplaces == rejected)
            {
                return (null, _pending);
            }

            if (_pending is null && now < _askNotBefore)
            {
                throw _lastFailure!;
            }

            if (_held is { } held && held.Token.Token == rejected)
            {
                // Other callers wait for the replacement too; if there is none, the token is better than nothing.
                Volatile.Write(ref _held, held with { RefreshOn = long.MinValue });
            }

            return (null, Start(request, rejected));
        }
    }

    /// <summary>A token came.</summary>
    public void Succeeded(HeldToken held)
    {
        lock (_lock)
        {
            Volatile.Write(ref _held, held);
            (_lastFailure, _failures, _refreshNotBefore, _askNotBefore) = (null, 0, long.MinValue, long.MinValue);
        }
    }

    /// <summary>No token came. A living token stays, unless the service says that the installation is at its end.</summary>
    /// <param name="failure">Why.</param>
    /// <param name="now">The timestamp.</param>
    /// <param name="pauses">Given the number of failures in a row: until when the background and callers without a token wait.</param>
    public void Failed(WixOAuthException failure, long now, Func<int, (long Refresh, long Ask)> pauses)
    {
        lock (_lock)
        {
            _lastFailure = failure;
            if (failure is ReinstallRequiredException or AppRemovedException or UnknownInstanceException)
            {
                Volatile.Write(ref _held, null);
                (_failures, _refreshNotBefore, _askNotBefore) = (0, now, now);
                return;
            }

            (_refreshNotBefore, _askNotBefore) = pauses(_failures++);
        }
    }

    /// <summary>A request is over, whatever came of it.</summary>
    public void Completed(Task<WixAccessToken> request)
    {
        lock (_lock)
        {
            if (_pending == request)
            {
                (_pending, _pendingReplaces) = (null, null);
            }
        }
    }

    private Task<WixAccessToken> Start(Func<Task?, Task<WixAccessToken>> request, string? replaces)
    {
        (_pending, _pendingReplaces) = (request(_pending), replaces);
        return _pending;
    }
}
