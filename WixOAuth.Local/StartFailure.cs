using Microsoft.Extensions.Options;

namespace WixOAuth.Local;

/// <summary>The program cannot start for a reason that its user can mend. The message is one line and holds no secret.</summary>
internal sealed class StartFailedException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>Separates configuration errors, which are printed, from bugs, which show a stack trace.</summary>
internal static class StartFailure
{
    /// <summary>What to print instead of a stack trace; null for a fault of the program, whose stack trace is wanted.</summary>
    public static IReadOnlyList<string>? Explain(Exception exception) => exception switch
    {
        OptionsValidationException invalid => [.. invalid.Failures],
        StartFailedException => [exception.Message],

        // What Kestrel raises when the address was taken after it had been looked at.
        IOException { InnerException: Microsoft.AspNetCore.Connections.AddressInUseException } => [exception.Message],
        AggregateException several when several.Flatten().InnerExceptions.Select(Explain).ToList() is var lines && !lines.Contains(null) => [.. lines.SelectMany(each => each!)],
        _ => null,
    };
}
