namespace WixOAuth.Client;

/// <summary>An access token for one app instance.</summary>
public sealed class WixAccessToken
{
    internal WixAccessToken(Guid instanceId, string token, DateTimeOffset expiresOn) =>
        (InstanceId, Token, ExpiresOn) = (instanceId, token, expiresOn);

    /// <summary>The app instance that the token is for.</summary>
    public Guid InstanceId { get; }

    /// <summary>The value of the <c>Authorization</c> header for Wix's API, without <c>Bearer</c>.</summary>
    public string Token { get; }

    /// <summary>When the token ends, by the service's clock.</summary>
    public DateTimeOffset ExpiresOn { get; }

    /// <summary>Never the token.</summary>
    public override string ToString() => $"Access token for {InstanceId}";
}
