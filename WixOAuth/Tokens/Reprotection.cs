using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Tokens;

/// <summary>Which versions of the protection key are needed for instances' tokens.</summary>
/// <param name="Newest">The id of the newest version, which everything new is encrypted with.</param>
/// <param name="OnNewest">How many instances need that one only.</param>
/// <param name="Reprotected">How many of those were encrypted anew in this run.</param>
/// <param name="OnOlder">By id, how many instances need an older version still.</param>
/// <param name="IsWhole">Whether all instances were looked at.</param>
public sealed record ReprotectionSummary(string Newest, int OnNewest, int Reprotected, IReadOnlyDictionary<string, int> OnOlder, bool IsWhole);

/// <summary>
/// Encrypts tokens anew that an older version of the protection key was used for, so that this version can be disabled.
/// May overlap itself or be killed at any point, and never disturbs a refresh: what it leaves is for the next run.
/// </summary>
public sealed class Reprotection(
    IInstanceStore store, IProtectionKeySource keys, TokenProtector protector, InstanceTokens tokens, Telemetry telemetry, TimeProvider time, ILogger<Reprotection> logger)
{
    private const int Concurrency = 8;

    // Whoever writes so often meanwhile encrypts with the newest version himself.
    private const int Tries = 3;

    /// <summary>Looks at all instances and encrypts anew what needs it.</summary>
    /// <param name="cancellationToken">Ends the run; the summary then tells of a part.</param>
    /// <exception cref="SecretUnavailableException">The newest version is not known.</exception>
    /// <exception cref="StorageUnavailableException">The storage fails; what is left is for the next run.</exception>
    public async Task<ReprotectionSummary> RunAsync(CancellationToken cancellationToken)
    {
        var newest = (await keys.GetNewestAsync(cancellationToken)).Id;
        var (onNewest, reprotected, isWhole) = (0, 0, true);
        var onOlder = new ConcurrentDictionary<string, int>();
        try
        {
            await Parallel.ForEachAsync(
                store.ReadGlancesAsync(cancellationToken),
                new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellationToken },
                async (glance, token) =>
                {
                    var needed = Older(newest, glance.RefreshTokenKeyId, glance.AccessTokenKeyId);
                    var left = needed.Count == 0 ? needed : await ReprotectAsync(glance.Id, newest, needed, token);
                    foreach (var id in left)
                    {
                        onOlder.AddOrUpdate(id, 1, (_, count) => count + 1);
                    }

                    if (left.Count == 0 && (glance.RefreshTokenKeyId ?? glance.AccessTokenKeyId) is not null)
                    {
                        Interlocked.Increment(ref onNewest);
                        Interlocked.Add(ref reprotected, needed.Count == 0 ? 0 : 1);
                    }
                });
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            isWhole = false;
        }

        var summary = new ReprotectionSummary(newest, onNewest, reprotected, onOlder, isWhole);
        Report(summary);
        return summary;
    }

    /// <summary>Encrypts an instance's tokens anew where they can be read; answers the older versions that it needs then.</summary>
    private async Task<HashSet<string>> ReprotectAsync(InstanceId id, string newest, HashSet<string> needed, CancellationToken cancellationToken)
    {
        try
        {
            for (var tries = 0; tries < Tries; tries++)
            {
                if (await store.FindAsync(id, cancellationToken) is not { } stored)
                {
                    return [];
                }

                var instance = stored.Instance;
                needed = Older(newest, instance.RefreshToken?.KeyId, instance.AccessToken?.KeyId);

                // Whoever holds the lease is about to encrypt with the newest version; his write is not to be put off.
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
            // The source of keys has logged it. A version that is disabled may be enabled again: the row waits for it.
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

    private static HashSet<string> Older(string newest, params ReadOnlySpan<string?> ids)
    {
        var older = new HashSet<string>(StringComparer.Ordinal);
        foreach (var id in ids)
        {
            if (id is not null && id != newest)
            {
                older.Add(id);
            }
        }

        return older;
    }

    private void Report(ReprotectionSummary summary)
    {
        if (!summary.IsWhole)
        {
            logger.ReprotectionUnfinished(summary.Reprotected);
            return;
        }

        foreach (var (id, count) in summary.OnOlder)
        {
            logger.OlderKeyNeeded(id, count);
        }

        var onOlder = summary.OnOlder.Values.Sum();
        logger.ReprotectionDone(summary.Newest, summary.OnNewest, summary.Reprotected, onOlder);
        telemetry.CountedKeys(summary.OnNewest, onOlder);
    }
}
