using System.CommandLine;
using System.Globalization;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using WixOAuth.Cli.Output;
using WixOAuth.Maintenance;
using WixOAuth.Maintenance.Backup;
using WixOAuth.Telemetry;
using WixOAuth.Tokens;

namespace WixOAuth.Cli.Commands;

/// <summary><c>wixoauth backup</c></summary>
internal static class BackupCommand
{
    public static Command Create(CliEnvironment environment)
    {
        var (settings, json) = (SettingsOption(), Results.JsonOption());
        var command = CommandLine.Command(
            "backup",
            "Copies the table into the backup container, as the timer does every day. Tokens stay encrypted; the table is only read.",
            "wixoauth backup                                            # on a laptop, while WixOAuth.Local runs",
            "eval \"$(azd env get-values | sed 's/^/export /')\"",
            "Tables__ServiceUri=https://ACCOUNT.table.core.windows.net Backup__ServiceUri=https://BACKUPS.blob.core.windows.net wixoauth backup");
        command.Options.Add(settings);
        command.Options.Add(json);
        command.SetAction((parsed, cancellationToken) =>
            RunAsync(environment, parsed.GetValue(settings), new Results(environment, parsed.GetValue(json)), cancellationToken));
        return command;
    }

    /// <summary>The option of every command that reaches a deployment directly.</summary>
    public static Option<string?> SettingsOption() => new("--settings")
    {
        Description = "A file in the form of local.settings.json; the environment wins over it. Without it local.settings.json, and what a running WixOAuth.Local leaves in .data.",
    };

    private static async Task<int> RunAsync(CliEnvironment environment, string? settings, Results results, CancellationToken cancellationToken)
    {
        using var deployment = Deployment.Read(environment, settings, "Tables", "Backup");
        await using var services = new ServiceCollection()
            .AddMetrics()
            .AddSingleton<Instruments>()
            .AddSingleton<TokenMetrics>()
            .AddSingleton<MaintenanceMetrics>()
            .BuildServiceProvider();
        var run = new BackupRun(
            deployment.OpenTable(), deployment.OpenCopies(), services.GetRequiredService<MaintenanceMetrics>(), environment.Time, NullLogger<BackupRun>.Instance);
        var (name, manifest, before) = await ProgressDisplay.RunAsync(environment, "Copying", total: 0, meter => run.RunAsync(meter, cancellationToken));
        results.Write(
            string.Create(CultureInfo.InvariantCulture, $"{name}: {manifest.Instances:N0} sites in {manifest.Rows:N0} rows"),
            new { Manifest = name, manifest.Instances, manifest.Rows, Before = before });
        if (!manifest.HasFarFewerThan(before))
        {
            return ExitCode.Ok;
        }

        // The service compares its next copy with this one, so that its alert stays silent from here on.
        environment.Say(string.Create(
            CultureInfo.InvariantCulture,
            $"The copy is made, but has far fewer sites than the one before it: {manifest.Instances:N0} instead of {before:N0}. Unless you know why, see the runbook under backup-overdue."));
        return ExitCode.Failed;
    }
}
