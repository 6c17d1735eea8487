using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>How one site answered a probe: whether Wix gave it a token with the app secret in question.</summary>
internal enum ProbeAnswer
{
    Granted,

    /// <summary>Wix rejected every allowed grant.</summary>
    Rejected,

    /// <summary>Wix, or the storage, did not answer: no other site is asked in its place.</summary>
    NoAnswer,

    /// <summary>The site is gone or unreadable, or another process was refreshing it: another may be asked.</summary>
    NotAsked,
}

/// <summary>What is known about the app secret when a site is rejected.</summary>
internal enum SecretProof
{
    /// <summary>Unknown: no site could be asked, or their answers differed (Wix rejects at random).</summary>
    Unknown,

    /// <summary>All that were asked are rejected: the secret, or Wix itself, is at fault.</summary>
    Suspect,

    /// <summary>Other sites had tokens by it within the last minute, but not since the rejection.</summary>
    Recent,

    /// <summary>Other sites had tokens by it since the rejection.</summary>
    Since,

    /// <summary>The table has too few sites to ask, no other active one, or few active ones that are all rejected.</summary>
    TooFewSites,
}

/// <summary>
/// What rejections by Wix mean, and when to try again. Pure functions: every rule that can mark a site is in this file.
/// <code>
/// 1. A site is rejected         when Wix rejects every allowed grant in one attempt. Anything else is not a rejection.
/// 2. The site, or us?           Ask three other sites that had tokens lately (a probe). All granted: the secret works, so
///                               the rejection is this site's own. All rejected: ask three more, up to twelve; then the
///                               secret is suspect. Mixed answers or none: nothing is known.
/// 3. A rejection counts         when a probe proved the secret within a minute of it.
///                               It does not while Wix rejects at random: two sites had tokens again after a rejection
///                               within the hour. (After a day of rejections that no longer helps a site.)
/// 4. A site is marked           after 6 counted rejections over at least 2 hours, the last with a proof since.
/// 5. Too few sites to ask       (three or fewer, no other active one, or at most three active ones that are all rejected):
///                               time alone decides, after 48 hours of rejections.
/// 6. Whatever is concluded      is tried again: after 1 h, 4 h, then daily.
/// </code>
/// </summary>
internal static class RejectionPolicy
{
    public const int FewestRejections = 6;

    /// <summary>How far apart the first and the last counted rejection have to be.</summary>
    public static readonly TimeSpan ShortestRejectedFor = TimeSpan.FromHours(2);

    /// <summary>How long a site has to be rejected where there are too few others to ask.</summary>
    public static readonly TimeSpan RejectedForWithoutProof = TimeSpan.FromHours(48);

    /// <summary>A table with so many sites, active or marked, has too few to ask; so has one with so many active ones if all are rejected.</summary>
    public const int TooFewSites = 3;

    public const int SitesToAsk = 3;

    /// <summary>How many it asks, <see cref="SitesToAsk"/> at a time, before it suspects the secret: many sites may have been removed at once.</summary>
    public const int MostSitesToAsk = 12;

    /// <summary>How long a proof holds for rejections that come after it.</summary>
    public static readonly TimeSpan ProofHolds = TimeSpan.FromMinutes(1);

    /// <summary>How often a caller's request may try a marked site.</summary>
    public static readonly TimeSpan BetweenCallersTries = TimeSpan.FromMinutes(15);

    /// <summary>After a false rejection, sites that were rejected or marked within this time become due again.</summary>
    public static readonly TimeSpan DoubtedBack = TimeSpan.FromHours(24);

    /// <summary>How long a false rejection casts doubt on other rejections.</summary>
    public static readonly TimeSpan DoubtedFor = TimeSpan.FromHours(1);

    /// <summary>How many sites have to be rejected falsely for that: a single site may have its own problem.</summary>
    public const int FalselyRejectedSites = 2;

    private static readonly TimeSpan Daily = TimeSpan.FromDays(1);

