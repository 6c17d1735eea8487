using System.Collections.Concurrent;
using System.Globalization;
using WixOAuth.Cli.Output;

namespace WixOAuth.Cli.Import;

/// <summary>A site that was not imported.</summary>
internal sealed record ImportFailure(long Line, string InstanceId, string Code, string Message);

/// <summary>What an import has come to, earlier runs of the same file included.</summary>
internal sealed class ImportSummary
{
    private readonly ConcurrentDictionary<string, long> _outcomes = new();

    public ConcurrentQueue<ImportFailure> Failures { get; } = new();

    public IReadOnlyDictionary<string, long> Outcomes => _outcomes;

    public long Succeeded => _outcomes.Values.Sum();

    public void Count(string outcome) => _outcomes.AddOrUpdate(outcome, 1, (_, count) => count + 1);
}

/// <summary>Sends the sites of a file to the service, several at a time.</summary>
internal sealed class ImportRun(ServiceClient service, int concurrency, bool revive, TimeProvider time)
{
    // How many sites of a journal the service is asked for.
    private const int Samples = 5;

    // By GetTimestamp: the clock may be set while an import runs for hours.
    private long _holdUntil;

    /// <summary>
    /// Whether the service knows some sites of the journal, the last one among them: its table may have been lost or replaced since, and the
    /// last sites are those that a copy of the table lacks. A service that cannot answer for any of them is waited for.
    /// </summary>
    /// <exception cref="BadUseException">The key is refused.</exception>
    /// <exception cref="CommandFailedException">The service could not answer for any of them.</exception>
    public async Task<bool> ConfirmsAsync(ImportFile file, ImportJournal journal, Action<string> say, CancellationToken cancellationToken)
    {
        var done = journal.Done.Keys.ToList();
        var lines = Enumerable.Range(0, Samples).Select(i => done[i * (done.Count - 1) / (Samples - 1)]).ToHashSet();
        var sites = await file.ReadAsync(cancellationToken).Where(site => site.Problem is null && lines.Contains(site.Line)).ToListAsync(cancellationToken);
        for (var tries = 1; ; tries++)
        {
            try
            {
                return await KnowsAsync(sites, cancellationToken);
            }
            catch (CommandFailedException exception) when (tries == ServiceClient.MaxTries)
            {
                throw new CommandFailedException(
                    $"{exception.Message} Nothing was sent: it is not known whether the service still has the sites that were imported according to {journal.Path}. Without that file all sites are imported again.");
            }
            catch (CommandFailedException)
            {
                if (tries == 1)
                {
                    say($"The service cannot tell yet whether it has the sites that were imported according to {journal.Path}. Waiting for it ...");
                }
            }

            await Task.Delay(ServiceClient.PauseAfter(tries, TimeSpan.Zero), time, cancellationToken);
        }
    }

    /// <summary>Imports what the journal does not know to be imported.</summary>
    /// <exception cref="BadUseException">The file or the key is wrong.</exception>
    /// <exception cref="CommandFailedException">The service cannot import.</exception>
    public async Task<ImportSummary> RunAsync(
        ImportFile file, ImportJournal journal, ImportReport? report, ProgressMeter meter, CancellationToken cancellationToken)
    {
        var summary = new ImportSummary();
        try
        {
            await Parallel.ForEachAsync(
                file.ReadAsync(cancellationToken),
                new ParallelOptions { MaxDegreeOfParallelism = concurrency, CancellationToken = cancellationToken },
                async (site, token) =>
                {
                    var failure = await ImportAsync(site, journal, report, summary, token);
                    if (failure is not null)
                    {
                        summary.Failures.Enqueue(failure);
                        report?.Add(failure.Line, failure.InstanceId, "failed", failure.Code, failure.Message);
                    }

                    meter.Done(failure is not null, file.Position);
                });
            return summary;
        }
        catch (BadUseException exception) when (summary.Succeeded > 0)
        {
            // A key that was replaced meanwhile.
            throw new CommandFailedException($"{exception.Message} {summary.Succeeded.ToString("N0", CultureInfo.InvariantCulture)} sites are imported; run the same command again for the others.");
        }
    }

    // One row that cannot be read is answered as if the whole table could not: the others decide.
    private async Task<bool> KnowsAsync(IReadOnlyList<ImportSite> sites, CancellationToken cancellationToken)
    {
        var (isKnown, failure) = (false, (CommandFailedException?)null);
        foreach (var site in sites)
        {
            try
            {
                if (await service.FindAsync(site.InstanceId, cancellationToken) is null)
                {
                    return false;
                }

                isKnown = true;
            }
            catch (CommandFailedException exception)
            {
                failure = exception;
            }
        }

        return isKnown || failure is null ? isKnown : throw failure;
    }

    private async Task<ImportFailure?> ImportAsync(ImportSite site, ImportJournal journal, ImportReport? report, ImportSummary summary, CancellationToken cancellationToken)
    {
        if (site.Problem is { } problem)
        {
            return new ImportFailure(site.Line, site.InstanceId, "bad_line", problem);
        }

        if (!journal.Done.TryGetValue(site.Line, out var outcome))
        {
            var answer = await SendAsync(site, cancellationToken);
            if (answer.Outcome is null)
            {
                return new ImportFailure(site.Line, site.InstanceId, answer.Code!, answer.Message!);
            }

            outcome = answer.Outcome;
            journal.Add(site.Line, outcome);
        }

        summary.Count(outcome);
        report?.Add(site.Line, site.InstanceId, outcome, "", "");
        return null;
    }

    // A Retry-After pauses all senders: the others would only get the same response.
    private async Task<ImportAnswer> SendAsync(ImportSite site, CancellationToken cancellationToken)
    {
        for (var tries = 1; ; tries++)
        {
            await HoldAsync(cancellationToken);
            var answer = await service.ImportAsync(site, revive, cancellationToken);
            if (answer.RetryAfter is not { } wait || tries == ServiceClient.MaxTries)
            {
                return answer;
            }

            Hold(ServiceClient.PauseAfter(tries, wait));
        }
    }

    private void Hold(TimeSpan pause)
    {
        var until = time.GetTimestamp() + (long)(pause.TotalSeconds * time.TimestampFrequency);
        long seen;
        while (until > (seen = Interlocked.Read(ref _holdUntil)) && Interlocked.CompareExchange(ref _holdUntil, until, seen) != seen)
        {
        }
    }

    private async Task HoldAsync(CancellationToken cancellationToken)
    {
        while (time.GetElapsedTime(time.GetTimestamp(), Interlocked.Read(ref _holdUntil)) is var left && left > TimeSpan.Zero)
        {
            await Task.Delay(left, time, cancellationToken);
        }
    }
}
