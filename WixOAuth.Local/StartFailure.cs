using Microsoft.Extensions.Options;

namespace WixOAuth.Local;

/// <summary>The program cannot start for a reason that its user can mend. The message is one line and holds no secret.</summary>
internal sealed class StartFailedException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>Tells what its user can mend from what is a fault of the program.</summary>
internal static class StartFailure
{
    /// <summary>What to print instead of a stack trace; null for a fault of the program, whose stack trace is wanted.</summary>
    public static IReadOnlyList<string>? Explain(Exception exception) => exception switch
    {
        OptionsValidationException invalid => [.. invalid.Failures],
        StartFailedException or AzuriteMissingException => [exception.Message],

        // What Kestrel raises when the address was taken after it had been looked at.
        IOException { InnerException: Microsoft.AspNetCore.Connections.AddressInUseException } => [exception.Message],
        AggregateException several => ExplainAll(several),
        _ => null,
    };

    private static List<string>? ExplainAll(AggregateException several)
    {
        var lines = new List<string>();
        foreach (var exception in several.Flatten().InnerExceptions)
        {
            if (Explain(exception) is not { } explained)
            {
                return null;
            }

            lines.AddRange(explained);
        }

        return lines;
    }
}
