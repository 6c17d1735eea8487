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

    /// <summary>The token of an instance, if one is held and still to be believed.</summary>
    public TokenResult.Token? Find(InstanceId id, DateTimeOffset now) =>
        _tokens.TryGetValue(id, out TokenResult.Token? token) && token is not null && now - token.ReadAt < BelievedFor && now >= token.ReadAt
            ? token
            : null;

    /// <summary>Holds a token that the storage has just confirmed, unless a newer one is held.</summary>
    public void Remember(TokenResult.Token token)
    {
        if (_tokens.TryGetValue(token.InstanceId, out TokenResult.Token? held) && held?.Generation > token.Generation)
        {
            return;
        }

        var end = token.ReadAt + BelievedFor;
        _tokens.Set(
            token.InstanceId,
            token,
            new MemoryCacheEntryOptions { Size = 1, AbsoluteExpiration = end < token.ExpiresOn ? end : token.ExpiresOn });
    }

    /// <summary>Drops what is held of an instance.</summary>
    public void Forget(InstanceId id) => _tokens.Remove(id);

    /// <inheritdoc />
    public void Dispose() => _tokens.Dispose();

    private sealed class Clock(TimeProvider time) : ISystemClock
    {
        public DateTimeOffset UtcNow => time.GetUtcNow();
    }
}
