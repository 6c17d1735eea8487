using System.CommandLine;
using System.Globalization;
using Spectre.Console;
using WixOAuth.Cli.Output;
using WixOAuth.Cli.Restoring;
using WixOAuth.Maintenance.Backup;

namespace WixOAuth.Cli.Commands;

/// <summary><c>wixoauth restore MANIFEST</c></summary>
internal static class RestoreCommand
{
    private static readonly Argument<string> s_manifest = new("MANIFEST") { Description = "The copy's name, or latest." };
    private static readonly Option<string?> s_table = new("--table") { Description = "The table to write into; without it the service's own (Tables__Name)." };
    private static readonly Option<bool> s_yes = new("--yes") { Description = "Do not ask for confirmation." };
    private static readonly Option<bool> s_withoutKeys = new("--without-keys") { Description = "Continue although no available key opens some of the refresh tokens." };

    public static Command Create(CliEnvironment environment)
    {
        var (settings, json) = (BackupCommand.SettingsOption(), Results.JsonOption());
        var command = CommandLine.Command(
            "restore",
            "Writes a copy into the table: an empty one, a new one, or one that has lost rows. The whole copy is checked before anything is written. Where both sides have a site the later consent wins; what was removed or forgotten later stays so.",
            "wixoauth restore latest",
            "wixoauth restore 20261127T023700Z-3fa1 --table WixInstances2",
            "wixoauth restore latest --yes --json");
        command.Arguments.Add(s_manifest);
        foreach (var option in new Option[] { s_table, s_yes, s_withoutKeys, settings, json })
        {
            command.Options.Add(option);
        }

        command.SetAction((parsed, cancellationToken) =>
            RunAsync(environment, parsed, parsed.GetValue(settings), new Results(environment, parsed.GetValue(json)), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(CliEnvironment environment, ParseResult parsed, string? settings, Results results, CancellationToken cancellationToken)
    {
        using var deployment = Deployment.Read(environment, settings, "Tables", "Backup", "KeyVault", "Tokens");
        var copies = deployment.OpenCopies();
        var (name, manifest, comparedWith) = await BackupChoice.FindAsync(copies, parsed.GetRequiredValue(s_manifest), cancellationToken);
        var table = deployment.OpenTable(parsed.GetValue(s_table));
        environment.Say(Describe(name, manifest, environment.Time.GetUtcNow()));
        if (comparedWith is not null)
        {
            environment.Say($"Earlier copies: {comparedWith}.");
        }

        var check = new BackupCheck(copies, deployment.Keys);
        var contents = await ProgressDisplay.RunAsync(environment, "Checking the copy", manifest.Instances, meter => check.RunAsync(manifest, meter, cancellationToken));
        Report(environment, contents, parsed.GetValue(s_withoutKeys));
        environment.Say($"Writes into the table '{table.Name}' of the account '{table.AccountName}'. Where a site is in both, the later consent stays, and what was removed or forgotten after its consent stays so.");
        await ConfirmAsync(environment, parsed.GetValue(s_yes), cancellationToken);

        var summary = await ProgressDisplay.RunAsync(environment, "Restoring", manifest.Instances, meter => new Restore(copies, table).RunAsync(manifest, contents.MissingKeys.Count > 0, meter, cancellationToken));
        results.Write(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{summary.Written:N0} sites written, {summary.Kept:N0} kept as they were, {summary.Forgotten:N0} forgotten since the copy, {summary.IndexRowsMended:N0} index rows mended, {summary.CustomersLeft.Count:N0} customers left out"),
            summary);
        Report(environment, summary.CustomersLeft);
        return ExitCode.Ok;
    }

    private static string Describe(string name, BackupManifest manifest, DateTimeOffset now)
    {
        var age = now - manifest.StartedAt;
        var words = age < TimeSpan.FromMinutes(2) ? "under two minutes" : age < TimeSpan.FromHours(2) ? $"{age.TotalMinutes:F0} minutes" : age < TimeSpan.FromDays(2) ? $"{age.TotalHours:F0} hours" : $"{age.TotalDays:F0} days";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{name}: {manifest.Instances:N0} sites of the table '{manifest.Table}', copied {manifest.StartedAt:yyyy-MM-dd HH:mm} UTC, {words} ago. What changed after that is not in it.");
    }

    private static void Report(CliEnvironment environment, BackupContents contents, bool goesOnWithoutKeys)
    {
        environment.Say(string.Create(CultureInfo.InvariantCulture, $"The copy is whole: {contents.Instances - contents.Removed:N0} installed sites, {contents.Removed:N0} removed."));
        if (contents.Unreadable > 0)
        {
            environment.Say(string.Create(CultureInfo.InvariantCulture, $"{contents.Unreadable:N0} rows are of a version that this tool does not know; they are restored as they are."));
        }

        if (contents.MissingKeys.Count == 0)
        {
            return;
        }

        var keys = string.Join(", ", contents.MissingKeys.Select(key => string.Create(CultureInfo.InvariantCulture, $"{key.Key} ({key.Value:N0} sites)")));
        var problem = $"No protection key opens {contents.MissingKeys.Values.Sum()} of the refresh tokens: missing, disabled or malformed are {keys}.";
        if (!goesOnWithoutKeys)
        {
            throw new CommandFailedException($"{problem} Nothing was written. Bring the key back (runbook: The protection key), or give --without-keys to restore these sites without a usable refresh token.");
        }

        environment.Say(problem);
    }

    private static void Report(CliEnvironment environment, IReadOnlyList<CustomerLeft> customers)
    {
        if (customers.Count == 0)
        {
            return;
        }

        environment.Say("These sites were connected again since the copy, perhaps by another owner, so a customer was left out. Where you know that the site is still theirs, set it with PUT /api/instances/{instanceId}/customer.");
        foreach (var left in customers)
        {
            environment.Say($"{left.InstanceId}: {left.Customer} was left out, the site has {left.Stays ?? "none"}");
        }
    }

    private static async Task ConfirmAsync(CliEnvironment environment, bool yes, CancellationToken cancellationToken)
    {
        if (yes)
        {
            return;
        }

        if (!environment.IsInteractive)
        {
            throw new BadUseException("Nothing was written: give --yes where nobody can be asked.");
        }

        if (!await environment.Terminal.PromptAsync(new ConfirmationPrompt("Continue?") { DefaultValue = false }, cancellationToken))
        {
            throw new CommandFailedException("Nothing was written.");
        }
    }
}
