using System.Diagnostics.CodeAnalysis;
using Microsoft.Extensions.Logging;
using WixOAuth.Install;
using WixOAuth.Instances;
using WixOAuth.Settings;

namespace WixOAuth.Tokens;

/// <summary>What a sweep did.</summary>
/// <param name="Due">How many instances were due.</param>
/// <param name="Refreshed">How many have a fresh token now.</param>
/// <param name="Skipped">How many needed none after all: removed, or somebody else was at it.</param>
/// <param name="Failed">How many have none.</param>
public sealed record SweepSummary(int Due, int Refreshed, int Skipped, int Failed);

/// <summary>
/// Looks after every instance that is due: refreshes its tokens ahead of their end and makes up for set-up events that
/// did not get through. May overlap another sweep or be killed at any point: an instance stays due until it was seen to.
/// </summary>
public sealed class RefreshSweep(
    IInstanceStore store,
    InstanceWriter writer,
    TokenKeeper keeper,
    TokenSchedule schedule,
    SetupCompleter setup,
    ServiceSettings settings,
    TimeProvider time,
    ILogger<RefreshSweep> logger)
{
    /// <summary>A sweep takes up nothing new after this time, so that it ends before the next tick a minute later.</summary>
    public static readonly TimeSpan LongestSweep = TimeSpan.FromSeconds(45);

    /// <summary>Sweeps once. Ends early, without an error, when it is cancelled or has taken <see cref="LongestSweep"/>.</summary>
    /// <exception cref="StorageUnavailableException">The due instances cannot be read.</exception>
    public async Task<SweepSummary> RunAsync(CancellationToken cancellationToken)
    {
        var startedAt = time.GetTimestamp();
        var counts = new int[4];
        using var inTime = new CancellationTokenSource(LongestSweep, time);
        using var until = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, inTime.Token);
        try
        {
            await Parallel.ForEachAsync(
                store.ReadDueAsync(time.GetUtcNow(), until.Token),
                new ParallelOptions { MaxDegreeOfParallelism = settings.Tokens.RefreshConcurrency, CancellationToken = until.Token },
                async (due, _) =>
                {
                    Interlocked.Increment(ref counts[0]);
                    Interlocked.Increment(ref counts[(int)await LookAfterAsync(due)]);
                });
        }
        catch (OperationCanceledException)
        {
            // What is left is still due, and the next sweep begins with what has been due the longest.
        }

        var summary = new SweepSummary(counts[0], counts[(int)Care.Refreshed], counts[(int)Care.Skipped], counts[(int)Care.Failed]);
        logger.Swept(summary.Due, summary.Refreshed, summary.Skipped, summary.Failed, time.GetElapsedTime(startedAt).TotalMilliseconds);
        return summary;
    }

    [SuppressMessage("Design", "CA1031", Justification = "One instance's failure, whatever it is, must not end the sweep of the others.")]
    private async Task<Care> LookAfterAsync(DueInstance due)
    {
        try
        {
            var result = await keeper.GetTokenAsync(due.Id, TokenDemand.Ahead, CancellationToken.None);
            if (result is TokenResult.Unknown)
            {
                await store.RemoveDueAsync(due, CancellationToken.None);
                return Care.Skipped;
            }

            if (await store.FindAsync(due.Id, CancellationToken.None) is not { } stored)
            {
                return Care.Skipped;
            }

            if (stored.Instance.SetupPending && result is TokenResult.Token token)
            {
                await setup.SendAsync(stored, token.AccessToken);
                stored = await store.FindAsync(due.Id, CancellationToken.None);
            }

            if (stored is not null)
            {
                await MoveOnAsync(stored, due);
            }

            return result switch
            {
                TokenResult.Token => Care.Refreshed,
                TokenResult.Removed => Care.Skipped,
                _ => Care.Failed,
            };
        }
        catch (Exception exception)
        {
            logger.SweepFailed(due.Id, exception.GetType().Name);
            return Care.Failed;
        }
    }

    /// <summary>Whatever came of it, the instance must not stay due now, or every sweep would begin with it.</summary>
    private async Task MoveOnAsync(StoredInstance stored, DueInstance due)
    {
        if (stored.Instance.DueAt != due.DueAt)
        {
            await store.RemoveDueAsync(due, CancellationToken.None);
        }

        if (stored.Instance.DueAt <= time.GetUtcNow())
        {
            await writer.UpdateAsync(
                due.Id,
                stored,
                current =>
                {
                    var now = time.GetUtcNow();
                    return new ValueTask<Instance?>(
                        current?.DueAt <= now && schedule.DueAt(current, now) is var next && next > now ? current with { DueAt = next } : current);
                },
                isMine: _ => false,
                CancellationToken.None);
        }
    }

    private enum Care
    {
        Refreshed = 1,
        Skipped = 2,
        Failed = 3,
    }
}
