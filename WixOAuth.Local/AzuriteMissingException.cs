namespace WixOAuth.Local;

/// <summary>Azurite could not be started. The message is one line that says what to do about it.</summary>
public sealed class AzuriteMissingException : Exception
{
    /// <summary>Raised without a known reason.</summary>
    public AzuriteMissingException()
        : this("Azurite could not be started.")
    {
    }

    /// <summary>Raised for <paramref name="message"/>.</summary>
    public AzuriteMissingException(string message)
        : base(message)
    {
    }

    /// <summary>Raised for <paramref name="innerException"/>.</summary>
    public AzuriteMissingException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
