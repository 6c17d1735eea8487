using System.Net;
using System.Text;

namespace WixOAuth.Functions.Tests.Events;

/// <summary>A table service that takes no row of an event: it refuses every transaction that has one, as Azure words it.</summary>
internal sealed class OutboxRefusals() : DelegatingHandler(new SocketsHttpHandler())
{
    public int Refused { get; private set; }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var body = request.Content is null ? "" : await request.Content.ReadAsStringAsync(cancellationToken);

        // What follows an operation's request line, up to that of the next one.
        var operations = body.Split(" HTTP/1.1").Skip(1).ToList();
        if (operations.FindIndex(operation => operation.Contains("\"RowKey\":\"o|", StringComparison.Ordinal)) is var index and >= 0)
        {
            Refused++;
            return Refusal(index);
        }

        return await base.SendAsync(request, cancellationToken);
    }

    private static HttpResponseMessage Refusal(int index)
    {
        var text = """
            --batchresponse_b
            Content-Type: multipart/mixed; boundary=changesetresponse_c

            --changesetresponse_c
            Content-Type: application/http
            Content-Transfer-Encoding: binary

            HTTP/1.1 400 Bad Request
            Content-Type: application/json;odata=minimalmetadata

            {"odata.error":{"code":"PropertyValueTooLarge","message":{"lang":"en-US","value":"INDEX:The property value exceeds the maximum allowed size."}}}
            --changesetresponse_c--
            --batchresponse_b--

            """;
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(text.ReplaceLineEndings("\r\n").Replace("INDEX", $"{index}", StringComparison.Ordinal)));
        content.Headers.TryAddWithoutValidation("Content-Type", "multipart/mixed; boundary=batchresponse_b");
        return new HttpResponseMessage(HttpStatusCode.Accepted) { Content = content, Headers = { { "x-ms-request-id", "1" } } };
    }
}