    /// <summary>What a probe shows, where <paramref name="areFew"/> says that at most <see cref="TooFewSites"/> sites are active.</summary>
    public static SecretProof Conclude(IReadOnlyCollection<ProbeAnswer> answers, bool areFew) =>
        (answers.Contains(ProbeAnswer.Granted), answers.Contains(ProbeAnswer.Rejected)) switch
        {
            (true, false) => SecretProof.Since,
            (false, true) when !areFew => SecretProof.Suspect,
            (false, true) when !answers.Contains(ProbeAnswer.NoAnswer) => SecretProof.TooFewSites,
            _ => SecretProof.Unknown,
        };

    /// <summary>What a proof is worth where <paramref name="falselyRejected"/> sites were rejected falsely within <see cref="DoubtedFor"/>.</summary>
    public static SecretProof Weigh(SecretProof proof, int falselyRejected, TimeSpan rejectedFor) =>
        proof is SecretProof.Since or SecretProof.Recent && falselyRejected >= FalselyRejectedSites && rejectedFor < Daily ? SecretProof.Unknown : proof;

    /// <summary>What one more rejection of every allowed grant means for a site: <paramref name="counted"/> without it, <paramref name="failures"/> with it.</summary>
    /// <returns>The counted rejections with this one, and whether the site is to be marked, or a removal in doubt confirmed.</returns>
    public static (CountedRejections? Counted, bool IsFinal) Judge(CountedRejections? counted, Failures failures, SecretProof proof, DateTimeOffset now)
    {
        switch (proof)
        {
            case SecretProof.Recent or SecretProof.Since:
                // Ignore a first time in the future: the clock was set back.
                var more = counted is null || counted.FirstAt > now ? new CountedRejections(1, now) : counted with { Count = counted.Count + 1 };
                return (more, proof == SecretProof.Since && more.Count >= FewestRejections && now - more.FirstAt >= ShortestRejectedFor);
            case SecretProof.TooFewSites:
                return (counted, failures.Rejections >= FewestRejections && now - failures.FirstRejectedAt >= RejectedForWithoutProof);
            default:
                return (counted, false);
        }
    }

    /// <summary>
    /// What is known of the refresh token after it was rejected or could not be read once more. It is tried with the next
    /// refresh, then not before 1 h, 4 h, and a day.
    /// </summary>
    public static RefreshTokenFault Observed(RefreshTokenFault? before, RefreshTokenFaultKind kind, DateTimeOffset now)
    {
        if (before is null || before.Kind != kind || before.Since > now)
        {
            return new RefreshTokenFault(kind, now, 1, null);
        }

        var tries = before.Tries + 1;
        return before with { Tries = tries, RetryAt = now + (tries switch { 2 => TimeSpan.FromHours(1), 3 => TimeSpan.FromHours(4), _ => Daily }) };
    }

    /// <summary>Whether the refresh token may be tried before client credentials are.</summary>
    public static bool IsDue(RefreshTokenFault? fault, DateTimeOffset now) =>
        fault?.RetryAt is not { } retryAt || retryAt <= now || retryAt > now + Daily;

    /// <summary>When the sweep tries a marked site again: 1 h after it was marked, 4 h after that, then daily.</summary>
    public static DateTimeOffset MarkedRetryAt(DateTimeOffset markedAt, DateTimeOffset triedAt) =>
        (triedAt - markedAt) switch
        {
            { TotalHours: < 1 } => markedAt.AddHours(1),
            { TotalHours: < 5 } => markedAt.AddHours(5),
            _ => triedAt + Daily,
        };

    /// <summary>Whether a caller's request may try a marked site now. A last try in the future is ignored: the clock was set back.</summary>
    public static bool MayCallerTry(DateTimeOffset? triedAt, DateTimeOffset now) => !((now - triedAt)?.Duration() < BetweenCallersTries);

    /// <summary>Whether what was concluded from rejections of a site is to be tried again after a false rejection of another.</summary>
    public static bool IsDoubted(InstanceSummary site, DateTimeOffset now)
    {
        return site.Status switch
        {
            InstanceStatus.Active => IsRecent(site.RejectedAt) || (site.RefreshTokenFault == RefreshTokenFaultKind.Rejected && IsRecent(site.RefreshTokenFaultSince)),
            InstanceStatus.ReinstallRequired => IsRecent(site.MarkedAt) || IsRecent(site.RejectedAt),
            _ => false,
        };

        bool IsRecent(DateTimeOffset? at) => now - at <= DoubtedBack;
    }
}
