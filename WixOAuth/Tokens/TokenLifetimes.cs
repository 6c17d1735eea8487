using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>What times of a token are believed.</summary>
internal static class TokenLifetimes
{
    /// <summary>No token of Wix lives longer (wix-protocol §8: four hours). A longer life is an error.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromDays(1);

    /// <summary>The same token with a life of a day at most.</summary>
    public static TokenAnswer.Granted Bounded(this TokenAnswer.Granted granted) =>
        granted.ExpiresOn - granted.IssuedAt > Longest ? granted with { ExpiresOn = granted.IssuedAt + Longest } : granted;
}
