using Microsoft.AspNetCore.Http;

namespace WixOAuth.Http;

/// <summary>Whether a request was made by a page of this service.</summary>
internal static class RequestOrigin
{
    /// <summary>
    /// By <c>Sec-Fetch-Site</c>, which no page can forge; by <c>Origin</c> where a browser from before 2023 does not send
    /// it. Our pages send no referrer, which makes theirs <c>null</c>.
    /// </summary>
    /// <param name="request">The request.</param>
    /// <param name="publicUrl">A URL of this service; the request's Host header can be forged.</param>
    public static bool IsOurs(HttpRequest request, Uri publicUrl)
    {
        var site = request.Headers["Sec-Fetch-Site"];
        var origin = request.Headers.Origin;
        return site.Count > 0 ? site is ["same-origin"] : origin is ["null"] || origin == publicUrl.GetLeftPart(UriPartial.Authority);
    }
}
