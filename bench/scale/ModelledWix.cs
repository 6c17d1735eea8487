using System.Net;
using System.Text;

namespace WixOAuth.Scale;

/// <summary>A Wix that is well: answers every request after <see cref="Model.WixLatency"/>, a refresh with a token of five minutes, client credentials with one of four hours.</summary>
internal sealed class ModelledWix(SimulatedTime time, Counts counts) : HttpMessageHandler
{
    private static readonly byte[] s_tokens = Encoding.UTF8.GetBytes("""{"access_token":"access","refresh_token":"refresh"}""");
    private static readonly byte[] s_longTokens = Encoding.UTF8.GetBytes("""{"access_token":"access","expires_in":14400}""");
    private static readonly byte[] s_site = Encoding.UTF8.GetBytes("""{"site":{"siteId":"a-site"}}""");

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var asksForSite = request.Method == HttpMethod.Get;
        if (asksForSite)
        {
            counts.SiteCalls++;
        }
        else
        {
            counts.WixCalls++;
        }

        await time.PassAsync(Model.WixLatency);
        var content = new ByteArrayContent(asksForSite ? s_site : request.RequestUri!.AbsolutePath == "/oauth2/token" ? s_longTokens : s_tokens);
        content.Headers.ContentType = new("application/json");
        return new HttpResponseMessage(HttpStatusCode.OK) { Content = content };
    }
}
