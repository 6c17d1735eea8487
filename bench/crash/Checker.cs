using WixOAuth.Instances;

namespace WixOAuth.Crash;

/// <summary>Something that must not be.</summary>
/// <param name="Rule">Which rule it breaks.</param>
/// <param name="Site">Of which site; null when of none.</param>
/// <param name="At">When, as far as that is known.</param>
/// <param name="Text">What was seen. It names no token but those of the fake Wix.</param>
internal sealed record Violation(string Rule, Guid? Site, DateTimeOffset? At, string Text);

/// <summary>What the checker allows for the machine, not for the service.</summary>
/// <param name="Slack">How much later than the end of every lease and pause a token may come.</param>
/// <param name="Blink">How long an answer that was made may take to be written.</param>
internal sealed record Tolerance(TimeSpan Slack, TimeSpan Blink);

/// <summary>What the checker found.</summary>
internal sealed record Findings
{
    public IReadOnlyList<Violation> Violations { get; init; } = [];

    /// <summary>Leases that a killed process left behind.</summary>
    public int LeftLeases { get; init; }

    /// <summary>Tokens that Wix gave to a process which was killed before it had saved them.</summary>
    public int UnsavedTokens { get; init; }

    /// <summary>Refresh tokens that were lost so, of a Wix that voids the old one at once.</summary>
    public int LostByStrictWix { get; init; }

    /// <summary>The longest that a token came after the end of every lease and pause of its site.</summary>
    public TimeSpan LongestBeyond { get; init; }

    /// <summary>The longest that a caller waited for a token.</summary>
    public TimeSpan LongestWait { get; init; }
}

/// <summary>
/// Replays the recorded history and reports every broken rule. It uses only the documented protocol of the service: rows
/// follow each other by their ETags, a lease is one attempt's, a generation is one set of tokens.
/// </summary>
internal sealed class Checker
{
    public const string Generation = "a generation never falls, and no row is written blindly";
    public const string Lease = "a lease is taken over only when it has ended";
    public const string OneRefresh = "one refresh for each generation, and only under a lease";
    public const string Saved = "what Wix gave last is what is saved";
    public const string Kept = "no refresh token is lost";
    public const string MinTtl = "nobody gets a token that lives less than demanded, is another site's, or was reported as rejected";
    public const string Stuck = "no site is stuck longer than a lease, and nobody waits for ever";
    public const string Status = "no site is marked, and every answer is one of the contract's";
    public const string WrongKey = "a process with a wrong protection key seals nothing, and says so";
    public const string Fault = "nothing unforeseen is logged";

    // A storm opens the circuit of each process, which asks once in this time whether Wix is back.
    private static readonly TimeSpan s_afterStorm = Wix.WixCircuit.ProbeInterval * 2;

    private readonly History _history;
    private readonly Tolerance _tolerance;
    private readonly List<Violation> _violations = [];
    private readonly Dictionary<string, WixCall> _byAccessToken;
    private readonly Dictionary<int, DateTimeOffset> _killedAt;
    private readonly HashSet<int> _withWrongKey;
    private readonly ILookup<Guid, WixCall> _calls;

    // By site: until when no caller could have obtained a token.
    private readonly Dictionary<Guid, List<DateTimeOffset>> _excuses = [];

    // Calls whose tokens were saved.
    private readonly HashSet<WixCall> _saved = [];
    private int _leftLeases;
    private TimeSpan _longestBeyond;
    private TimeSpan _longestWait;

    private Checker(History history, Tolerance tolerance)
    {
        (_history, _tolerance) = (history, tolerance);
        _killedAt = history.Kills.GroupBy(kill => kill.Node).ToDictionary(kills => kills.Key, kills => kills.First().At);
        _withWrongKey = [.. history.WrongKeys.Select(wrong => wrong.Node)];
        _calls = history.Calls.OrderBy(call => call.ActedAt).ToLookup(call => call.Site);
        _byAccessToken = history.Calls.Where(call => call.AccessToken is not null).ToDictionary(call => call.AccessToken!);
    }

