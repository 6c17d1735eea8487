using Microsoft.Extensions.Logging;
using WixOAuth.Hosting;
using WixOAuth.Instances;

namespace WixOAuth.Tokens;

/// <summary>
/// Finds out whether a rejection is the site's own or ours: asks Wix for tokens of other sites with the same app secret.
/// At most one probe a minute and process. What its answers mean is decided by <see cref="RejectionPolicy"/>.
/// </summary>
internal sealed class AppSecretProbe(
    IInstanceStore store,
    RefreshLeases leases,
    RefreshAttempts attempts,
    FailureRecorder recorder,
    AppSecretLedger ledger,
    FalseRejections falseRejections,
    BackgroundWork background,
    TokenMetrics metrics,
    TimeProvider time,

    // Ten: the last three are metrics, the clock and the log.
    ILogger<AppSecretProbe> logger)
{
    public static readonly TimeSpan BetweenProbes = TimeSpan.FromMinutes(1);

    /// <summary>The longest that a rejected attempt waits for a probe.</summary>
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private Task<Finding>? _probe;
    private long? _startedAt;

    /// <summary>What is known about the app secret, now that a site was rejected with it. Probes other sites if nothing newer is known.</summary>
    public async Task<SecretProof> ProveAsync(Instance rejected, string secretVersion)
    {
        var proof = await ProveSecretAsync(rejected.Id, secretVersion);
        return RejectionPolicy.Weigh(proof, falseRejections.Recent, time.GetUtcNow() - (rejected.Failures?.FirstRejectedAt ?? time.GetUtcNow()));
    }

    private async Task<SecretProof> ProveSecretAsync(InstanceId rejected, string secretVersion)
    {
        var rejectedAt = time.GetTimestamp();
        try
        {
            var finding = await ProbeOrLastAsync(rejected).WaitAsync(LongestWait, time);
            return finding.Proof != SecretProof.Since ? finding.Proof
                : finding.SecretVersion != secretVersion ? SecretProof.Unknown
                : time.GetElapsedTime(rejectedAt, finding.EndedAt) >= TimeSpan.Zero ? SecretProof.Since
                : time.GetElapsedTime(finding.EndedAt, rejectedAt) <= RejectionPolicy.ProofHolds ? SecretProof.Recent
                : SecretProof.Unknown;
        }
        catch (TimeoutException)
        {
            return SecretProof.Unknown;
        }
    }

    /// <summary>For the sweep, while the secret is suspect: probes, unless that was done within the minute.</summary>
    public Task ProbeAsync() => ProbeOrLastAsync(except: null);

    private Task<Finding> ProbeOrLastAsync(InstanceId? except)
    {
        lock (_lock)
        {
            if (_probe is { IsCompleted: false } || (_startedAt is { } startedAt && time.GetElapsedTime(startedAt) < BetweenProbes))
            {
                return _probe!;
            }

            _startedAt = time.GetTimestamp();
            _probe = RunAsync(except);
            background.Start("probe", () => _probe);
            return _probe;
        }
    }

    private async Task<Finding> RunAsync(InstanceId? except)
    {
        await Task.Yield();
        Finding finding;
        try
        {
            finding = await AskAsync(except);
        }
        catch (Exception exception)
        {
            logger.ProbeFailed(exception.GetType().Name);
            finding = new Finding(SecretProof.Unknown, "", time.GetTimestamp());
        }

        metrics.Probed(finding.Proof);
        return finding;
    }

    private async Task<Finding> AskAsync(InstanceId? except)
    {
        var (sites, areFew) = await FindSitesAsync(except);
        if (sites.Count == 0)
        {
            // Nobody else could end a suspicion.
            ledger.Trust();
            return new Finding(SecretProof.TooFewSites, "", time.GetTimestamp());
        }

        // While the secret is suspect, sites are asked one at a time, because one success ends the suspicion. Before that, several
        // are asked at once and more follow: many sites may have been removed at the same time.
        var (isSuspect, most) = (ledger.IsSuspect, Math.Min(RejectionPolicy.MostSitesToAsk, sites.Count));
        List<(ProbeAnswer Answer, string? SecretVersion)> answers = [];
        SecretProof proof;
        do
        {
            answers.AddRange(await Task.WhenAll(sites.Skip(answers.Count).Take(isSuspect ? 1 : RejectionPolicy.SitesToAsk).Select(AskAsync)));
            proof = RejectionPolicy.Conclude([.. answers.Select(each => each.Answer)], areFew);
        }
        while (answers.Count < most && ((proof == SecretProof.Suspect && !isSuspect) || answers.TrueForAll(each => each.Answer == ProbeAnswer.NotAsked)));

        if (answers.TrueForAll(each => each.Answer == ProbeAnswer.NotAsked))
        {
            // Most likely they are being refreshed just now: the next rejection need not wait to ask again.
            lock (_lock)
            {
                _startedAt = null;
            }
        }

        if (proof == SecretProof.Suspect)
        {
            ledger.Suspect(answers.Count(each => each.Answer != ProbeAnswer.NotAsked));
        }
        else if (proof == SecretProof.TooFewSites)
        {
            // As above: no other site could end the suspicion, because the few active ones may have been removed too.
            ledger.Trust();
        }

        return new Finding(proof, answers.FirstOrDefault(each => each.Answer == ProbeAnswer.Granted).SecretVersion ?? "", time.GetTimestamp());
    }

    // The sites to ask, the most likely to succeed first; none when the table has too few. When few are active, their rejections
    // alone prove nothing.
    private async Task<(IReadOnlyList<InstanceId> Sites, bool AreFew)> FindSitesAsync(InstanceId? except)
    {
        var known = ledger.LastSucceeded(RejectionPolicy.MostSitesToAsk, except ?? default);
        if (known.Count >= RejectionPolicy.SitesToAsk)
        {
            return (known, false);
        }

        var active = await ReadActiveAsync();
        if (active.Count + await CountMarkedAsync(active.Count) <= RejectionPolicy.TooFewSites)
        {
            return ([], true);
        }

        // Of the sites that this process does not know, prefer those without a failure. While the secret is suspect there may be none.
        var others = active.Where(instance => instance.Id != except && !known.Contains(instance.Id)).ToList();
        var healthy = others.Where(instance => instance.Failures is null).OrderByDescending(instance => instance.RefreshedAt).Select(instance => instance.Id).ToList();
        return (
            healthy.Count + known.Count > 0 ? [.. known, .. healthy] : [.. others.Select(instance => instance.Id).OrderBy(_ => Random.Shared.Next())],
            active.Count <= RejectionPolicy.TooFewSites);
    }

    private async Task<(ProbeAnswer Answer, string? SecretVersion)> AskAsync(InstanceId id)
    {
        try
        {
            if (await store.FindAsync(id, CancellationToken.None) is not { Instance.Status: InstanceStatus.Active } stored)
            {
                ledger.Forget(id);
                return (ProbeAnswer.NotAsked, null);
            }

            if (attempts.IsUnsaved(id) || stored.Instance.Lease?.Until > time.GetUtcNow())
            {
                return (ProbeAnswer.NotAsked, null);
            }

            if (!leases.MayAsk(out _) || !await attempts.CanSealAsync())
            {
                return (ProbeAnswer.NoAnswer, null);
            }

            var attemptId = Guid.NewGuid().ToString("N");
            if (await leases.TryTakeAsync(stored, attemptId) is not { } leased)
            {
                return (ProbeAnswer.NotAsked, null);
            }

            var attempt = await attempts.RunAsync(leased, attemptId, isForced: false);
            if (attempt.Error is null)
            {
                return (ProbeAnswer.Granted, attempt.SecretVersion);
            }

            // Never counted: a probe asks about the secret, not about the site.
            await recorder.RecordAsync(leased, attempt, SecretProof.Unknown);
            return (attempt.EveryGrantRejected ? ProbeAnswer.Rejected : ProbeAnswer.NoAnswer, null);
        }
        catch (InvalidDataException)
        {
            ledger.Forget(id);
            return (ProbeAnswer.NotAsked, null);
        }
        catch (StorageUnavailableException)
        {
            return (ProbeAnswer.NoAnswer, null);
        }
    }

    // A page from a random place on; all, where the table is small.
    private async Task<IReadOnlyList<Instance>> ReadActiveAsync()
    {
        var from = new byte[16];
        Random.Shared.NextBytes(from);
        var page = await store.ListAsync(InstanceStatus.Active, new InstanceId(new Guid(from)), IInstanceStore.MaxPage, CancellationToken.None);
        return page.Instances.Count >= IInstanceStore.MaxPage / 2
            ? page.Instances
            : (await store.ListAsync(InstanceStatus.Active, null, IInstanceStore.MaxPage, CancellationToken.None)).Instances;
    }

    private async Task<int> CountMarkedAsync(int active) =>
        active > RejectionPolicy.TooFewSites
            ? 0
            : (await store.ListAsync(InstanceStatus.ReinstallRequired, null, RejectionPolicy.TooFewSites + 1, CancellationToken.None)).Instances.Count;

    private sealed record Finding(SecretProof Proof, string SecretVersion, long EndedAt);
}
