namespace WixOAuth.Http;

/// <summary>
/// Tells the host that a timer function failed. The host logs message and stack, so neither the cause nor its message is
/// in here: it may quote a secret.
/// </summary>
internal sealed class TimerFailedException(string message) : Exception(message);