    public static Findings Check(History history, Tolerance tolerance) => new Checker(history, tolerance).Check();

    private Findings Check()
    {
        foreach (var site in _history.Sites)
        {
            _excuses[site.Id] = [];
            CheckRow(site);
        }

        var unsaved = _history.Calls
            .Where(call => call.Outcome == WixOutcome.Accepted && !_saved.Contains(call) && _killedAt.ContainsKey(call.Node) && !_withWrongKey.Contains(call.Node) && !_history.Lives.Contains(call.Site))
            .ToList();
        var lost = _history.Sites.Where(site => !site.Revoked).Count(CheckKept);
        _history.Sites.Where(site => site.Revoked).ToList().ForEach(site => CheckKept(site));
        _history.Asks.ToList().ForEach(CheckAnswer);
        _history.Wishes.ToList().ForEach(CheckWait);
        CheckWrongKeys();
        _history.Faults.ToList().ForEach(line => Break(Fault, null, null, line));
        return new Findings
        {
            Violations = _violations,
            LeftLeases = _leftLeases,
            UnsavedTokens = unsaved.Count,
            LostByStrictWix = lost,
            LongestBeyond = _longestBeyond,
            LongestWait = _longestWait,
        };
    }

    private void Break(string rule, Guid? site, DateTimeOffset? at, string text) => _violations.Add(new Violation(rule, site, at, text));

    private void CheckRow(Site site)
    {
        if (_history.First.FirstOrDefault(row => row.Site == site.Id) is not { } first || _history.Last.FirstOrDefault(row => row.Site == site.Id) is not { } last)
        {
            Break(Generation, site.Id, null, "There is no row.");
            return;
        }

        var chain = Follow(site, first, last);
        var (state, refreshToken, tenures) = (first.State, first.RefreshToken, new List<Tenure>());
        foreach (var write in chain)
        {
            CheckWrite(site, state, refreshToken, write, tenures);
            refreshToken = write.RefreshToken;
            state = write.State;
        }

        CheckCalls(site, tenures);
        foreach (var left in tenures.Where(tenure => tenure.EndedBy is null || (tenure.EndedBy.Node != tenure.Write.Node && tenure.EndedBy.Kind == WriteKind.Lease)))
        {
            if (_killedAt.ContainsKey(left.Write.Node))
            {
                _leftLeases++;
            }

            _excuses[site.Id].Add(left.Until);
        }
    }

    /// <summary>The writes that succeeded, in order, each made from the one before.</summary>
    private List<RowWrite> Follow(Site site, Row first, Row last)
    {
        var landed = _history.Writes.Where(write => write.Site == site.Id && write.Landed).ToList();
        foreach (var blind in landed.Where(write => write.IfMatch is null or "*"))
        {
            Break(Generation, site.Id, blind.SentAt, "A row was written without a look at what was there.");
        }

        foreach (var twice in landed.GroupBy(write => write.IfMatch).Where(writes => writes.Count() > 1))
        {
            Break(Generation, site.Id, twice.First().SentAt, "Two writes were made from one version and both landed.");
        }

        var next = landed.Where(write => write.IfMatch is not null).GroupBy(write => write.IfMatch!).ToDictionary(writes => writes.Key, writes => writes.First());
        var chain = new List<RowWrite>();
        for (var etag = first.ETag; next.Remove(etag, out var write); etag = write.ETag!)
        {
            chain.Add(write);
        }

        if (chain.Count != landed.Count || (chain.Count == 0 ? first.ETag : chain[^1].ETag) != last.ETag)
        {
            Break(Generation, site.Id, null, $"Of {landed.Count} writes, {chain.Count} follow each other; the last of them is {(chain.Count > 0 && chain[^1].ETag == last.ETag ? "" : "not ")}what is stored.");
        }

        return chain;
    }

