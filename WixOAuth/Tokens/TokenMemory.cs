using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Internal;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>
/// The access tokens that this process has cached, so that GetToken needs no I/O. Bounded in number. Entries are cached for at
/// most five minutes, which bounds staleness across processes (a forgotten instance, a new consent). A removal in this
/// process takes effect at once, also for requests that read the token before it. A token with implausible times is
/// never handed out. Safe for concurrent use.
/// </summary>
internal sealed class TokenMemory(TimeProvider time) : IDisposable
{
    /// <summary>How many tokens are held; the least used go first.</summary>
    public const int Capacity = 100_000;

    /// <summary>How long a cached token is served before the storage is read again.</summary>
    public static readonly TimeSpan CacheDuration = TimeSpan.FromMinutes(5);

    private readonly Lock _remembering = new();
    private readonly MemoryCache _tokens = new(new MemoryCacheOptions { SizeLimit = Capacity, Clock = new Clock(time) });

    /// <summary>The token of an instance, if one is held and still to be believed.</summary>
    public TokenResult.Token? Find(InstanceId id, DateTimeOffset now) =>
        _tokens.Get(id) is TokenResult.Token token && IsUsable(token, now) ? token : null;

    /// <summary>Holds a token that the storage has just confirmed, unless a newer one is held, it was forgotten since, or its times make no sense.</summary>
    public void Remember(TokenResult.Token token)
    {
        var now = time.GetUtcNow();
        if (!IsUsable(token, now))
        {
            return;
        }

        // Without the lock, an older token could replace a newer one between the check and the write.
        lock (_remembering)
        {
            if (_tokens.Get(token.InstanceId) switch
            {
                TokenResult.Token held => held.Generation > token.Generation && IsUsable(held, now),
                Tombstone tombstone => tombstone.Generation >= token.Generation,
                _ => false,
            })
            {
                return;
            }

            var end = token.ReadAt + CacheDuration;
            _tokens.Set(
                token.InstanceId,
                token,
                new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = (end < token.ExpiresOn ? end : token.ExpiresOn) - now });
        }
    }

    public void Forget(InstanceId id) => _tokens.Remove(id);

    /// <summary>
    /// Evicts the token of a removed instance. For a while it also refuses tokens up to <paramref name="generation"/>, the
    /// generation of the removal: a request that read a token earlier may still be in progress, and a token that could not be
    /// saved may have the same generation as the removal.
    /// </summary>
    public void Forget(InstanceId id, long generation)
    {
        lock (_remembering)
        {
            if (_tokens.Get(id) is not TokenResult.Token held || held.Generation <= generation)
            {
                // Without a size: a full cache refuses entries that have one. Few instances are removed within five minutes.
                _tokens.Set(
                    id,
                    new Tombstone(generation),
                    new MemoryCacheEntryOptions { Size = 0, Priority = CacheItemPriority.NeverRemove, AbsoluteExpirationRelativeToNow = CacheDuration });
            }
        }
    }

    public void Dispose() => _tokens.Dispose();

    private static bool IsUsable(TokenResult.Token token, DateTimeOffset now) =>
        now >= token.ReadAt
        && now - token.ReadAt < CacheDuration
        && now < token.ExpiresOn
        && token.IsPlausible(now);

    private sealed record Tombstone(long Generation);

    /// <summary>
    /// A monotonic clock, so that entries expire even if the wall clock is set back. Otherwise an expired token would be served
    /// again.
    /// </summary>
    private sealed class Clock(TimeProvider time) : ISystemClock
    {
        private readonly DateTimeOffset _start = time.GetUtcNow();
        private readonly long _startedAt = time.GetTimestamp();

        public DateTimeOffset UtcNow => _start + time.GetElapsedTime(_startedAt);
    }
}
