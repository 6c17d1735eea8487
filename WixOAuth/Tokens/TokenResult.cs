using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Tokens;

/// <summary>What a caller gets who asks for an instance's access token. Expected failures are results, not exceptions.</summary>
public abstract record TokenResult
{
    private TokenResult()
    {
    }

    /// <summary>An access token that was alive when it was handed out.</summary>
    /// <param name="InstanceId">Whose.</param>
    /// <param name="AccessToken">The token.</param>
    /// <param name="IssuedAt">From when its life is counted.</param>
    /// <param name="ExpiresOn">When its life ends.</param>
    /// <param name="Generation">Grows with each new token of the instance.</param>
    /// <param name="ReadAt">When the storage last confirmed that it is the current one.</param>
    public sealed record Token(
        InstanceId InstanceId,
        AccessToken AccessToken,
        DateTimeOffset IssuedAt,
        DateTimeOffset ExpiresOn,
        long Generation,
        DateTimeOffset ReadAt) : TokenResult
    {
        /// <summary>Its whole life.</summary>
        public TimeSpan Lifetime => ExpiresOn - IssuedAt;

        /// <summary>From when it is refreshed ahead.</summary>
        public DateTimeOffset AheadAt { get; init; } = TokenSchedule.AheadAt(InstanceId, IssuedAt, ExpiresOn);
    }

    /// <summary>No such instance was ever installed here.</summary>
    public sealed record Unknown : TokenResult;

    /// <summary>The app was removed from the site.</summary>
    public sealed record Removed : TokenResult;

    /// <summary>Wix rejects the instance for good; its site's owner has to install the app again.</summary>
    public sealed record ReinstallRequired : TokenResult;

    /// <summary>Wix gives no token for now.</summary>
    /// <param name="RetryAfter">When it makes sense to ask again.</param>
    public sealed record WixUnavailable(TimeSpan RetryAfter) : TokenResult;

    /// <summary>Our own storage, or the keys to what it holds, are not to be had for now.</summary>
    /// <param name="RetryAfter">When it makes sense to ask again.</param>
    public sealed record StorageUnavailable(TimeSpan RetryAfter) : TokenResult;
}

/// <summary>What a token has to be like for the one who asks.</summary>
public sealed record TokenDemand
{
    /// <summary>The longest life that a caller may demand (contract: <c>min_ttl</c>).</summary>
    public static readonly TimeSpan MaxMinTtl = TimeSpan.FromSeconds(240);

    /// <summary>What is demanded where the caller does not say.</summary>
    public static readonly TimeSpan DefaultMinTtl = TimeSpan.FromSeconds(30);

    /// <summary>The part of a token's whole life that is demanded at most, so that short-lived tokens do not refresh on every call.</summary>
    private const double MaxPartOfLife = 0.8;

    /// <summary>
    /// A token younger than this part of its life is not refreshed for being reported as rejected, so that a caller
    /// without permission at Wix cannot make it refresh in a loop. Nor is one from the near future, where clocks differ;
    /// one from farther ahead is by a clock that has been set back since.
    /// </summary>
    private const double TrustedPartOfLife = 0.03;

    private TokenDemand()
    {
    }

    /// <summary>What the sweep asks for: a token that need not be refreshed ahead yet.</summary>
    public static TokenDemand Ahead { get; } = new() { IsAhead = true };

    /// <summary>What an operator asks for: a new token, whatever the old one is like.</summary>
    public static TokenDemand New { get; } = new() { IsNew = true };

    /// <summary>What a caller asks for who does not say.</summary>
    public static TokenDemand Default { get; } = LivingFor(DefaultMinTtl);

    /// <summary>How long it has to live at least.</summary>
    public TimeSpan MinTtl { get; private init; }

    /// <summary>The fingerprint of a token that Wix has refused.</summary>
    public string? Rejected { get; private init; }

    internal bool IsAhead { get; private init; }

    internal bool IsNew { get; private init; }

    /// <summary>What a caller asks for.</summary>
    /// <param name="minTtl">How long the token has to live; 0 to 240 seconds.</param>
    /// <param name="rejected">The lower-case hexadecimal SHA-256 of a token that Wix has refused with 401.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="minTtl"/> is out of its range.</exception>
    public static TokenDemand LivingFor(TimeSpan minTtl, string? rejected = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(minTtl, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minTtl, MaxMinTtl);
        return new TokenDemand { MinTtl = minTtl, Rejected = rejected };
    }

    internal bool IsMetBy(TokenResult.Token token, DateTimeOffset now)
    {
        var left = token.ExpiresOn - now;
        if (IsNew || left <= TimeSpan.Zero || left < TimeSpan.FromTicks(Math.Min(MinTtl.Ticks, (long)(token.Lifetime.Ticks * MaxPartOfLife))))
        {
            return false;
        }

        if (IsAhead)
        {
            return now < token.AheadAt;
        }

        return Rejected is null
            || (now - token.IssuedAt).Duration() < token.Lifetime * TrustedPartOfLife
            || token.AccessToken.Fingerprint() != Rejected;
    }
}