    private void CheckWrite(Site site, Instance before, string? refreshTokenBefore, RowWrite write, List<Tenure> tenures)
    {
        var after = write.State;
        if (after.Generation != before.Generation && (after.Generation != before.Generation + 1 || write.Kind != WriteKind.Commit))
        {
            Break(Generation, site.Id, write.SentAt, $"Generation {after.Generation} came after {before.Generation}, by a write of the kind {write.Kind}.");
        }

        if (after.Status != InstanceStatus.Active)
        {
            Break(Status, site.Id, write.SentAt, $"It was marked {after.Status}.");
        }

        if (before.Lease is { } held && after.Lease?.Owner != held.Owner && tenures is [.., var current])
        {
            current.EndedBy = write;
        }

        if (after.Lease is { } taken && taken.Owner != before.Lease?.Owner)
        {
            if (before.Lease is { } other && other.Until > write.SentAt)
            {
                Break(Lease, site.Id, write.SentAt, $"It was taken by process {write.Node} {(other.Until - write.SentAt).TotalSeconds:F3} s before its end.");
            }

            tenures.Add(new Tenure(write));
        }
        else if (after.Lease is { } renewed && tenures is [.., var mine])
        {
            mine.Until = renewed.Until;
        }

        if (after.Failures?.RetryAt is { } retryAt)
        {
            _excuses[site.Id].Add(retryAt);
        }

        if (after.Generation == before.Generation + 1)
        {
            CheckCommit(site, refreshTokenBefore, write);
        }
    }

    private void CheckCommit(Site site, string? refreshTokenBefore, RowWrite write)
    {
        if (write.AccessToken is null || !_byAccessToken.TryGetValue(write.AccessToken, out var call) || call.Site != site.Id)
        {
            Break(Saved, site.Id, write.SentAt, "An access token was saved that Wix never gave for this site.");
            return;
        }

        _saved.Add(call);
        if (call.Node != write.Node || !ReferenceEquals(call, _calls[site.Id].LastOrDefault(other => other.Node == write.Node && other.Outcome == WixOutcome.Accepted && other.ActedAt <= write.SentAt)))
        {
            Break(Saved, site.Id, write.SentAt, $"Process {write.Node} saved another access token than it had been given last.");
        }

        // A fallback to client credentials keeps the refresh token.
        if (write.RefreshToken != (call.Grant == Grant.RefreshToken ? call.Issued : refreshTokenBefore) || write.State.CurrentGrant != call.Grant)
        {
            Break(Saved, site.Id, write.SentAt, $"Process {write.Node} saved another refresh token than it had been given, or another grant.");
        }
    }

    private void CheckCalls(Site site, List<Tenure> tenures)
    {
        var accepted = new List<(WixCall Call, Tenure Tenure)>();
        foreach (var call in _calls[site.Id].Where(call => !_withWrongKey.Contains(call.Node)))
        {
            // The lease that the process had written last before it asked.
            if (tenures.LastOrDefault(tenure => tenure.Write.Node == call.Node && tenure.Write.SentAt <= call.ReceivedAt) is not { } tenure)
            {
                Break(OneRefresh, site.Id, call.ReceivedAt, $"Process {call.Node} asked Wix without a lease.");
                continue;
            }

            if (call.ReceivedAt > tenure.Until + _tolerance.Blink || tenure.EndedBy?.SentAt < call.ReceivedAt)
            {
                Break(OneRefresh, site.Id, call.ReceivedAt, $"Process {call.Node} asked Wix when its lease was over.");
            }

            if (call.Outcome == WixOutcome.Accepted)
            {
                accepted.Add((call, tenure));
            }
        }

        // A second one for a generation: only where the first was obtained under a lease that has ended and by a process that has ended.
        foreach (var generation in accepted.GroupBy(each => each.Tenure.Write.State.Generation))
        {
            foreach (var ((earlier, tenure), (later, _)) in generation.Zip(generation.Skip(1)))
            {
                // After an answer that came too late it asks again, or gives the lease back for the next.
                if (!IsUnsaveable(earlier) || (!_history.Unheard.Contains(earlier) && tenure.Until > later.ReceivedAt))
                {
                    Break(OneRefresh, site.Id, later.ReceivedAt, $"Processes {earlier.Node} and {later.Node} both refreshed generation {generation.Key}.");
                }
            }
        }
    }

