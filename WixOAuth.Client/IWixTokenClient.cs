namespace WixOAuth.Client;

/// <summary>Access tokens of app instances, from this process's cache or from the WixOAuth service.</summary>
public interface IWixTokenClient
{
    /// <summary>
    /// Returns a token that is alive. A cached one is returned without a request to the service and without an allocation
    /// while more than 40 % of its life is left; after that it is refreshed in the background. Concurrent callers share one
    /// request. While the service is unavailable a cached token is returned for as long as it lives.
    /// </summary>
    /// <param name="instanceId">What Wix calls <c>instanceId</c>.</param>
    /// <param name="cancellationToken">Stops waiting; a request that others share goes on.</param>
    /// <exception cref="ReinstallRequiredException">The site's owner has to install the app again.</exception>
    /// <exception cref="AppRemovedException">The app was removed from the site.</exception>
    /// <exception cref="UnknownInstanceException">The app was never installed there.</exception>
    /// <exception cref="WixOAuthUnavailableException">There is no living token and none can be had now. Try again later.</exception>
    /// <exception cref="WixOAuthException">The service refused the request, for example because of a wrong key.</exception>
    ValueTask<WixAccessToken> GetTokenAsync(Guid instanceId, CancellationToken cancellationToken = default);

    /// <summary>
    /// Reports a token that Wix refused with 401 and returns its replacement. One report is sent, however many callers make
    /// it. The service may answer the same token when that is only seconds old.
    /// </summary>
    /// <param name="instanceId">What Wix calls <c>instanceId</c>.</param>
    /// <param name="rejectedToken">The token that Wix refused. Only its SHA-256 is sent.</param>
    /// <param name="cancellationToken">Stops waiting; a request that others share goes on.</param>
    /// <exception cref="WixOAuthException">As for <see cref="GetTokenAsync"/>.</exception>
    ValueTask<WixAccessToken> ReplaceTokenAsync(Guid instanceId, string rejectedToken, CancellationToken cancellationToken = default);
}

/// <summary>Overloads for callers that hold the instance id as text.</summary>
public static class WixTokenClientExtensions
{
    /// <summary>As <see cref="IWixTokenClient.GetTokenAsync"/>.</summary>
    /// <param name="client">The client.</param>
    /// <param name="instanceId">A GUID with hyphens, as Wix writes it.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="ArgumentException"><paramref name="instanceId"/> is not a GUID.</exception>
    public static ValueTask<WixAccessToken> GetTokenAsync(this IWixTokenClient client, string instanceId, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(client);
        return Guid.TryParseExact(instanceId, "D", out var id)
            ? client.GetTokenAsync(id, cancellationToken)
            : throw new ArgumentException("An instance id is a GUID with hyphens.", nameof(instanceId));
    }
}
