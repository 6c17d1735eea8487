using Microsoft.Extensions.Logging;

namespace WixOAuth.Secrets;

/// <summary>What this area logs: names, versions and statuses, never a value.</summary>
internal static partial class SecretLog
{
    [LoggerMessage(101, LogLevel.Information, "Version {Version} of the secret {Name} is in use.")]
    public static partial void VersionInUse(this ILogger logger, string name, string version);

    [LoggerMessage(102, LogLevel.Error, "{Problem} The version read {Age} ago goes on serving; asked again in {RetryIn}.")]
    public static partial void KnownVersionServes(this ILogger logger, Exception exception, string problem, TimeSpan age, TimeSpan retryIn);

    [LoggerMessage(103, LogLevel.Critical, "{Problem} No version of it is known, so nothing that needs it works; asked again in {RetryIn} at the earliest.")]
    public static partial void NothingKnown(this ILogger logger, Exception exception, string problem, TimeSpan retryIn);

    [LoggerMessage(104, LogLevel.Warning, "There is no version {KeyId} of the protection key {Name}.")]
    public static partial void NoSuchKey(this ILogger logger, string name, string keyId);

    [LoggerMessage(105, LogLevel.Error, "Version {KeyId} of the protection key cannot be had. {Problem}")]
    public static partial void KeyUnavailable(this ILogger logger, Exception exception, string keyId, string problem);

    [LoggerMessage(106, LogLevel.Warning, "More unknown versions of the protection key {Name} were asked for than the {Limit} a minute that are looked up.")]
    public static partial void LookupsLimited(this ILogger logger, string name, int limit);

    [LoggerMessage(107, LogLevel.Warning, "There is no secret {Name} in Key Vault: what needs it does without.")]
    public static partial void NoSuchSecret(this ILogger logger, string name);
}
