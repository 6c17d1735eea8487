namespace WixOAuth.Tokens;

internal sealed record TokenRequirements
{
    /// <summary>The longest remaining life that a caller may require (contract: <c>min_ttl</c>).</summary>
    public static readonly TimeSpan MaxMinTtl = TimeSpan.FromSeconds(240);

    public static readonly TimeSpan DefaultMinTtl = TimeSpan.FromSeconds(30);

    /// <summary>No more than this part of a token's whole life is ever required, or short-lived tokens would be refreshed with every call.</summary>
    private const double MaxPartOfLife = 0.8;

    /// <summary>
    /// A token younger than this part of its life is not refreshed for being reported as rejected, so that a caller
    /// without permission at Wix cannot cause a refresh with every call.
    /// </summary>
    private const double TrustedPartOfLife = 0.03;

    private TokenRequirements()
    {
    }

    /// <summary>For the sweep: a token that need not be refreshed ahead yet.</summary>
    public static TokenRequirements Ahead { get; } = new() { IsAhead = true };

    /// <summary>For an operator: a new token, whatever the old one is like.</summary>
    public static TokenRequirements New { get; } = new() { IsNew = true };

    /// <summary>For a caller that does not say.</summary>
    public static TokenRequirements Default { get; } = LivingFor(DefaultMinTtl);

    public TimeSpan MinTtl { get; private init; }

    /// <summary>The fingerprint of a token that Wix has refused.</summary>
    public string? Rejected { get; private init; }

    internal bool IsAhead { get; private init; }

    internal bool IsNew { get; private init; }

    /// <summary>For a caller.</summary>
    /// <param name="minTtl">How long the token has to live, <see cref="MaxMinTtl"/> at most.</param>
    /// <param name="rejected">The lower-case hexadecimal SHA-256 of a token that Wix has refused with 401.</param>
    public static TokenRequirements LivingFor(TimeSpan minTtl, string? rejected = null) => new() { MinTtl = minTtl, Rejected = rejected };

    internal bool IsMetBy(TokenResult.Token token, DateTimeOffset now)
    {
        var left = token.ExpiresOn - now;
        if (IsNew || !token.IsPlausible(now) || left <= TimeSpan.Zero || left < TimeSpan.FromTicks(Math.Min(MinTtl.Ticks, (long)(token.Lifetime.Ticks * MaxPartOfLife))))
        {
            return false;
        }

        if (IsAhead)
        {
            return now < token.RefreshOn;
        }

        return Rejected is null
            || (now - token.IssuedAt).Duration() < token.Lifetime * TrustedPartOfLife
            || token.AccessToken.Fingerprint() != Rejected;
    }
}
