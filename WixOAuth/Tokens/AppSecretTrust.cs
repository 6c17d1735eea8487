using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Wix;

namespace WixOAuth.Tokens;

/// <summary>
/// Tells a site that is gone from an app secret that is wrong, or a Wix that says no to everybody: either rejects most
/// sites at once (wix-protocol §5); and from a Wix that says no to some now and then, which those show that have a
/// token again after a no. A rejection counts against a site only if another one succeeded with the same secret since
/// and no rejection turned out false lately, and never while the secret is suspect. Safe for concurrent use.
/// </summary>
public sealed class AppSecretTrust(Telemetry telemetry, TimeProvider time, ILogger<AppSecretTrust> logger)
{
    /// <summary>How long an outcome is remembered: longer than the longest pause between two tries of a rejected site.</summary>
    public static readonly TimeSpan Window = TimeSpan.FromMinutes(20);

    /// <summary>How long no rejection is proof after one that turned out false.</summary>
    public static readonly TimeSpan DoubtAfterFalseRejection = TimeSpan.FromHours(1);

    /// <summary>Of how many instances the latest outcome is remembered; those seen last.</summary>
    public const int MostSeen = 200;

    /// <summary>Fewer instances than this prove nothing either way.</summary>
    private const int FewestSeen = 3;

    /// <summary>Of fewer instances than this, all have to be in doubt; of more, most.</summary>
    private const int EnoughSeen = 10;

    private readonly Lock _lock = new();
    private readonly Dictionary<InstanceId, Outcome> _seen = [];
    private (string Version, InstanceId Id, DateTimeOffset At)? _lastSuccess;
    private DateTimeOffset? _lastFalseRejectionAt;
    private bool _wasSuspect;

    /// <summary>
    /// Whether so many of the instances seen lately were rejected that none of the rejections is to be believed. An
    /// instance that was rejected and then succeeded stays in doubt for a while: it shows that a no did not mean it.
    /// </summary>
    public bool IsSuspect
    {
        get
        {
            lock (_lock)
            {
                return Judge(time.GetUtcNow());
            }
        }
    }

    /// <summary>Notes how Wix answered to a refresh or a mint of an instance.</summary>
    /// <param name="id">Whose.</param>
    /// <param name="secretVersion">The version of the app secret that Wix was asked with.</param>
    /// <param name="answer">Wix's answer.</param>
    /// <param name="wasRejected">
    /// Whether Wix rejected it before, and it had neither a token nor a consent since: if it has a token now, that was
    /// not meant.
    /// </param>
    public void Saw(InstanceId id, string secretVersion, TokenAnswer answer, bool wasRejected)
    {
        if (answer is TokenAnswer.Unavailable)
        {
            return;
        }

        lock (_lock)
        {
            var now = time.GetUtcNow();
            var rejected = answer is TokenAnswer.Rejected;
            if (!rejected)
            {
                _lastSuccess = (secretVersion, id, now);
                _lastFalseRejectionAt = wasRejected ? now : _lastFalseRejectionAt;
            }

            _seen[id] = new Outcome(now, rejected || wasRejected ? now : _seen.GetValueOrDefault(id).DoubtedAt);
            if (_seen.Count > MostSeen)
            {
                _seen.Remove(_seen.MinBy(seen => seen.Value.At).Key);
            }

            Judge(now);
        }
    }

    /// <summary>
    /// Whether Wix's no to a site is to be believed: another one succeeded with that secret since
    /// <paramref name="since"/>, and no rejection of any turned out false lately.
    /// </summary>
    public bool IsProvenSince(DateTimeOffset since, string secretVersion, InstanceId by)
    {
        lock (_lock)
        {
            return _lastSuccess is { } success
                && success.At >= since
                && success.Version == secretVersion
                && success.Id != by
                && !(time.GetUtcNow() - _lastFalseRejectionAt < DoubtAfterFalseRejection);
        }
    }

    private bool Judge(DateTimeOffset now)
    {
        var (seen, doubtful) = (0, 0);
        foreach (var (_, outcome) in _seen)
        {
            if (now - outcome.At < Window)
            {
                seen++;
                doubtful += now - outcome.DoubtedAt < Window ? 1 : 0;
            }
        }

        var suspect = seen >= FewestSeen && (seen >= EnoughSeen ? doubtful * 2 > seen : doubtful == seen);
        if (suspect != _wasSuspect)
        {
            _wasSuspect = suspect;
            telemetry.SecretIsSuspect(suspect);
            if (suspect)
            {
                logger.SecretSuspect(doubtful, seen);
            }
            else
            {
                logger.SecretTrusted();
            }
        }

        return suspect;
    }

    private readonly record struct Outcome(DateTimeOffset At, DateTimeOffset? DoubtedAt);
}
