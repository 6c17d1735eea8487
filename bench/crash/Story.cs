namespace WixOAuth.Crash;

/// <summary>What happened to a site, line by line, to find out how a rule could be broken.</summary>
internal static class Story
{
    public static IEnumerable<string> Of(History history, Guid site)
    {
        var writes = history.Writes.Where(write => write.Site == site).Select(write => (
            write.AnsweredAt,
            $"P{write.Node} {write.Kind} {(write.Landed ? "landed" : "refused")}, generation {write.State.Generation}, {write.State.Grant}, lease until {write.State.Lease?.Until:HH:mm:ss.fff}, retry at {write.State.Failures?.RetryAt:HH:mm:ss.fff}, {write.RefreshToken}, sent at {write.SentAt:HH:mm:ss.fff}"));
        var calls = history.Calls.Where(call => call.Site == site).Select(call => (
            call.ActedAt, $"P{call.Node} {call.Grant} at Wix: {call.Outcome}, {call.Used} -> {call.Issued}, received at {call.ReceivedAt:HH:mm:ss.fff}"));
        var wishes = history.Wishes.Where(wish => wish.Site == site && wish.ServedAt - wish.StartedAt > TimeSpan.FromSeconds(5)).Select(wish => (
            wish.ServedAt!.Value, $"a token that was waited for since {wish.StartedAt:HH:mm:ss.fff}"));
        var nodes = history.Writes.Where(write => write.Site == site).Select(write => write.Node).ToHashSet();
        var kills = history.Kills.Where(kill => nodes.Contains(kill.Node)).Select(kill => (kill.At, $"P{kill.Node} is killed: {kill.Step ?? "at random"}"));
        var outages = history.Outages.Select(outage => (outage.From, $"the storage is away until {outage.Until:HH:mm:ss.fff}"));
        return writes.Concat(calls).Concat(wishes).Concat(kills).Concat(outages).OrderBy(told => told.Item1).Select(told => $"{told.Item1:HH:mm:ss.fff} {told.Item2}");
    }
}
