using System.Globalization;
using System.Net;
using System.Text;
using StandardWebhooks;

namespace WixOAuth.Client.Tests.Support;

/// <summary>An event as the service sends it.</summary>
internal static class SignedEvent
{
    /// <summary>Sends one.</summary>
    /// <param name="receiver">Where <c>/events</c> is.</param>
    /// <param name="secret">The event secret.</param>
    /// <param name="signed">What is signed.</param>
    /// <param name="body">What is sent, if it differs.</param>
    public static async Task<HttpStatusCode> SendAsync(string receiver, string secret, string signed, string? body = null)
    {
        var now = TimeProvider.System.GetUtcNow();
        using var http = new HttpClient { BaseAddress = new Uri(receiver) };
        using var request = new HttpRequestMessage(HttpMethod.Post, "events") { Content = new StringContent(body ?? signed, Encoding.UTF8, "application/cloudevents+json") };
        request.Headers.Add(EventVerifier.IdHeader, "e-1");
        request.Headers.Add(EventVerifier.TimestampHeader, now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture));
        request.Headers.Add(EventVerifier.SignatureHeader, new StandardWebhook(secret).Sign("e-1", now, signed));
        using var response = await http.SendAsync(request);
        return response.StatusCode;
    }
}