    /// <summary>It may answer by client credentials, from its memory; what it writes holds tokens only as they were.</summary>
    private void CheckWrongKeys()
    {
        foreach (var quiet in _history.WrongKeys.Where(wrong => !wrong.IsTold && wrong.Until - wrong.From > _tolerance.Slack))
        {
            Break(WrongKey, null, quiet.From, $"Process {quiet.Node} had another key for {(quiet.Until - quiet.From).TotalSeconds:F1} s and has not said so.");
        }

        foreach (var write in _history.Writes.Where(write => _withWrongKey.Contains(write.Node) && IsUnreadable(write)))
        {
            Break(WrongKey, write.Site, write.SentAt, $"Process {write.Node} sealed a token.");
        }

        foreach (var call in _history.Calls.Where(call => _withWrongKey.Contains(call.Node) && call.Grant == Grant.RefreshToken && !_history.Lives.Contains(call.Site)))
        {
            Break(WrongKey, call.Site, call.ActedAt, $"Process {call.Node} used a refresh token.");
        }

        static bool IsUnreadable(RowWrite write) =>
            (write.State.AccessToken is not null && write.AccessToken is null) || (write.State.RefreshToken is not null && write.RefreshToken is null);
    }

    /// <returns>Whether its refresh token was lost in a way that no client of such a Wix could have prevented.</returns>
    private bool CheckKept(Site site)
    {
        // Wix has voided the old one, and the new one did not reach the storage: its process was killed, its answer came too
        // late, or the storage was away for longer than a lease. With grace it takes two of these, one after the other.
        var unsaved = _calls[site.Id].Where(call => call.Issued is not null && !_saved.Contains(call) && IsUnsaveable(call)).Select(call => (DateTimeOffset?)call.ActedAt);
        var lostAt = site.Rotation switch
        {
            Rotation.Strict => unsaved.FirstOrDefault(),
            Rotation.Grace => _calls[site.Id].Where(call => call.Issued is not null && IsCutOff(call.ActedAt)).Select(call => (DateTimeOffset?)call.ActedAt).FirstOrDefault(at => unsaved.Any(other => other > at)),
            _ => null,
        };
        foreach (var call in _calls[site.Id].Where(call => !_withWrongKey.Contains(call.Node) && (call.Outcome == WixOutcome.Rejected || call.Grant == Grant.ClientCredentials)))
        {
            if (!site.Revoked && !(lostAt < call.ActedAt))
            {
                Break(Kept, site.Id, call.ActedAt, call.Outcome == WixOutcome.Rejected ? "Wix refused the refresh token that was saved." : "Client credentials were used although the refresh token was good.");
            }
        }

        if (!site.Revoked && lostAt is null && _history.Last.FirstOrDefault(row => row.Site == site.Id) is { } last)
        {
            if (last.RefreshToken is null || last.RefreshToken != _history.Good.GetValueOrDefault(site.Id))
            {
                Break(Kept, site.Id, null, "The refresh token that is saved is not the newest good one.");
            }
        }

        return lostAt is not null;
    }

