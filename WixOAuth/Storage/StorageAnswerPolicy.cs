using Azure.Core;
using Azure.Core.Pipeline;

namespace WixOAuth.Storage;

/// <summary>
/// Treats a response that is not from Azure Storage as a broken connection, so it is retried and never taken for the
/// result of a request. The storage's own have an <c>x-ms-request-id</c>; a page or an error without one was sent by
/// something in between, such as a proxy.
/// </summary>
internal sealed class StorageAnswerPolicy : HttpPipelineSynchronousPolicy
{
    private const string RequestId = "x-ms-request-id";

    public override void OnReceivedResponse(HttpMessage message)
    {
        if (!message.Response.Headers.Contains(RequestId))
        {
            message.Response.Dispose();
            throw new IOException($"The response ({message.Response.Status}) is not from Azure Storage: it has no {RequestId}.");
        }
    }
}
