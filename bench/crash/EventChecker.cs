using WixOAuth.Instances;

namespace WixOAuth.Crash;

/// <summary>
/// Compares the events that arrived with the changes that the storage took. It knows nothing of the service but
/// docs/events.md: which change causes which event, at least once, in order for each instance.
/// </summary>
internal static class EventChecker
{
    public const string Caused = "each change has its event, and no event is without its change";
    public const string Arrived = "each event arrives at least once";
    public const string Ordered = "the events of an instance arrive in order";
    public const string Same = "what arrives twice is the same event";
    public const string Kept = "only an import or a removal replaces a refresh token";

    public static IReadOnlyList<Violation> Check(History history)
    {
        List<Violation> violations = [];
        var arrivals = history.Arrivals.OrderBy(arrival => arrival.At).ToLookup(arrival => arrival.Site);
        var writes = history.Writes.Where(write => write.Landed).ToLookup(write => write.Site);
        foreach (var site in history.Lives)
        {
            var changes = Follow(writes[site], history.Last.FirstOrDefault(row => row.Site == site)?.ETag, problem => violations.Add(new(Checker.Generation, site, null, problem)));
            violations.AddRange(CheckChanges(site, changes));
            violations.AddRange(CheckArrivals(site, [.. changes.SelectMany(change => change.Events ?? [])], [.. arrivals[site]]));
        }

        foreach (var stranger in history.Arrivals.Where(arrival => !history.Lives.Contains(arrival.Site)))
        {
            violations.Add(new Violation(Caused, stranger.Site, stranger.At, $"{stranger.Type} arrived of a site that nothing was done to."));
        }

        return violations;
    }

    /// <summary>The writes that succeeded, in order, each made from the one before.</summary>
    private static List<RowWrite> Follow(IEnumerable<RowWrite> landed, string? last, Action<string> report)
    {
        var all = landed.ToList();
        var next = all.GroupBy(write => write.IfMatch ?? "").ToDictionary(from => from.Key, from => from.ToList());
        var chain = new List<RowWrite>();
        for (var etag = ""; next.Remove(etag, out var writes); etag = writes[0].ETag!)
        {
            chain.Add(writes[0]);
        }

        if (chain.Count != all.Count || (chain.Count > 0 && chain[^1].ETag != last))
        {
            report($"Of {all.Count} writes, {chain.Count} follow each other.");
        }

        return chain;
    }

    private static IEnumerable<Violation> CheckChanges(Guid site, IReadOnlyList<RowWrite> changes)
    {
        var (before, refreshToken) = ((Instance?)null, (string?)null);
        foreach (var write in changes)
        {
            var expected = Expected(before, write.State).ToList();
            var caused = (write.Events ?? []).Select(each => each.Type).ToList();
            if (!expected.SequenceEqual(caused))
            {
                yield return new Violation(
                    Caused, site, write.SentAt, $"A change from {before?.Status} to {write.State.Status} caused [{string.Join(", ", caused)}] instead of [{string.Join(", ", expected)}].");
            }

            if (before is not null && write.RefreshToken != refreshToken && write.State.Status != InstanceStatus.Removed && write.State.ImportedAt == before.ImportedAt)
            {
                yield return new Violation(Kept, site, write.SentAt, $"{refreshToken ?? "none"} became {write.RefreshToken ?? "none"}.");
            }

            (before, refreshToken) = (write.State, write.RefreshToken);
        }
    }

    // Consents, markings and customers do not happen in these lives.
    private static IEnumerable<string> Expected(Instance? before, Instance after)
    {
        var isKnown = before is { Status: not InstanceStatus.Removed };
        var wasServed = isKnown && (before!.ConsentedAt is not null || before.RefreshedAt is not null);
        if (after.Status == InstanceStatus.Removed)
        {
            if (isKnown)
            {
                yield return "removed";
            }

            yield break;
        }

        if (after.ImportedAt != before?.ImportedAt)
        {
            yield return wasServed ? "reconnected" : "connected";
        }
        else if (isKnown && !wasServed && after.RefreshedAt is not null)
        {
            yield return "connected";
        }

        if (after.SetupCompletedAt is not null && after.SetupCompletedAt != before?.SetupCompletedAt)
        {
            yield return "setup_completed";
        }
    }

    private static IEnumerable<Violation> CheckArrivals(Guid site, IReadOnlyList<EventRow> caused, IReadOnlyList<Arrival> arrivals)
    {
        foreach (var missing in caused.Where(each => !arrivals.Any(arrival => arrival.Id == each.Id && arrival.IsAccepted)))
        {
            yield return new Violation(Arrived, site, null, $"{missing.Type} {missing.Id} was never delivered.");
        }

        var position = caused.Select((each, index) => (each.Id, index)).ToDictionary(each => each.Id, each => each.index);
        var (furthest, accepted) = (-1, new HashSet<string>());
        foreach (var arrival in arrivals)
        {
            if (!position.TryGetValue(arrival.Id, out var at) || "instance." + caused[at].Type != arrival.Type)
            {
                yield return new Violation(Caused, site, arrival.At, $"{arrival.Type} {arrival.Id} arrived, and nothing caused it.");
                continue;
            }

            if (at < furthest || caused.Take(at).Any(earlier => !accepted.Contains(earlier.Id)))
            {
                yield return new Violation(Ordered, site, arrival.At, $"{arrival.Type} {arrival.Id} arrived out of order.");
            }

            furthest = Math.Max(furthest, at);
            if (arrival.IsAccepted)
            {
                accepted.Add(arrival.Id);
            }
        }

        foreach (var copies in arrivals.GroupBy(arrival => arrival.Id).Where(copies => copies.Select(copy => (copy.HeaderId, copy.Type, copy.Time)).Distinct().Count() > 1 || copies.Any(copy => copy.HeaderId != copy.Id)))
        {
            yield return new Violation(Same, site, copies.First().At, $"{copies.Key} arrived in different forms.");
        }
    }
}
