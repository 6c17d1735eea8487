using System.Net;

namespace WixOAuth.Client;

/// <summary>The WixOAuth service gave no token. Decide by the type, or by <see cref="Code"/>.</summary>
public class WixOAuthException : Exception
{
    /// <summary>Creates an exception.</summary>
    /// <param name="message">What happened; never a secret.</param>
    /// <param name="code">The problem's code.</param>
    /// <param name="status">The status that the service answered.</param>
    /// <param name="innerException">The cause.</param>
    public WixOAuthException(string message, string? code = null, HttpStatusCode? status = null, Exception? innerException = null)
        : base(message, innerException) => (Code, Status) = (code, status);

    /// <summary>The problem's <c>code</c> as the service's HTTP API documents it; null when the answer had none.</summary>
    public string? Code { get; }

    /// <summary>The status that the service answered; null when there was no answer.</summary>
    public HttpStatusCode? Status { get; }
}

/// <summary><c>reinstall_required</c>: Wix no longer accepts the installation. Only the site's owner can help.</summary>
public sealed class ReinstallRequiredException(string message) : WixOAuthException(message, "reinstall_required", HttpStatusCode.Conflict);

/// <summary><c>app_removed</c>: the app was removed from the site, or the instance was forgotten. Stop asking for it.</summary>
public sealed class AppRemovedException(string message) : WixOAuthException(message, "app_removed", HttpStatusCode.Gone);

/// <summary><c>unknown_instance</c>: the service knows no such instance.</summary>
public sealed class UnknownInstanceException(string message) : WixOAuthException(message, "unknown_instance", HttpStatusCode.NotFound);

/// <summary>The service, its storage or Wix cannot be reached now. Try again after <see cref="RetryAfter"/>.</summary>
public sealed class WixOAuthUnavailableException(
    string message, TimeSpan? retryAfter = null, string? code = null, HttpStatusCode? status = null, Exception? innerException = null)
    : WixOAuthException(message, code, status, innerException)
{
    /// <summary>The service's <c>Retry-After</c>, or what is left of it; null when it sent none.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}
