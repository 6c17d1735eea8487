using Azure.Core;
using Azure.Core.Pipeline;

namespace WixOAuth.Storage;

/// <summary>
/// Treats a transaction that failed because the service is busy as a broken connection, so it is retried like any request.
/// The SDK sees only the status of the whole response, which is 202: that of the operation that failed, such as 503 while
/// the service moves a partition, is in the body.
/// </summary>
internal sealed class TransactionRetryPolicy(int maxRetries) : HttpPipelineSynchronousPolicy
{
    public override void OnReceivedResponse(HttpMessage message)
    {
        // The last response is left to the SDK, which raises what failed and why.
        if (message.Response.Status == 202
            && message.ProcessingContext.RetryNumber < maxRetries
            && message.Response.Content.ToMemory().Span.IndexOf("\nHTTP/1.1 5"u8) >= 0)
        {
            throw new IOException("The table service is too busy for the transaction.");
        }
    }
}
