using System.Text;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Scale;
using WixOAuth.Tokens;

namespace WixOAuth.Fleets;

/// <summary>Checks <see cref="FleetRule"/> with each write of a row, with each answer to a caller, and now and then.</summary>
internal sealed class FleetInvariants(FleetSchedule schedule, SimulatedTime time, FleetStorage storage, FleetWix wix, LogCounts logs)
{
    public static readonly TimeSpan UnmarkedWithin = TimeSpan.FromHours(1);

    // A day, and a few minutes for the sweeps that refresh all that is due then.
    public static readonly TimeSpan OwnTokenWithin = TimeSpan.FromHours(24) + TimeSpan.FromMinutes(5);

    /// <summary>So long a new refresh token may be on its way into its row.</summary>
    private static readonly TimeSpan s_onItsWay = TimeSpan.FromSeconds(5);

    private readonly Dictionary<InstanceId, FleetSite> _sites = [];
    private readonly MarkRules _marks = new(schedule, time, wix);

    public AlarmRules Alarms { get; } = new(schedule, time, logs);

    public IReadOnlyList<FleetSite> Healthy => [.. _sites.Values.Where(site => site.IsHealthy)];

    /// <summary>Healthy sites that chance has marked.</summary>
    public int MarkedByChance => _sites.Values.Count(site => site.WasMarkedByChance);

    public int Dead => _sites.Values.Count(site => !site.IsHealthy);

    /// <summary>When the last dead site has to be marked; null where none died.</summary>
    public DateTimeOffset? LastDeadline => _sites.Values.Max(site => _marks.Deadline(site));

    public void Add(FleetSite site) => _sites[site.Id] = site;

    public void Died(FleetSite site) => _marks.Died(site);

    /// <summary>Something else than a death went on for so long.</summary>
    public void Troubled(TimeSpan during) => _marks.Troubled(during);

    /// <summary>A caller was answered.</summary>
    /// <param name="id">Of which site.</param>
    /// <param name="result">The answer.</param>
    /// <param name="mustBeServed">Whether all faults had ended long enough before.</param>
    /// <param name="quietFor">How long before.</param>
    public void Answered(InstanceId id, TokenResult result, bool mustBeServed, TimeSpan quietFor)
    {
        var site = _sites[id];
        if (result is TokenResult.Token token)
        {
            Require(wix.Takes(token.AccessToken.Reveal()), FleetRule.TokenLives, id, $"it ended at {wix.EndOf(token.AccessToken.Reveal()) - FleetSchedule.Start:d\\.hh\\:mm\\:ss}");
        }
        else if (mustBeServed && site.IsHealthy)
        {
            var isMarked = result is TokenResult.ReinstallRequired && site.MarkedAt is not null && quietFor < UnmarkedWithin;
            Require(isMarked, FleetRule.IsServed, id, $"{result} {quietFor:hh\\:mm\\:ss} after the last fault");
        }
    }

    /// <summary>A row was written.</summary>
    public void Wrote(Instance instance)
    {
        Require(IsOurs(instance.AccessToken) && IsOurs(instance.RefreshToken), FleetRule.KeyIsRight, instance.Id, $"generation {instance.Generation} by {instance.CurrentGrant}");
        _marks.Wrote(_sites[instance.Id], instance);
    }

    /// <summary>Looks at every site.</summary>
    public async Task LookAsync()
    {
        Alarms.Look();
        foreach (var site in _sites.Values)
        {
            var stored = await ReadAsync(site.Id);
            _marks.Look(site, stored.Instance);
            Compare(site, stored);
        }
    }

    /// <summary>An hour after the last fault.</summary>
    public Task LookWhetherNoneIsMarkedAsync()
    {
        foreach (var site in Healthy)
        {
            Require(site.MarkedAt is null, FleetRule.IsUnmarked, site.Id, $"marked since {site.MarkedAt - FleetSchedule.Start:d\\.hh\\:mm\\:ss}");
        }

        return Task.CompletedTask;
    }

    /// <summary>A day after the last fault.</summary>
    public async Task LookAtGrantsAsync()
    {
        foreach (var site in Healthy)
        {
            var instance = (await ReadAsync(site.Id)).Instance;
            Require(
                (instance.RefreshTokenState, instance.CurrentGrant, instance.Failures) == (RefreshTokenState.Ok, Grant.RefreshToken, null),
                FleetRule.HasOwnToken,
                site.Id,
                $"{instance.CurrentGrant}, {instance.RefreshTokenFault}, {instance.Failures}");
        }
    }

    private void Compare(FleetSite site, StoredInstance stored)
    {
        var (refreshToken, since) = wix.Of(site.Id);
        if (site.IsHealthy && site.Compared != (stored.ETag, refreshToken) && time.GetUtcNow() - since >= s_onItsWay)
        {
            var kept = Open(stored.Instance);
            Require(kept == refreshToken, FleetRule.TokenIsKept, site.Id, $"Wix would take {refreshToken}, since {since - FleetSchedule.Start:d\\.hh\\:mm\\:ss}; the row has {kept ?? "none"}");
            site.Compared = (stored.ETag, refreshToken);
        }
    }

    private async Task<StoredInstance> ReadAsync(InstanceId id) => (await storage.Memory.FindAsync(id, CancellationToken.None))!;

    private static bool IsOurs(ProtectedText? text) => text is null || text.KeyId == FleetProcess.Key.Id;

    // With the right key, whatever key the processes have.
    private static string? Open(Instance instance) =>
        instance.RefreshToken is { } text
        && TokenProtector.Open(FleetProcess.Key, instance.Id, TokenField.RefreshToken, instance.RefreshTokenGeneration ?? instance.Generation, text) is { } plaintext
            ? Encoding.UTF8.GetString(plaintext)
            : null;

    private void Require(bool holds, string rule, InstanceId? id, string details)
    {
        if (!holds)
        {
            throw new InvariantViolatedException(rule, time.GetUtcNow(), id, details);
        }
    }
}
