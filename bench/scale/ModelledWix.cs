using System.Net;
using System.Text;

namespace WixOAuth.Scale;

/// <summary>A Wix that is well: answers every refresh after <see cref="Model.WixLatency"/>, with a token of five minutes.</summary>
internal sealed class ModelledWix(SimulatedTime time, Counts counts) : HttpMessageHandler
{
    private static readonly byte[] s_answer = Encoding.UTF8.GetBytes("""{"access_token":"access","refresh_token":"refresh"}""");

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        counts.WixCalls++;
        await time.PassAsync(Model.WixLatency);
        var content = new ByteArrayContent(s_answer);
        content.Headers.ContentType = new("application/json");
        return new HttpResponseMessage(HttpStatusCode.OK) { Content = content };
    }
}
