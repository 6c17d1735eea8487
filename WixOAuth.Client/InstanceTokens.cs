namespace WixOAuth.Client;

/// <summary>
/// A moment by two clocks: the monotonic one stands still while the machine sleeps, and the other one may be set back.
/// Whichever reaches it first counts.
/// </summary>
internal readonly record struct Moment(long Timestamp, DateTimeOffset Utc)
{
    public static Moment Now(TimeProvider time) => new(time.GetTimestamp(), time.GetUtcNow());

    public Moment After(TimeSpan span, TimeProvider time) => new(Timestamp + (long)(span.TotalSeconds * time.TimestampFrequency), Utc + span);

    /// <summary>How far off it is.</summary>
    public TimeSpan From(Moment now, TimeProvider time) =>
        time.GetElapsedTime(now.Timestamp, Timestamp) is var steady && steady < Utc - now.Utc ? steady : Utc - now.Utc;

    public bool IsReached(Moment now) => now.Timestamp >= Timestamp || now.Utc >= Utc;
}

/// <summary>
/// A token with the moments that decide about it. From <paramref name="ShortOn"/> on too little of its life is left to hand it
/// out while the service answers. Until <paramref name="EndsBy"/> the service may know it as alive.
/// </summary>
internal sealed record HeldToken(WixAccessToken Token, Moment RefreshOn, Moment ShortOn, Moment DeadOn, Moment EndsBy);

/// <summary>What is cached for one instance. Every transition is one method under the lock; the hot path reads one field.</summary>
internal sealed class InstanceTokens(TimeProvider time)
{
    /// <summary>What the service demands by itself, and the most that it takes, in seconds.</summary>
    private const int LeastMinTtl = 30;

    private const int MostMinTtl = 240;

    private readonly object _lock = new();
    private HeldToken? _held;
    private Task<WixAccessToken>? _pending;
    private string? _pendingReplaces;
    private WixOAuthException? _lastFailure;
    private int _failures;
    private long _refreshNotBefore = long.MinValue;
    private long _askNotBefore = long.MinValue;

    /// <summary>The cached token when it needs no refresh, else null.</summary>
    public WixAccessToken? Fresh => Volatile.Read(ref _held) is { } held && !held.RefreshOn.IsReached(Moment.Now(time)) ? held.Token : null;

    /// <summary>The cached token when it is alive, else null.</summary>
    public WixAccessToken? Alive => Volatile.Read(ref _held) is { } held && !held.DeadOn.IsReached(Moment.Now(time)) ? held.Token : null;

    /// <summary>How long a token has to live to be another than the living one, in seconds; null where there is none.</summary>
    public int? MinTtl => Volatile.Read(ref _held) is { } held && Moment.Now(time) is var now && !held.DeadOn.IsReached(now)
        ? (int)Math.Clamp(Math.Ceiling(held.EndsBy.From(now, time).TotalSeconds), LeastMinTtl, MostMinTtl)
        : null;

    /// <summary>Whether nothing here is of use any more.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_lock)
            {
                return _pending is null && Alive is null && time.GetTimestamp() >= _askNotBefore;
            }
        }
    }

    /// <summary>Half of what is left of the cached token's life, at most <paramref name="longest"/>.</summary>
    public TimeSpan HalfOfWhatIsLeft(TimeSpan longest)
    {
        var left = Volatile.Read(ref _held) is { } held ? held.DeadOn.From(Moment.Now(time), time) / 2 : TimeSpan.Zero;
        return left < TimeSpan.Zero ? TimeSpan.Zero : left < longest ? left : longest;
    }

    /// <summary>
    /// Decides for one caller: returns a token, or the request to wait for; both where the token is alive and so near its end
    /// that a new one is worth a short wait. A request is started when one is needed, none is under way, and no pause after a
    /// failure holds it back.
    /// </summary>
    /// <param name="request">Starts a request; the argument is a request to wait for first.</param>
    /// <exception cref="WixOAuthUnavailableException">The service asked to be left alone and there is no living token.</exception>
    public (WixAccessToken? Token, Task<WixAccessToken>? Pending) Get(Func<Task?, Task<WixAccessToken>> request)
    {
        lock (_lock)
        {
            var alive = _held is { } held && _pendingReplaces != held.Token.Token ? Alive : null;
            if (alive is not null)
            {
                var now = Moment.Now(time);
                if (now.Timestamp < _refreshNotBefore)
                {
                    return (alive, null);
                }

                var pending = _pending ?? (Fresh is null ? Start(request, replaces: null) : null);
                return (alive, _held!.ShortOn.IsReached(now) ? pending : null);
            }

            ThrowIfHeldBack();
            return (null, _pending ?? Start(request, replaces: null));
        }
    }

    /// <summary>Decides for a caller whose token Wix refused: one request reports it, after any request that does not.</summary>
    public (WixAccessToken? Token, Task<WixAccessToken>? Pending) Replace(string rejected, Func<Task?, Task<WixAccessToken>> request)
    {
        lock (_lock)
        {
            if (Alive is { } other && other.Token != rejected)
            {
                return (other, null);
            }

            if (_pending is not null && _pendingReplaces == rejected)
            {
                return (null, _pending);
            }

            ThrowIfHeldBack();
            if (_held is { } held && held.Token.Token == rejected)
            {
                // Other callers wait for the replacement too; if there is none, the token is better than nothing.
                Volatile.Write(ref _held, held with { RefreshOn = default });
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
    /// <param name="pauses">Given the number of failures in a row: how long the background and callers without a token wait.</param>
    public void Failed(WixOAuthException failure, Func<int, (TimeSpan Refresh, TimeSpan Ask)> pauses)
    {
        lock (_lock)
        {
            _lastFailure = failure;
            var now = Moment.Now(time);
            if (failure is ReinstallRequiredException or AppRemovedException or UnknownInstanceException)
            {
                Volatile.Write(ref _held, null);
                (_failures, _refreshNotBefore, _askNotBefore) = (0, now.Timestamp, now.Timestamp);
                return;
            }

            var (refresh, ask) = pauses(_failures++);
            (_refreshNotBefore, _askNotBefore) = (now.After(refresh, time).Timestamp, now.After(ask, time).Timestamp);
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

    // A new exception for each caller: throwing one instance on several threads corrupts its stack trace. It tells what is
    // left of Retry-After.
    private void ThrowIfHeldBack()
    {
        var now = time.GetTimestamp();
        if (_pending is null && now < _askNotBefore)
        {
            var left = time.GetElapsedTime(now, _askNotBefore);
            throw new WixOAuthUnavailableException(_lastFailure!.Message, left, _lastFailure.Code, _lastFailure.Status, _lastFailure);
        }
    }

    private Task<WixAccessToken> Start(Func<Task?, Task<WixAccessToken>> request, string? replaces)
    {
        (_pending, _pendingReplaces) = (request(_pending), replaces);
        return _pending;
    }
}
