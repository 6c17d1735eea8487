using Azure.Core;
using Azure.Identity;
using Microsoft.Extensions.Configuration;
using Spectre.Console;

namespace WixOAuth.Cli;

/// <summary>What a command has around it; tests bring their own.</summary>
internal sealed class CliEnvironment
{
    /// <summary>Results: what a pipe reads.</summary>
    public required TextWriter Out { get; init; }

    /// <summary>Progress, questions and problems.</summary>
    public required IAnsiConsole Terminal { get; init; }

    /// <summary>The environment variables, with <c>:</c> for <c>__</c>.</summary>
    public required IConfiguration Variables { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>Whether the user can answer a question.</summary>
    public required bool IsInteractive { get; init; }

    /// <summary>The user's identity in Azure: the one that is signed in to the Azure CLI, or that the environment names.</summary>
    public Lazy<TokenCredential> Credential { get; init; } = new(() => new DefaultAzureCredential());

    public static CliEnvironment OfProcess() => new()
    {
        Out = Console.Out,
        Terminal = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) }),
        Variables = new ConfigurationBuilder().AddEnvironmentVariables().Build(),
        Time = TimeProvider.System,
        IsInteractive = !Console.IsInputRedirected && !Console.IsErrorRedirected,
    };

    /// <summary>Prints a line to the terminal, without what a terminal would execute.</summary>
    public void Say(string line) => Terminal.WriteLine(Printable(line));

    /// <summary>
    /// Replaces control characters and bidirectional overrides. Lines contain text from files, backups and services, in which an
    /// escape sequence could change what the operator sees.
    /// </summary>
    public static string Printable(string text) => text.Any(IsUnsafe) ? string.Concat(text.Select(c => IsUnsafe(c) ? '\uFFFD' : c)) : text;

    private static bool IsUnsafe(char c) =>
        (char.IsControl(c) && c is not ('\n' or '\t')) || c is (>= '\u202A' and <= '\u202E') or (>= '\u2066' and <= '\u2069');
}
