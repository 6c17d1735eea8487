using System.Net;
using System.Net.Http.Json;

namespace WixOAuth.Client;

/// <summary>
/// Puts the instance's access token on each request to Wix. On 401 it reports the token and sends the request once more,
/// unless its content cannot be sent twice.
/// </summary>
internal sealed class WixAuthorizationHandler(IWixTokenClient tokens) : DelegatingHandler
{
    /// <summary>The longest content that is kept for a second sending, in bytes.</summary>
    private const long LongestKept = 1024 * 1024;

    protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
        throw new NotSupportedException($"Use {nameof(SendAsync)}.");

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var instanceId = request.GetWixInstance()
            ?? throw new InvalidOperationException($"Set the instance on the request: request.{nameof(WixRequestExtensions.SetWixInstance)}(instanceId).");
        if (request.RequestUri is not { IsAbsoluteUri: true } url || !WixOAuthClientOptionsValidator.IsSafe(url))
        {
            throw new InvalidOperationException("An access token is sent over https only, or to localhost.");
        }

        var repeatable = await TryKeepAsync(request.Content, cancellationToken).ConfigureAwait(false);
        var token = await tokens.GetTokenAsync(instanceId, cancellationToken).ConfigureAwait(false);
        var response = await SendAsync(request, token, cancellationToken).ConfigureAwait(false);

        // A redirect has written its target into the request: a 401 from elsewhere says nothing about the token.
        if (response.StatusCode != HttpStatusCode.Unauthorized || !IsSameOrigin(url, request.RequestUri))
        {
            return response;
        }

        var replacement = await ReplaceAsync(response, token, cancellationToken).ConfigureAwait(false);
        if (replacement is null || !repeatable)
        {
            return response;
        }

        response.Dispose();
        return await SendAsync(request, replacement, cancellationToken).ConfigureAwait(false);
    }

    private async Task<WixAccessToken?> ReplaceAsync(HttpResponseMessage response, WixAccessToken token, CancellationToken cancellationToken)
    {
        try
        {
            var replacement = await tokens.ReplaceTokenAsync(token.InstanceId, token.Token, cancellationToken).ConfigureAwait(false);
            return replacement.Token == token.Token ? null : replacement;
        }
        catch (WixOAuthUnavailableException)
        {
            // Wix's own answer says more to the caller.
            return null;
        }
        catch
        {
            response.Dispose();
            throw;
        }
    }

    private Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, WixAccessToken token, CancellationToken cancellationToken)
    {
        request.Headers.Remove("Authorization");
        request.Headers.TryAddWithoutValidation("Authorization", token.Token);
        return base.SendAsync(request, cancellationToken);
    }

    private static bool IsSameOrigin(Uri url, Uri? other) =>
        Uri.Compare(url, other, UriComponents.SchemeAndServer, UriFormat.SafeUnescaped, StringComparison.OrdinalIgnoreCase) == 0;

    private static async Task<bool> TryKeepAsync(HttpContent? content, CancellationToken cancellationToken)
    {
        if (content is null)
        {
            return true;
        }

        // JSON has no length before it is written, and is in memory anyway.
        if (content is JsonContent ? content.Headers.ContentLength > LongestKept : content.Headers.ContentLength is not <= LongestKept)
        {
            return false;
        }

#if NET9_0_OR_GREATER
        await content.LoadIntoBufferAsync(cancellationToken).ConfigureAwait(false);
#else
        await content.LoadIntoBufferAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
#endif
        return true;
    }
}

/// <summary>Which app instance a request to Wix is for.</summary>
public static class WixRequestExtensions
{
    /// <summary>The option under which the instance is kept.</summary>
    public static readonly HttpRequestOptionsKey<Guid> InstanceKey = new("WixOAuth.Instance");

    /// <summary>Sets the app instance whose access token the request is sent with.</summary>
    /// <param name="request">A request of a client with <c>AddWixAuthorization</c>.</param>
    /// <param name="instanceId">What Wix calls <c>instanceId</c>.</param>
    /// <returns>The same request.</returns>
    public static HttpRequestMessage SetWixInstance(this HttpRequestMessage request, Guid instanceId)
    {
        ArgumentNullException.ThrowIfNull(request);
        request.Options.Set(InstanceKey, instanceId);
        return request;
    }

    internal static Guid? GetWixInstance(this HttpRequestMessage request) => request.Options.TryGetValue(InstanceKey, out var id) ? id : null;
}
