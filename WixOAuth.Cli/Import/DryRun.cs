namespace WixOAuth.Cli.Import;

/// <summary>Reads a whole file, asks the service what it knows, and changes nothing.</summary>
internal static class DryRun
{
    /// <summary>Counts the outcomes that an import would have. Tokens are neither sent nor used.</summary>
    public static async Task<ImportSummary> RunAsync(
        ImportFile file, ServiceClient service, int concurrency, bool revive, ImportReport? report, Output.ProgressMeter meter, CancellationToken cancellationToken)
    {
        var summary = new ImportSummary();
        await Parallel.ForEachAsync(
            file.ReadAsync(cancellationToken),
            new ParallelOptions { MaxDegreeOfParallelism = concurrency, CancellationToken = cancellationToken },
            async (site, token) =>
            {
                var failure = site.Problem is { } problem ? new ImportFailure(site.Line, site.InstanceId, "bad_line", problem) : null;
                if (failure is null)
                {
                    var outcome = await PredictAsync(site, service, revive, token);
                    if (outcome is null)
                    {
                        failure = new ImportFailure(site.Line, site.InstanceId, "app_removed", "the app was removed from this site, or forgotten; --revive brings it back");
                    }
                    else
                    {
                        summary.Count(outcome);
                        report?.Add(site.Line, site.InstanceId, outcome, "", "");
                    }
                }

                if (failure is not null)
                {
                    summary.Failures.Enqueue(failure);
                    report?.Add(failure.Line, failure.InstanceId, "failed", failure.Code, failure.Message);
                }

                meter.Done(failure is not null, file.Position);
            });
        return summary;
    }

    private static async Task<string?> PredictAsync(ImportSite site, ServiceClient service, bool revive, CancellationToken cancellationToken) =>
        await service.FindAsync(site.InstanceId, cancellationToken) switch
        {
            null => "would be imported",
            { Status: "removed" } => revive ? "would be imported" : null,
            _ when site.RefreshToken is null => "would be kept",
            { Status: "active", RefreshToken: "ok" } => site.ConsentedAt is null ? "would be kept" : "would be kept, or refreshed where consented_at is later than the stored consent",
            _ => "would be refreshed",
        };
}
