using Azure.Core;
using Microsoft.Extensions.Configuration;
using Spectre.Console;
using WixOAuth.Cli;

namespace WixOAuth.Programs.Tests.Cli;

/// <summary>One run of the command in this process, with all that it printed.</summary>
internal sealed record CliRun(int ExitCode, string Out, string Error)
{
    public string Everything => Out + Error;

    public static Task<CliRun> RunAsync(IReadOnlyDictionary<string, string?> variables, params string[] args) =>
        RunAsync(TimeProvider.System, variables, args);

    public static Task<CliRun> RunAsync(TimeProvider time, IReadOnlyDictionary<string, string?> variables, params string[] args) =>
        RunAsync(null, time, variables, args);

    /// <summary>With an identity in Azure.</summary>
    public static Task<CliRun> RunAsAsync(TokenCredential? credential, IReadOnlyDictionary<string, string?> variables, params string[] args) =>
        RunAsync(credential, TimeProvider.System, variables, args);

    private static async Task<CliRun> RunAsync(TokenCredential? credential, TimeProvider time, IReadOnlyDictionary<string, string?> variables, string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var exitCode = await CommandLine.RunAsync(args, Environment(variables, output, error, time, credential), CancellationToken.None);
        return new CliRun(exitCode, output.ToString(), error.ToString());
    }

    /// <summary>What a command has around it, with nobody to ask.</summary>
    public static CliEnvironment Environment(
        IReadOnlyDictionary<string, string?> variables, TextWriter output, TextWriter error, TimeProvider? time = null, TokenCredential? credential = null) => new()
        {
            Credential = new(() => credential ?? throw new InvalidOperationException("This run has no identity.")),
            Out = output,
            Terminal = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Interactive = InteractionSupport.No, Out = new WideOutput(error) }),
            Variables = new ConfigurationBuilder()
            .AddInMemoryCollection(variables.Select(pair => KeyValuePair.Create(pair.Key.Replace("__", ":", StringComparison.Ordinal), pair.Value)))
            .Build(),
            Time = time ?? TimeProvider.System,
            IsInteractive = false,
        };

    // Lines are not wrapped, as in a pipe.
    private sealed class WideOutput(TextWriter writer) : IAnsiConsoleOutput
    {
        public TextWriter Writer => writer;

        public bool IsTerminal => false;

        public int Width => 10_000;

        public int Height => 100;

        public void SetEncoding(System.Text.Encoding encoding)
        {
        }
    }
}
