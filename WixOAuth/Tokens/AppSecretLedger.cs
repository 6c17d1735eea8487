using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// The sites that obtained tokens with the app secret recently, and whether the secret is suspect. Kept in the memory of
/// this process; <see cref="AppSecretProbe"/> finds out the rest. Safe for concurrent use.
/// </summary>
internal sealed class AppSecretLedger(TokenMetrics metrics, TimeProvider time, ILogger<AppSecretLedger> logger)
{
    private const int Capacity = 64;

    private readonly Lock _lock = new();
    private readonly Dictionary<InstanceId, DateTimeOffset> _succeeded = [];
    private bool _isSuspect;

    /// <summary>Whether Wix rejected every site of the last probe, and no site has obtained a token since.</summary>
    public bool IsSuspect => Volatile.Read(ref _isSuspect);

    /// <summary>Notes the end of an attempt. One success ends any suspicion.</summary>
    public void Record(InstanceId id, TokenAnswer answer)
    {
        lock (_lock)
        {
            switch (answer)
            {
                case TokenAnswer.Granted:
                    _succeeded[id] = time.GetUtcNow();
                    if (_succeeded.Count > Capacity)
                    {
                        _succeeded.Remove(_succeeded.MinBy(each => each.Value).Key);
                    }

                    Set(suspect: false, asked: 0);
                    break;
                case TokenAnswer.Rejected:
                    _succeeded.Remove(id);
                    break;
            }
        }
    }

    /// <summary>Drops a site that cannot be asked: it is not active any more, or its row cannot be read.</summary>
    public void Forget(InstanceId id)
    {
        lock (_lock)
        {
            _succeeded.Remove(id);
        }
    }

    /// <summary>Makes the secret suspect: Wix rejected all <paramref name="asked"/> sites of a probe.</summary>
    public void Suspect(int asked) => Set(suspect: true, asked);

    /// <summary>Ends any suspicion, because there are too few sites to tell.</summary>
    public void Trust() => Set(suspect: false, asked: 0);

    /// <summary>The sites that had tokens last, the latest first.</summary>
    public IReadOnlyList<InstanceId> LastSucceeded(int count, InstanceId except)
    {
        lock (_lock)
        {
            return [.. _succeeded.Where(each => each.Key != except).OrderByDescending(each => each.Value).Take(count).Select(each => each.Key)];
        }
    }

    private void Set(bool suspect, int asked)
    {
        lock (_lock)
        {
            if (suspect == _isSuspect)
            {
                return;
            }

            Volatile.Write(ref _isSuspect, suspect);
            metrics.SecretIsSuspect(suspect);
            if (suspect)
            {
                logger.SecretSuspect(asked);
            }
            else
            {
                logger.SecretTrusted();
            }
        }
    }
}
