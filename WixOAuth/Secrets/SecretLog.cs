using Microsoft.Extensions.Logging;

namespace WixOAuth.Secrets;

/// <summary>Messages of this folder: names, versions and statuses, never a value.</summary>
internal static partial class SecretLog
{
    [LoggerMessage(101, LogLevel.Information, "Version {Version} of the secret {Name} is in use.")]
    public static partial void VersionInUse(this ILogger logger, string name, string version);

    [LoggerMessage(102, LogLevel.Error, "{Problem} The version read {Age} ago is used instead; next attempt in {RetryIn}.")]
    public static partial void KnownVersionServes(this ILogger logger, Exception exception, string problem, TimeSpan age, TimeSpan retryIn);

    [LoggerMessage(103, LogLevel.Critical, "{Problem} No earlier version is known, so everything that needs it fails; next attempt in {RetryIn} at the earliest.")]
    public static partial void NothingKnown(this ILogger logger, Exception exception, string problem, TimeSpan retryIn);

    [LoggerMessage(105, LogLevel.Error, "Protection key {KeyId} is needed and cannot be used: {Problem}")]
    public static partial void KeyUnusable(this ILogger logger, string keyId, string problem);

    [LoggerMessage(108, LogLevel.Error, "The versions of the secret {Name} cannot be listed in Key Vault (HTTP 403), so only the newest one opens: the identity needs the role Key Vault Secrets User.")]
    public static partial void VersionsNotListed(this ILogger logger, string name);

    [LoggerMessage(107, LogLevel.Warning, "There is no secret {Name} in Key Vault; the service runs without it.")]
    public static partial void NoSuchSecret(this ILogger logger, string name);
}
