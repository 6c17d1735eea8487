namespace WixOAuth.Local;

/// <summary>Azurite could not be started. The message is one line that says what to do about it.</summary>
internal sealed class AzuriteMissingException(string message, Exception? innerException = null) : Exception(message, innerException);
