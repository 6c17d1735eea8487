using Microsoft.Extensions.Caching.Memory;
using Microsoft.Extensions.Internal;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>
/// The tokens this process has seen, so that GetToken needs no I/O. Bounded in number, and each is believed for five
/// minutes at most, however long it lives: so long can another process's change (a forgotten instance, a new consent)
/// stay unseen here.
/// </summary>
public sealed class TokenMemory(TimeProvider time) : IDisposable
{
    /// <summary>How many tokens are held; the least used go first.</summary>
    public const int Capacity = 100_000;

    /// <summary>How long a token is believed without asking the storage.</summary>
    public static readonly TimeSpan BelievedFor = TimeSpan.FromMinutes(5);

    private readonly MemoryCache _tokens = new(new MemoryCacheOptions { SizeLimit = Capacity, Clock = new Clock(time) });

    private readonly Lock _writing = new();

    /// <summary>The token of an instance, if one is held and still to be believed.</summary>
    public TokenResult.Token? Find(InstanceId id, DateTimeOffset now) =>
        Held(id)?.Token is { } token && now - token.ReadAt < BelievedFor && now >= token.ReadAt ? token : null;

    /// <summary>Holds a token that the storage has just confirmed, unless a newer one or a later removal is held.</summary>
    public void Remember(TokenResult.Token token)
    {
        var end = token.ReadAt + BelievedFor;
        Hold(token.InstanceId, new Entry(token.Generation, token), end < token.ExpiresOn ? end : token.ExpiresOn);
    }

    /// <summary>
    /// Drops what is held of an instance that was removed, and whatever somebody who read it before its removal comes
    /// with later.
    /// </summary>
    /// <param name="id">Which.</param>
    /// <param name="generation">That of its removal; 0 when nothing is known of the instance at all.</param>
    public void Forget(InstanceId id, long generation)
    {
        if (generation == 0)
        {
            _tokens.Remove(id);
        }
        else
        {
            Hold(id, new Entry(generation, null), time.GetUtcNow() + BelievedFor);
        }
    }

    private Entry? Held(InstanceId id) => _tokens.TryGetValue(id, out Entry? held) ? held : null;

    private void Hold(InstanceId id, Entry entry, DateTimeOffset until)
    {
        // Rare beside reading, and looking and setting have to be one.
        lock (_writing)
        {
            if (!(Held(id)?.Generation > entry.Generation))
            {
                _tokens.Set(id, entry, new MemoryCacheEntryOptions { Size = 1, AbsoluteExpiration = until });
            }
        }
    }

    /// <inheritdoc />
    public void Dispose() => _tokens.Dispose();

    private sealed record Entry(long Generation, TokenResult.Token? Token);

    private sealed class Clock(TimeProvider time) : ISystemClock
    {
        public DateTimeOffset UtcNow => time.GetUtcNow();
    }
}
