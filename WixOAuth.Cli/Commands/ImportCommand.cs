using System.CommandLine;
using System.Globalization;
using WixOAuth.Cli.Import;
using WixOAuth.Cli.Output;

namespace WixOAuth.Cli.Commands;

/// <summary><c>wixoauth import FILE</c></summary>
internal static class ImportCommand
{
    private static readonly Argument<string> s_file = new("FILE") { Description = "CSV with a header line, or NDJSON: instanceId and refreshToken; customer and consentedAt are optional." };
    private static readonly Option<string> s_url = new("--url") { Description = "The service's address.", DefaultValueFactory = _ => "http://localhost:7071" };
    private static readonly Option<int> s_concurrency = new("--concurrency") { Description = "How many sites at a time, 1 to 256.", DefaultValueFactory = _ => 16 };
    private static readonly Option<bool> s_dryRun = new("--dry-run") { Description = "Check the file and say what would happen; no token is used." };
    private static readonly Option<bool> s_revive = new("--revive") { Description = "Bring back sites that were removed or forgotten." };
    private static readonly Option<string?> s_entraScope = new("--entra-scope") { Description = "Send an Entra ID token for this scope too, where Entra ID stands in front of the service: api://<client id>/.default. It is the Azure CLI's identity, or the one that AZURE_CLIENT_ID names." };
    private static readonly Option<string?> s_report = new("--report") { Description = "Write what became of each line to this CSV file." };

    public static Command Create(CliEnvironment environment)
    {
        var json = Results.JsonOption();
        var command = CommandLine.Command(
            "import",
            "Imports sites with their refresh tokens. Each token is used once at Wix and saved; a newer consent is never replaced. If it was stopped, run it again: it continues where it stopped.",
            "export WIXOAUTH_KEY=<the host's master key>",
            "wixoauth import sites.csv --url https://YOUR-APP.azurewebsites.net --dry-run",
            "wixoauth import sites.csv --url https://YOUR-APP.azurewebsites.net --report report.csv",
            "WIXOAUTH_KEY=$(cat .data/function-key) wixoauth import sites.ndjson");
        command.Arguments.Add(s_file);
        foreach (var option in new Option[] { s_url, s_entraScope, s_concurrency, s_dryRun, s_revive, s_report, json })
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) => RunAsync(environment, parsed, new Results(environment, parsed.GetValue(json)), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(CliEnvironment environment, ParseResult parsed, Results results, CancellationToken cancellationToken)
    {
        var concurrency = parsed.GetValue(s_concurrency) is >= 1 and <= 256 and var given ? given : throw new BadUseException("--concurrency should be 1 to 256.");
        var (path, revive, isDryRun) = (parsed.GetRequiredValue(s_file), parsed.GetValue(s_revive), parsed.GetValue(s_dryRun));
        using var file = ImportFile.Open(path, environment.Time.GetUtcNow());
        await file.FindRepeatedAsync(cancellationToken);
        using var service = await ServiceClient.OpenAsync(
            environment, parsed.GetRequiredValue(s_url), concurrency, parsed.GetValue(s_entraScope), cancellationToken);
        await service.ReachAsync(cancellationToken);
        var summary = isDryRun
            ? await ProgressDisplay.RunAsync(environment, "Checking", file.Length, meter => DryRunAsync(meter))
            : await ImportAsync(environment, file, path, service, new ImportRun(service, concurrency, revive, environment.Time), parsed, cancellationToken);
        if (file.IgnoredColumns.Count > 0)
        {
            environment.Say($"Ignored columns: {string.Join(", ", file.IgnoredColumns)}.");
        }

        if (file.WithoutToken > 0)
        {
            environment.Say($"{file.WithoutToken.ToString("N0", CultureInfo.InvariantCulture)} sites have no refresh token in the file: they can only be served by client credentials.");
        }

        Write(results, summary);
        return summary.Failures.IsEmpty ? ExitCode.Ok : ExitCode.Failed;

        async Task<ImportSummary> DryRunAsync(ProgressMeter meter)
        {
            using var report = OpenReport(parsed);
            return await DryRun.RunAsync(file, service, concurrency, revive, report, meter, cancellationToken);
        }
    }

    private static ImportReport? OpenReport(ParseResult parsed) => parsed.GetValue(s_report) is { } path ? new ImportReport(path) : null;

    private static async Task<ImportSummary> ImportAsync(
        CliEnvironment environment, ImportFile file, string path, ServiceClient service, ImportRun run, ParseResult parsed, CancellationToken cancellationToken)
    {
        using var journal = ImportJournal.Open(path, await file.HashAsync(cancellationToken), service.Url);
        if (journal.Done.Count > 0 && !await run.ConfirmsAsync(file, journal, environment.Say, cancellationToken))
        {
            environment.Say($"Beginning anew: the service does not confirm that it has the sites that were imported according to {journal.Path}. Was its table replaced?");
            journal.BeginAnew();
        }
        else if (journal.Done.Count > 0)
        {
            environment.Say($"Continuing: {journal.Done.Count.ToString("N0", CultureInfo.InvariantCulture)} sites were already imported ({journal.Path}).");
        }

        using var report = OpenReport(parsed);
        var summary = await ProgressDisplay.RunAsync(environment, "Importing", file.Length, meter => run.RunAsync(file, journal, report, meter, cancellationToken));
        if (summary.Failures.IsEmpty)
        {
            journal.Delete();
        }
        else
        {
            environment.Say($"{summary.Failures.Count.ToString("N0", CultureInfo.InvariantCulture)} sites failed. Run the same command again to try only these.");
        }

        return summary;
    }

    private static void Write(Results results, ImportSummary summary)
    {
        foreach (var failure in summary.Failures.OrderBy(failure => failure.Line))
        {
            results.Write($"line {failure.Line}: {(failure.InstanceId.Length > 0 ? $"{failure.InstanceId} " : "")}{failure.Code}: {failure.Message}", failure);
        }

        var outcomes = string.Join(", ", summary.Outcomes.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => string.Create(CultureInfo.InvariantCulture, $"{pair.Value:N0} {pair.Key}")));
        results.Write(
            string.Create(CultureInfo.InvariantCulture, $"{summary.Succeeded + summary.Failures.Count:N0} sites: {(outcomes.Length > 0 ? outcomes : "none imported")}, {summary.Failures.Count:N0} failed"),
            new { Sites = summary.Succeeded + summary.Failures.Count, summary.Outcomes, Failed = summary.Failures.Count });
    }
}