    private void CheckAnswer(Ask ask)
    {
        if (ask.Status is not (0 or 200 or 503))
        {
            Break(Status, ask.Site, ask.EndedAt, $"Process {ask.Node} answered {ask.Status}.");
        }

        if (ask.Status != 200)
        {
            return;
        }

        if (ask.AccessToken is null || !_byAccessToken.TryGetValue(ask.AccessToken, out var call) || call.Site != ask.Site)
        {
            Break(MinTtl, ask.Site, ask.EndedAt, $"Process {ask.Node} answered a token that Wix never gave for this site.");
            return;
        }

        if (ask.ExpiresOn > call.ActedAt + call.Lifetime)
        {
            Break(MinTtl, ask.Site, ask.EndedAt, $"Process {ask.Node} answered a token as living longer than it does.");
        }

        // Whole seconds, rounded down: nearly one more may be left.
        var demanded = ask.MinTtl < call.Lifetime * 0.8 ? ask.MinTtl : call.Lifetime * 0.8;
        if (ask.ExpiresIn + TimeSpan.FromSeconds(1) + _tolerance.Blink < demanded || ask.ExpiresOn <= ask.StartedAt)
        {
            Break(MinTtl, ask.Site, ask.EndedAt, $"Process {ask.Node} answered a token of {ask.ExpiresIn.TotalSeconds:F0} s where {demanded.TotalSeconds:F1} s were demanded.");
        }

        // A report about a token younger than 3 % of its life is ignored.
        var issuedAt = ask.ExpiresOn - call.Lifetime;
        if (ask.AccessToken == ask.Rejected && ask.StartedAt - issuedAt >= call.Lifetime * 0.03)
        {
            Break(MinTtl, ask.Site, ask.EndedAt, $"Process {ask.Node} answered the token that was reported as rejected.");
        }
    }

    private void CheckWait(Wish wish)
    {
        if (wish.ServedAt is not { } servedAt)
        {
            Break(Stuck, wish.Site, wish.StartedAt, "Somebody has waited in vain.");
            return;
        }

        // A caller whose process was killed, or has a wrong key, has to ask another one: its wait begins again.
        var since = wish.StartedAt;
        foreach (var ask in wish.Asks.Where(ask => ask.Status == 0 || (ask.Status != 200 && _withWrongKey.Contains(ask.Node))))
        {
            CheckWait(wish, since, ask.EndedAt);
            since = ask.EndedAt;
        }

        CheckWait(wish, since, servedAt);
        _longestWait = servedAt - wish.StartedAt > _longestWait ? servedAt - wish.StartedAt : _longestWait;
    }

    private void CheckWait(Wish wish, DateTimeOffset since, DateTimeOffset until)
    {
        var allowedUntil = _excuses.GetValueOrDefault(wish.Site, [])
            .Concat(_history.Outages.Where(outage => outage.From < until).Select(outage => outage.Until + Tokens.TokenRefresher.LeaseTime))
            .Concat(_history.Storms.Where(storm => storm.From < until).Select(storm => storm.Until + s_afterStorm))
            .Where(end => end > since && end - Tokens.TokenRefresher.LeaseTime * 2 < until)
            .Append(since)
            .Max();
        var beyond = until - allowedUntil;
        _longestBeyond = beyond > _longestBeyond ? beyond : _longestBeyond;
        if (beyond > _tolerance.Slack)
        {
            var asks = string.Join(", ", wish.Asks.Select(ask => $"P{ask.Node} {ask.StartedAt:mm:ss.f} to {ask.EndedAt:mm:ss.f} {ask.Status}"));
            Break(Stuck, wish.Site, until, $"Somebody waited {beyond.TotalSeconds:F1} s after every lease had ended. Asked: {asks}");
        }
    }

    /// <summary>Whether no process could have saved what Wix granted.</summary>
    private bool IsUnsaveable(WixCall call) => _killedAt.ContainsKey(call.Node) || _history.Unheard.Contains(call) || IsCutOff(call.ActedAt);

    private bool IsCutOff(DateTimeOffset at) => _history.Outages.Any(outage => at > outage.From - Tokens.TokenRefresher.LeaseTime && at < outage.Until);

    /// <summary>The time in which one attempt held the lease.</summary>
    private sealed class Tenure(RowWrite write)
    {
        public RowWrite Write => write;

        public DateTimeOffset Until { get; set; } = write.State.Lease!.Until;

        /// <summary>The write that gave it back or took it over.</summary>
        public RowWrite? EndedBy { get; set; }
    }
}
