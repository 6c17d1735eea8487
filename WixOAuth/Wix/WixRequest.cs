namespace WixOAuth.Wix;

/// <summary>What a request to Wix is for: decides whether it may be repeated and whether it waits for the circuit.</summary>
internal enum WixRequestKind
{
    /// <summary>The exchange of a code, which Wix takes once: repeated only where it was surely not processed.</summary>
    Exchange,

    /// <summary>A question about a token of an install, whose code is spent: it cannot wait.</summary>
    Confirmation,

    /// <summary>A new access token by refresh token or client credentials: passes the circuit.</summary>
    Refresh,

    /// <summary>An event for Wix, which the sweep sends again where it fails.</summary>
    Event,
}

/// <summary>A request to Wix, created again for each attempt.</summary>
internal sealed record WixRequest(WixRequestKind Kind, string Endpoint, Func<HttpRequestMessage> Create)
{
    // The message holds secrets.
    public override string ToString() => Endpoint;
}
