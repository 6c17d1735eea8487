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
    public static readonly TimeSpan BelievedFor = TimeSpan.FromMinutes(5);

    private readonly Lock _remembering = new();
    private readonly MemoryCache _tokens = new(new MemoryCacheOptions { SizeLimit = Capacity, Clock = new Clock(time) });

    /// <summary>The token of an instance, if one is held and still to be believed.</summary>
    public TokenResult.Token? Find(InstanceId id, DateTimeOffset now) =>
        _tokens.Get(id) is TokenResult.Token token && IsToBeBelieved(token, now) ? token : null;

    /// <summary>Holds a token that the storage has just confirmed, unless a newer one is held, it was forgotten since, or its times make no sense.</summary>
    public void Remember(TokenResult.Token token)
    {
        var now = time.GetUtcNow();
        if (!IsToBeBelieved(token, now))
        {
            return;
        }

        // Else a late one, seen before the newest, could take its place between the look and the write.
        lock (_remembering)
        {
            if (_tokens.Get(token.InstanceId) switch
            {
                TokenResult.Token held => held.Generation > token.Generation && IsToBeBelieved(held, now),
                Tombstone tombstone => tombstone.Generation >= token.Generation,
                _ => false,
            })
            {
                return;
            }

            var end = token.ReadAt + BelievedFor;
            _tokens.Set(
                token.InstanceId,
                token,
                new MemoryCacheEntryOptions { Size = 1, AbsoluteExpirationRelativeToNow = (end < token.ExpiresOn ? end : token.ExpiresOn) - now });
        }
    }

    public void Forget(InstanceId id) => _tokens.Remove(id);

    /// <summary>
    /// Drops what is held of a removed instance, and for a while takes no token of it up to <paramref name="generation"/>,
    /// that of the removal: a request that read one before may still be under way, and one that could not be saved has the
    /// generation that the removal took instead.
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
                    new MemoryCacheEntryOptions { Size = 0, Priority = CacheItemPriority.NeverRemove, AbsoluteExpirationRelativeToNow = BelievedFor });
            }
        }
    }

    public void Dispose() => _tokens.Dispose();

    private static bool IsToBeBelieved(TokenResult.Token token, DateTimeOffset now) =>
        now >= token.ReadAt
        && now - token.ReadAt < BelievedFor
        && now < token.ExpiresOn
        && token.IsPlausible(now);

    private sealed record Tombstone(long Generation);

    /// <summary>
    /// Steady, so that each entry ends in time: by a clock that was ahead and is set back, a token that has ended would be
    /// believed again.
    /// </summary>
    private sealed class Clock(TimeProvider time) : ISystemClock
    {
        private readonly DateTimeOffset _start = time.GetUtcNow();
        private readonly long _startedAt = time.GetTimestamp();

        public DateTimeOffset UtcNow => _start + time.GetElapsedTime(_startedAt);
    }
}
