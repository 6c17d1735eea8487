using WixOAuth.Hosting;

namespace WixOAuth.Instances;

/// <summary>
/// Counts over all instances, or over the first <see cref="InstanceOverview.Limit"/> of them. All but
/// <paramref name="ByStatus"/> count active ones. One without a valid token is overdue when its last refresh failed, or when it
/// has been due for <see cref="InstanceOverview.OverdueAfter"/>; otherwise it is resting, because it is not used
/// (<c>Tokens__IdleAfter</c>). <paramref name="ByLife"/> counts the valid tokens by their remaining life: up to each of
/// <see cref="InstanceOverview.Lives"/>, and longer. <paramref name="FailingIds"/> has up to
/// <see cref="InstanceOverview.MostNamed"/> ids, in order.
/// </summary>
internal sealed record Overview(
    IReadOnlyDictionary<InstanceStatus, int> ByStatus,
    int Failing,
    IReadOnlyList<InstanceId> FailingIds,
    int Overdue,
    int Resting,
    IReadOnlyList<int> ByLife,
    bool IsPartial)
{
    /// <summary>
    /// How many active ones are served by client credentials because Wix rejects their refresh token, or are
    /// <see cref="Unreadable"/>. A rejected one counts only where refresh tokens are preferred: elsewhere it is not missed,
    /// and not tried again.
    /// </summary>
    public int OnFallback { get; init; }

    /// <summary>How many of those have a refresh token that no protection key opens, whether client credentials serve them or not.</summary>
    public int Unreadable { get; init; }

    /// <summary>How many active ones have an access token by each grant, living or not.</summary>
    public IReadOnlyDictionary<Grant, int> ByGrant { get; init; } = new Dictionary<Grant, int>();
}

/// <summary>
/// Counts instances for the operators' page. That reads a few properties of every instance (one storage transaction for
/// each thousand), so it is done at most every half minute, except for operators who have just changed
/// something.
/// </summary>
internal sealed class InstanceOverview(IInstanceStore store, Grant preferred, TimeProvider time)
{
    public const int Limit = 200_000;
    public const int MostNamed = 1_000;

    public static readonly IReadOnlyList<TimeSpan> Lives =
        [TimeSpan.FromSeconds(30), TimeSpan.FromMinutes(1), TimeSpan.FromMinutes(2), TimeSpan.FromMinutes(5)];

    /// <summary>How long after it was due one is overdue: longer than the sweep takes to come round, as in the alert for it.</summary>
    public static readonly TimeSpan OverdueAfter = TimeSpan.FromMinutes(2);

    private readonly SharedResult<Overview> _counts = new(time, keptFor: TimeSpan.FromSeconds(30));

    /// <summary>The counts, at most half a minute old, or counted <paramref name="forceRefresh"/>. A caller that cancels ends only its own wait.</summary>
    public Task<Overview> GetAsync(bool forceRefresh, CancellationToken cancellationToken) => _counts.GetAsync(CountAsync, forceRefresh, cancellationToken);

    private async Task<Overview> CountAsync()
    {
        var now = time.GetUtcNow();
        var byStatus = Enum.GetValues<InstanceStatus>().ToDictionary(status => status, _ => 0);
        var byLife = new int[Lives.Count + 1];
        var (seen, failing, overdue, resting) = (0, 0, 0, 0);
        var byGrant = Enum.GetValues<Grant>().ToDictionary(grant => grant, _ => 0);
        var (rejected, unreadable) = (0, 0);
        var failingIds = new List<InstanceId>();
        await foreach (var summary in store.ReadSummariesAsync(CancellationToken.None))
        {
            if (++seen > Limit)
            {
                break;
            }

            byStatus[summary.Status]++;
            if (summary.Status != InstanceStatus.Active)
            {
                continue;
            }

            byGrant[summary.CurrentGrant] += summary.AccessTokenExpiresOn is null ? 0 : 1;
            unreadable += summary.RefreshTokenFault == RefreshTokenFaultKind.Unreadable ? 1 : 0;
            rejected += IsRejectedOnFallback(summary) ? 1 : 0;
            if (summary.IsFailing && ++failing <= MostNamed)
            {
                failingIds.Add(summary.Id);
            }

            if (summary.AccessTokenExpiresOn > now)
            {
                byLife[Lives.Count(life => summary.AccessTokenExpiresOn - now > life)]++;
            }
            else if (summary.IsFailing || !(summary.DueAt + OverdueAfter > now))
            {
                overdue++;
            }
            else
            {
                resting++;
            }
        }

        failingIds.Sort((one, other) => string.CompareOrdinal(one.ToString(), other.ToString()));
        return new Overview(byStatus, failing, failingIds, overdue, resting, byLife, seen > Limit)
        {
            OnFallback = rejected + unreadable,
            Unreadable = unreadable,
            ByGrant = byGrant,
        };
    }

    private bool IsRejectedOnFallback(InstanceSummary summary) =>
        summary.RefreshTokenFault == RefreshTokenFaultKind.Rejected && summary.CurrentGrant == Grant.ClientCredentials && preferred == Grant.RefreshToken;
}
