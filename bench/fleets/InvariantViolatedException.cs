namespace WixOAuth.Fleets;

/// <summary>Something happened that must not, whatever goes wrong.</summary>
internal sealed class InvariantViolatedException(string message) : Exception(message);
