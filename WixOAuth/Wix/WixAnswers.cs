using WixOAuth.Instances;
using WixOAuth.Secrets;

namespace WixOAuth.Wix;

/// <summary>What Wix answered to a request for tokens (wix-protocol §5 and §8).</summary>
internal abstract record TokenAnswer
{
    private TokenAnswer()
    {
    }

    /// <summary>Tokens. The access token's life is counted from before its request was sent. Without a refresh token the old one stays.</summary>
    public sealed record Granted(AccessToken AccessToken, RefreshToken? RefreshToken, DateTimeOffset IssuedAt, DateTimeOffset ExpiresOn)
        : TokenAnswer;

    /// <summary>
    /// Wix rejected the request: 400, 401, 403 or 404 with a JSON object. One such answer does not prove that the site is
    /// gone.
    /// </summary>
    public sealed record Rejected : TokenAnswer
    {
        /// <summary>Wix's code for it, if it sent one (wix-protocol §5).</summary>
        public string? Code { get; init; }

        // Wix's text, whatever it is.
        public override string ToString() => nameof(Rejected);
    }

    /// <summary>
    /// No token for now: no connection, a timeout, an open circuit, any other status, or a body that is not a JSON object,
    /// such as a proxy's page. Says nothing about the site.
    /// </summary>
    /// <param name="Error">Which of these.</param>
    /// <param name="RetryAfter">When Wix or the circuit asked to be tried again, if they did: 60 seconds at most.</param>
    public sealed record Unavailable(TokenError Error, TimeSpan? RetryAfter) : TokenAnswer;
}

/// <summary>What token-info says about an access token (wix-protocol §8), by Wix's clock. What Wix left out is null.</summary>
internal sealed record TokenInfo(bool? Active, string? ClientId, InstanceId? InstanceId, DateTimeOffset? IssuedAt);

/// <summary>What Get App Instance tells (wix-protocol §6). What Wix left out is null.</summary>
internal sealed record AppInstance(InstanceId? InstanceId, string? AppVersion, Site? Site);
