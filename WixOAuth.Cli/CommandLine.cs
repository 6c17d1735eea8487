using System.CommandLine;
using WixOAuth.Cli.Commands;
using WixOAuth.Cli.Restoring;
using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Cli;

/// <summary>Parses the command line and turns every failure into a line and an exit code.</summary>
internal static class CommandLine
{
    public static async Task<int> RunAsync(string[] args, CliEnvironment environment, CancellationToken cancellationToken)
    {
        var root = new RootCommand("Moves sites into WixOAuth, copies and restores its table, and checks a deployment.")
        {
            ImportCommand.Create(environment),
            BackupCommand.Create(environment),
            RestoreCommand.Create(environment),
            ExportCommand.Create(environment),
            DoctorCommand.Create(environment),
        };
        var parsed = root.Parse(args);
        if (parsed.Errors.Count > 0)
        {
            foreach (var error in parsed.Errors)
            {
                environment.Say(error.Message);
            }

            environment.Say("Run it with --help to see how it is used.");
            return ExitCode.BadUse;
        }

        try
        {
            var configuration = new InvocationConfiguration { Output = environment.Out, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            return await parsed.InvokeAsync(configuration, cancellationToken);
        }
        catch (Exception) when (cancellationToken.IsCancellationRequested)
        {
            // Whatever an interrupted call makes of it.
            environment.Say("Stopped.");
            return ExitCode.Failed;
        }
        catch (BadUseException exception)
        {
            environment.Say(exception.Message);
            return ExitCode.BadUse;
        }
        catch (Exception exception) when (exception is CommandFailedException or BackupUnusableException or StorageUnavailableException or SecretUnavailableException or InvalidDataException or IOException or UnauthorizedAccessException)
        {
            environment.Say(exception.Message + AccessHint.Of(exception));
            return ExitCode.Failed;
        }
    }

    /// <summary>A command whose help ends with examples.</summary>
    public static Command Command(string name, string description, params string[] examples) =>
        new(name, $"{description}\n\nExamples:\n{string.Join('\n', examples.Select(example => $"  {example}"))}");
}
