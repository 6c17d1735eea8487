using System.CommandLine;
using System.Globalization;
using System.Runtime.Versioning;
using System.Security.AccessControl;
using System.Security.Principal;
using System.Text.Json;
using Azure.Data.Tables;
using WixOAuth.Cli.Output;
using WixOAuth.Instances;
using WixOAuth.Storage;

namespace WixOAuth.Cli.Commands;

/// <summary><c>wixoauth export FILE</c></summary>
internal static class ExportCommand
{
    private const string Worth =
        "This file holds the refresh token of every site in the clear: with the app secret, whoever has it acts as your app on all of them. Move it encrypted, and delete it when you are done.";

    private static readonly Argument<string> s_file = new("FILE") { Description = "The NDJSON file to make; only its owner may read it. It must not exist." };

    public static Command Create(CliEnvironment environment)
    {
        var (settings, json) = (BackupCommand.SettingsOption(), Results.JsonOption());
        var command = CommandLine.Command(
            "export",
            $"Decrypts the refresh tokens of all installed sites into a file, for a move to another system. {Worth}",
            "wixoauth export sites.ndjson",
            "KeyVault__VaultUri=https://VAULT.vault.azure.net Tables__ServiceUri=https://ACCOUNT.table.core.windows.net wixoauth export sites.ndjson");
        command.Arguments.Add(s_file);
        command.Options.Add(settings);
        command.Options.Add(json);
        command.SetAction((parsed, cancellationToken) =>
            RunAsync(environment, parsed.GetRequiredValue(s_file), parsed.GetValue(settings), new Results(environment, parsed.GetValue(json)), cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(CliEnvironment environment, string path, string? settings, Results results, CancellationToken cancellationToken)
    {
        using var deployment = Deployment.Read(environment, settings, "Tables", "KeyVault", "Tokens");
        var summary = await WriteFileAsync(
            path, file => ProgressDisplay.RunAsync(environment, "Exporting", total: 0, meter => ExportAsync(deployment, file, meter, cancellationToken)));
        environment.Say(Worth);
        foreach (var problem in summary.Unreadable.Concat(summary.Unopened))
        {
            environment.Say(problem);
        }

        if (summary.Unreadable.Count > 0)
        {
            environment.Say("Export again with the version of this command that the service has.");
        }

        results.Write(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{summary.Exported:N0} sites written to {path}; {summary.WithoutToken:N0} of them without a refresh token; {summary.Unopened.Count:N0} without theirs, because no key opens it; {summary.Unreadable.Count:N0} rows were left out, because they could not be read"),
            new { summary.Exported, WithoutRefreshToken = summary.WithoutToken, Unopened = summary.Unopened.Count, Unreadable = summary.Unreadable.Count, File = path });
        return summary is { Unopened.Count: 0, Unreadable.Count: 0 } ? ExitCode.Ok : ExitCode.Failed;
    }

    // Until the file is complete it has another name.
    private static async Task<ExportSummary> WriteFileAsync(string path, Func<Stream, Task<ExportSummary>> write)
    {
        if (File.Exists(path))
        {
            throw new BadUseException($"{path} exists. Name a file that does not.");
        }

        var partial = $"{path}.part";
        var file = Create(partial);
        try
        {
            ExportSummary summary;
            await using (file)
            {
                summary = await write(file);
            }

            File.Move(partial, path);
            return summary;
        }
        finally
        {
            File.Delete(partial);
        }
    }

    // Row by row: the lists of the service leave out what they cannot read.
    private static async Task<ExportSummary> ExportAsync(Deployment deployment, Stream file, ProgressMeter meter, CancellationToken cancellationToken)
    {
        var (exported, withoutToken, unopened, unreadable, gateway) = (0L, 0L, new List<string>(), new List<string>(), new TableGateway(deployment.OpenTable()));
        foreach (var shard in InstanceRows.Shards)
        {
            await using var rows = gateway.Table.QueryAsync<TableEntity>(InstanceRows.InstanceFilter(shard, after: null), cancellationToken: cancellationToken).GetAsyncEnumerator(cancellationToken);
            while (await gateway.AskAsync(() => rows.MoveNextAsync().AsTask(), cancellationToken))
            {
                if (Read(rows.Current, unreadable) is { Status: not InstanceStatus.Removed } instance)
                {
                    var isOpened = await WriteAsync(deployment, file, instance, cancellationToken);
                    if (instance.RefreshToken is null)
                    {
                        withoutToken++;
                    }
                    else if (!isOpened)
                    {
                        unopened.Add($"Instance {instance.Id}: no protection key opens its refresh token.");
                    }

                    meter.Report(++exported);
                }
            }
        }

        return new ExportSummary(exported, withoutToken, unopened, unreadable);
    }

    private static Instance? Read(TableEntity row, List<string> unreadable)
    {
        try
        {
            return InstanceRows.ReadId(row.RowKey) is { } id ? InstanceRow.Read(id, row) : throw new InvalidDataException($"The row '{row.RowKey}' of partition '{row.PartitionKey}' names no site.");
        }
        catch (InvalidDataException exception)
        {
            unreadable.Add(exception.Message);
            return null;
        }
    }

    /// <summary>False when the site has no refresh token that can be opened; the rest of it is written anyway.</summary>
    private static async Task<bool> WriteAsync(Deployment deployment, Stream file, Instance instance, CancellationToken cancellationToken)
    {
        var token = await deployment.Protector.OpenRefreshTokenAsync(instance, cancellationToken);
        await using (var json = new Utf8JsonWriter(file))
        {
            json.WriteStartObject();
            json.WriteString("instance_id", instance.Id.ToString());
            Write("refresh_token", token?.Reveal());
            Write("customer", instance.Customer);
            Write("consented_at", instance.ConsentedAt?.UtcDateTime.ToString("O", CultureInfo.InvariantCulture));
            json.WriteEndObject();

            void Write(string name, string? value)
            {
                if (value is not null)
                {
                    json.WriteString(name, value);
                }
            }
        }

        await file.WriteAsync("\n"u8.ToArray(), cancellationToken);
        return token is not null;
    }

    private static FileStream Create(string path)
    {
        if (File.Exists(path))
        {
            throw new BadUseException($"{path} exists: another export is running, or one was killed. In that case delete it.");
        }

        return OperatingSystem.IsWindows() ? CreateOnWindows(path) : new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            Share = FileShare.None,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
    }

    // Without inheritance: whoever may read the folder could read the file.
    [SupportedOSPlatform("windows")]
    private static FileStream CreateOnWindows(string path)
    {
        using var user = WindowsIdentity.GetCurrent();
        var security = new FileSecurity();
        security.SetAccessRuleProtection(isProtected: true, preserveInheritance: false);
        security.AddAccessRule(new FileSystemAccessRule(user.User!, FileSystemRights.FullControl, AccessControlType.Allow));
        return new FileInfo(path).Create(FileMode.CreateNew, FileSystemRights.Write, FileShare.None, bufferSize: 4096, FileOptions.None, security);
    }

    /// <param name="Exported">Sites in the file.</param>
    /// <param name="WithoutToken">How many of them have none stored, as a clone without a consent.</param>
    /// <param name="Unopened">The sites of the file whose refresh token is not in it, because no key opens it.</param>
    /// <param name="Unreadable">What is wrong with each row that could not be read.</param>
    private sealed record ExportSummary(long Exported, long WithoutToken, IReadOnlyList<string> Unopened, IReadOnlyList<string> Unreadable);
}
