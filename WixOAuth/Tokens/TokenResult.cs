using WixOAuth.Instances;
using WixOAuth.Secrets;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>What a caller gets who asks for an instance's access token. Expected failures are results, not exceptions.</summary>
internal abstract record TokenResult
{
    private TokenResult()
    {
    }

    /// <summary>An access token that was alive when it was handed out. At <paramref name="ReadAt"/> the storage confirmed it last.</summary>
    public sealed record Token(
        InstanceId InstanceId,
        AccessToken AccessToken,
        DateTimeOffset IssuedAt,
        DateTimeOffset ExpiresOn,
        long Generation,
        DateTimeOffset ReadAt) : TokenResult
    {
        public TimeSpan Lifetime => ExpiresOn - IssuedAt;

        public DateTimeOffset RefreshOn { get; init; } = TokenSchedule.RefreshOn(InstanceId, IssuedAt, ExpiresOn);

        /// <summary>
        /// Whether its times can be true at <paramref name="now"/>: they were written by another process, whose clock may
        /// have been wrong. One that fails this is refreshed, not served.
        /// </summary>
        internal bool IsPlausible(DateTimeOffset now) => IssuedAt <= now + Instance.ClockTolerance && Lifetime <= WixClient.LongestLife;
    }

    /// <summary>No such instance was ever installed here.</summary>
    public sealed record Unknown : TokenResult;

    public sealed record Removed : TokenResult;

    /// <summary>Wix rejects every grant of the instance; its site's owner has to install the app again.</summary>
    public sealed record ReinstallRequired : TokenResult;

    /// <summary>Wix gives no token for now; asking again makes sense after <paramref name="RetryAfter"/>.</summary>
    public sealed record WixUnavailable(TimeSpan RetryAfter) : TokenResult;

    /// <summary>The storage or the protection keys are not available.</summary>
    public sealed record StorageUnavailable : TokenResult;
}
