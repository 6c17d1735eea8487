namespace WixOAuth.Cli;

internal static class ExitCode
{
    public const int Ok = 0;

    /// <summary>Something failed; the output says what.</summary>
    public const int Failed = 1;

    /// <summary>The command was used wrongly, or lacks a key or a setting: nothing was done.</summary>
    public const int BadUse = 2;
}

/// <summary>Nothing was done, because the command was used wrongly. The message says what to do.</summary>
internal sealed class BadUseException(string message) : Exception(message);

/// <summary>The command cannot go on. The message says what to do.</summary>
internal sealed class CommandFailedException(string message) : Exception(message);
