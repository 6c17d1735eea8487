using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Protection;
using WixOAuth.Secrets;
using WixOAuth.Tokens;

namespace WixOAuth.Maintenance;

/// <summary>Which protection keys the stored tokens need. Instances are counted, and for <c>OnOlder</c> the key-check row too.</summary>
internal sealed record ReencryptionSummary(string Newest, int OnNewest, int Reencrypted, IReadOnlyDictionary<string, int> OnOlder, bool IsComplete);

/// <summary>
/// Encrypts tokens, and then the key-check row, again with the newest protection key, so that older versions can be
/// disabled. It may run concurrently with itself and be killed at any point, and never disturbs a refresh: the next run
/// does what is left.
/// </summary>
internal sealed class TokenReencryption(
    IInstanceStore store, IKeyRing keys, TokenProtector protector, InstanceTokens tokens, MaintenanceMetrics metrics, TimeProvider time, ILogger<TokenReencryption> logger)
{
    private const int Concurrency = 8;

    // A concurrent writer already uses the newest key.
    private const int MaxTries = 3;

    /// <param name="cancellationToken">Ends the run; the summary is then incomplete.</param>
    /// <exception cref="SecretUnavailableException">The keys cannot be had, or are not those of the stored tokens.</exception>
    /// <exception cref="StorageUnavailableException">The storage fails; the next run goes on.</exception>
    public async Task<ReencryptionSummary> RunAsync(CancellationToken cancellationToken)
    {
        await protector.EnsureCanSealAsync(cancellationToken);
        var newestKey = await keys.GetNewestAsync(cancellationToken);
        var newest = newestKey.Id;
        var (onNewest, reencrypted, isComplete) = (0, 0, true);
        var onOlder = new ConcurrentDictionary<string, int>();
        try
        {
            await Parallel.ForEachAsync(
                store.ReadSummariesAsync(cancellationToken),
                new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
                async (summary, token) =>
                {
                    var needed = Older(newest, summary.RefreshTokenKeyId, summary.AccessTokenKeyId);
                    var left = needed.Count == 0 ? needed : await ReencryptAsync(summary.Id, newest, needed, token);
                    foreach (var id in left)
                    {
                        onOlder.AddOrUpdate(id, 1, (_, count) => count + 1);
                    }

                    if (left.Count == 0 && (summary.RefreshTokenKeyId ?? summary.AccessTokenKeyId) is not null)
                    {
                        Interlocked.Increment(ref onNewest);
                        Interlocked.Add(ref reencrypted, needed.Count == 0 ? 0 : 1);
                    }
                });
            foreach (var id in Older(newest, await protector.ResealKeyCheckAsync(newestKey, cancellationToken)))
            {
                onOlder.AddOrUpdate(id, 1, (_, count) => count + 1);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            isComplete = false;
        }

        var summary = new ReencryptionSummary(newest, onNewest, reencrypted, onOlder, isComplete);
        Report(summary);
        return summary;
    }

    /// <summary>Encrypts an instance's tokens again where they open; returns the older keys that it then still needs.</summary>
    private async Task<HashSet<string>> ReencryptAsync(InstanceId id, string newest, HashSet<string> needed, CancellationToken cancellationToken)
    {
        try
        {
            for (var tries = 0; tries < MaxTries; tries++)
            {
                if (await store.FindAsync(id, cancellationToken) is not { } stored)
                {
                    return [];
                }

                var instance = stored.Instance;
                needed = Older(newest, instance.RefreshToken?.KeyId, instance.AccessToken?.KeyId);

                // The owner of the lease is about to write with the newest key, and must not be delayed.
                if (needed.Count == 0 || instance.Lease?.Until > time.GetUtcNow())
                {
                    return needed;
                }

                var changed = await WithRefreshTokenAsync(instance) with { AccessToken = await AccessTokenOfAsync(instance) };
                if (changed == instance)
                {
                    return needed;
                }

                if (await store.TryWriteAsync(stored, changed, cancellationToken) is not null)
                {
                    return Older(newest, changed.RefreshToken?.KeyId, changed.AccessToken?.KeyId);
                }
            }
        }
        catch (SecretUnavailableException)
        {
            // The key ring has logged it. A disabled version may be enabled again: the row waits for it.
        }
        catch (InvalidDataException exception)
        {
            logger.RowUnreadable(exception.Message);
        }

        return needed;

        // What no key opens stays as it is: its version may come back.
        async Task<Instance> WithRefreshTokenAsync(Instance instance) =>
            instance.RefreshToken is { } text && text.KeyId != newest && await tokens.OpenRefreshTokenAsync(instance) is { } token
                ? instance with
                {
                    RefreshToken = await protector.ProtectAsync(id, TokenField.RefreshToken, instance.Generation, token, cancellationToken),
                    RefreshTokenGeneration = null,
                }
                : instance;

        async Task<ProtectedText?> AccessTokenOfAsync(Instance instance) =>
            instance.AccessToken is { } text && text.KeyId != newest
            && await protector.UnprotectAccessTokenAsync(id, instance.Generation, text, cancellationToken) is { } token
                ? await protector.ProtectAsync(id, TokenField.AccessToken, instance.Generation, token, cancellationToken)
                : instance.AccessToken;
    }

    private static HashSet<string> Older(string newest, params IEnumerable<string?> ids) => [.. ids.OfType<string>().Where(id => id != newest)];

    private void Report(ReencryptionSummary summary)
    {
        if (!summary.IsComplete)
        {
            logger.ReencryptionUnfinished(summary.Newest, summary.Reencrypted);
            return;
        }

        foreach (var (id, count) in summary.OnOlder)
        {
            logger.OlderKeyNeeded(id, count);
        }

        var onOlder = summary.OnOlder.Values.Sum();
        logger.ReencryptionDone(summary.Newest, summary.OnNewest, summary.Reencrypted, onOlder);
        metrics.CountedKeys(summary.OnNewest, onOlder);
    }
}
