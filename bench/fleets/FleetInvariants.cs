using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Scale;
using WixOAuth.Tokens;

namespace WixOAuth.Fleets;

/// <summary>
/// What must hold for a fleet, whatever its schedule holds:
/// <code>
/// 1. A refresh token that Wix would take is never missing from its row.
/// 2. No healthy site is marked; where Wix rejects at random, chance may mark one in 1,000 (counted by the caller).
/// 3. A dead site is marked within 27 hours of its death, in a fleet of three or fewer within 50. Time in which
///    something else goes wrong does not count: nothing can be concluded then.
/// 4. Where nothing else happens than that sites die, no critical line is logged.
/// 5. No caller is handed an access token that Wix no longer takes.
/// 6. After the end of all faults every healthy site is served within 10 minutes, none is marked after an hour, and
///    each has a token by its own refresh token after a day.
/// </code>
/// </summary>
internal sealed class FleetInvariants(FleetSchedule schedule, SimulatedTime time, FleetStorage storage, FleetWix wix, LogCounts logs)
{
    public static readonly TimeSpan ServedWithin = TimeSpan.FromMinutes(10);
    public static readonly TimeSpan UnmarkedWithin = TimeSpan.FromHours(1);

    // A day, and a few minutes for the sweeps that refresh all that is due then.
    public static readonly TimeSpan OwnTokenWithin = TimeSpan.FromHours(24) + TimeSpan.FromMinutes(5);

    private static readonly TimeSpan s_markedWithin = TimeSpan.FromHours(27);
    private static readonly TimeSpan s_markedByTimeWithin = TimeSpan.FromHours(50);

    /// <summary>So long a new refresh token may be on its way into its row.</summary>
    private static readonly TimeSpan s_onItsWay = TimeSpan.FromSeconds(5);

    private readonly Dictionary<InstanceId, Site> _sites = [];
    private TimeSpan _trouble;

    public IReadOnlyCollection<InstanceId> Healthy => [.. _sites.Values.Where(site => site.Death is null).Select(site => site.Id)];

    /// <summary>Healthy sites that were marked.</summary>
    public int WronglyMarked => _sites.Values.Count(site => site.IsWronglyMarked);

    public int Dead => _sites.Values.Count(site => site.Death is not null);

    /// <summary>When the last dead site has to be marked; null where none died.</summary>
    public DateTimeOffset? LastDeadline => _sites.Values.Max(site => site.Death is null ? null : (DateTimeOffset?)Deadline(site.Death));

    public void Installed(InstanceId id) => _sites[id] = new Site(id);

    public void Died(InstanceId id) => _sites[id].Death = new Death(time.GetUtcNow(), _trouble);

    /// <summary>Something else than a death went on for so long.</summary>
    public void Troubled(TimeSpan during) => _trouble += during;

    /// <summary>A caller was answered.</summary>
    /// <param name="id">Of which site.</param>
    /// <param name="result">The answer.</param>
    /// <param name="quietFor">How long nothing had gone wrong when the caller asked.</param>
    public void Answered(InstanceId id, TokenResult result, TimeSpan quietFor)
    {
        if (result is TokenResult.Token token)
        {
            Require(wix.Takes(token.AccessToken.Reveal()), id, "a caller is handed an access token that Wix no longer takes");
        }
        else
        {
            Require(_sites[id].Death is not null || quietFor < ServedWithin, id, $"not served {quietFor} after the last fault: {result}");
        }
    }

    /// <summary>Looks at every site.</summary>
    public async Task LookAsync()
    {
        if (schedule.HasOnlyDeaths)
        {
            Require(logs.Critical.Count == 0, id: null, $"a critical line, though only sites died: {logs.Critical.FirstOrDefault()}");
        }

        foreach (var site in _sites.Values)
        {
            Look(site, await ReadAsync(site.Id));
        }
    }

    /// <summary>An hour after the last fault.</summary>
    public async Task LookWhetherNoneIsMarkedAsync()
    {
        foreach (var id in Healthy)
        {
            Require((await ReadAsync(id)).Instance.Status == InstanceStatus.Active, id, "healthy and still marked an hour after the last fault");
        }
    }

    /// <summary>A day after the last fault.</summary>
    public async Task LookAtGrantsAsync()
    {
        foreach (var id in Healthy)
        {
            var instance = (await ReadAsync(id)).Instance;
            Require(
                (instance.RefreshTokenState, instance.CurrentGrant, instance.Failures) == (RefreshTokenState.Ok, Grant.RefreshToken, null),
                id,
                $"no token by its own refresh token a day after the last fault: {instance.CurrentGrant}, {instance.RefreshTokenFault}, {instance.Failures}");
        }
    }

    private void Look(Site site, StoredInstance stored)
    {
        var instance = stored.Instance;
        if (site.Death is { } death)
        {
            Require(
                instance.Status == InstanceStatus.ReinstallRequired || time.GetUtcNow() <= Deadline(death),
                site.Id,
                $"dead since {death.At:O} and not marked: {instance.CountedRejections}, {instance.Failures}");
            return;
        }

        if (instance.Status != InstanceStatus.Active)
        {
            Require(instance.Status == InstanceStatus.ReinstallRequired && schedule.RejectsAtRandom, site.Id, $"healthy and {instance.Status}");
            site.IsWronglyMarked = true;
        }

        var (refreshToken, since) = wix.Of(site.Id);
        if (site.Seen != (stored.ETag, refreshToken) && time.GetUtcNow() - since >= s_onItsWay)
        {
            Require(Open(instance) == refreshToken, site.Id, $"the refresh token that Wix would take, {refreshToken} since {since:O}, is not in its row, but {Open(instance)}");
            site.Seen = (stored.ETag, refreshToken);
        }
    }

    private DateTimeOffset Deadline(Death death) =>
        death.At + (_sites.Count <= RejectionPolicy.TooFewSites ? s_markedByTimeWithin : s_markedWithin) + (_trouble - death.TroubleBefore);

    private async Task<StoredInstance> ReadAsync(InstanceId id) => (await storage.Memory.FindAsync(id, CancellationToken.None))!;

    // With the right key, whatever key the processes have.
    private static string? Open(Instance instance) =>
        instance.RefreshToken is { } text
        && TokenProtector.Open(FleetProcess.Key, instance.Id, TokenField.RefreshToken, instance.RefreshTokenGeneration ?? instance.Generation, text) is { } plaintext
            ? System.Text.Encoding.UTF8.GetString(plaintext)
            : null;

    private void Require(bool holds, InstanceId? id, string violation)
    {
        if (!holds)
        {
            throw new InvariantViolatedException($"{time.GetUtcNow():O}{(id is null ? "" : $", site {id}")}: {violation}");
        }
    }

    private sealed record Site(InstanceId Id)
    {
        public Death? Death { get; set; }

        public bool IsWronglyMarked { get; set; }

        /// <summary>The row and the refresh token of Wix that were compared last.</summary>
        public (string ETag, string RefreshToken) Seen { get; set; }
    }

    private sealed record Death(DateTimeOffset At, TimeSpan TroubleBefore);
}
