using WixOAuth.Instances;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// Tells a site that is gone from an app secret that is wrong: a wrong secret rejects every site at once
/// (wix-protocol §5). A rejection counts against a site only if another one succeeded with the same secret since.
/// </summary>
public sealed class AppSecretTrust(TimeProvider time)
{
    private readonly Lock _lock = new();
    private (string Version, InstanceId Id, DateTimeOffset At)? _lastSuccess;

    /// <summary>Notes how Wix answered to a refresh or a mint of an instance.</summary>
    public void Saw(InstanceId id, string secretVersion, TokenAnswer answer)
    {
        if (answer is TokenAnswer.Granted)
        {
            lock (_lock)
            {
                _lastSuccess = (secretVersion, id, time.GetUtcNow());
            }
        }
    }

    /// <summary>Whether another site succeeded with that secret since <paramref name="since"/>.</summary>
    public bool IsProvenSince(DateTimeOffset since, string secretVersion, InstanceId by)
    {
        lock (_lock)
        {
            return _lastSuccess is { } success && success.At >= since && success.Version == secretVersion && success.Id != by;
        }
    }
}
