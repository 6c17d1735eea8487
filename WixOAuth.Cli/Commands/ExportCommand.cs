using System.CommandLine;
using System.Globalization;
using System.Text.Json;
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
            $"Decrypts the refresh tokens of all installed sites into a file, for those who leave. {Worth}",
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
        await using var file = Create(path);
        var (exported, withoutToken) = await ProgressDisplay.RunAsync(environment, "Exporting", total: 0, meter => ExportAsync(deployment, file, meter, cancellationToken));
        environment.Say(Worth);
        results.Write(
            string.Create(CultureInfo.InvariantCulture, $"{exported:N0} sites written to {path}; {withoutToken:N0} have no refresh token that can be opened"),
            new { Exported = exported, WithoutRefreshToken = withoutToken, File = path });
        return withoutToken == 0 ? ExitCode.Ok : ExitCode.Failed;
    }

    private static async Task<(long Exported, long WithoutToken)> ExportAsync(Deployment deployment, Stream file, ProgressMeter meter, CancellationToken cancellationToken)
    {
        var (exported, withoutToken) = (0L, 0L);
        var store = new TableInstanceStore(new TableGateway(deployment.OpenTable()));
        for (InstanceId? after = null; ;)
        {
            var page = await store.ListAsync(null, after, IInstanceStore.MaxPage, cancellationToken);
            foreach (var instance in page.Instances.Where(instance => instance.Status != InstanceStatus.Removed))
            {
                withoutToken += await WriteAsync(deployment, file, instance, cancellationToken) ? 0 : 1;
                meter.Report(++exported);
            }

            if ((after = page.Last) is null)
            {
                return (exported, withoutToken);
            }
        }
    }

    /// <summary>False when the site has no refresh token that can be opened; the rest of it is written anyway.</summary>
    private static async Task<bool> WriteAsync(Deployment deployment, Stream file, Instance instance, CancellationToken cancellationToken)
    {
        var token = instance.RefreshToken is { } text
            ? await deployment.Protector.UnprotectRefreshTokenAsync(instance.Id, instance.RefreshTokenGeneration ?? instance.Generation, text, cancellationToken)
            : null;
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
            throw new BadUseException($"{path} exists. Name a file that does not.");
        }

        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        return new FileStream(path, options);
    }
}
