using System.Net;
using System.Text;

namespace WixOAuth.Functions.Tests.Events;

/// <summary>
/// A table service that takes no row of an event, or of another kind of row: it refuses transactions that have one, as Azure
/// words it.
/// </summary>
internal sealed class OutboxRefusals(string status = "400 PropertyValueTooLarge", string rows = "o|", int most = int.MaxValue) : DelegatingHandler(new SocketsHttpHandler())
{
    public int Refused { get; private set; }

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var body = request.Content is null ? "" : await request.Content.ReadAsStringAsync(cancellationToken);

        // What follows an operation's request line, up to that of the next one.
        var operations = body.Split(" HTTP/1.1").Skip(1).ToList();
        if (Refused < most && operations.FindIndex(operation => operation.Contains($"\"RowKey\":\"{rows}", StringComparison.Ordinal)) is var index and >= 0)
        {
            Refused++;
            return Refusal(index);
        }

        return await base.SendAsync(request, cancellationToken);
    }

    private HttpResponseMessage Refusal(int index)
    {
        var text = $$"""
            --batchresponse_b
            Content-Type: multipart/mixed; boundary=changesetresponse_c

            --changesetresponse_c
            Content-Type: application/http
            Content-Transfer-Encoding: binary

            HTTP/1.1 {{status.Split(' ')[0]}} Refused
            Content-Type: application/json;odata=minimalmetadata

            {"odata.error":{"code":"{{status.Split(' ')[1]}}","message":{"lang":"en-US","value":"{{index}}:The operation is refused."} } }
            --changesetresponse_c--
            --batchresponse_b--

            """;
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(text.ReplaceLineEndings("\r\n")));
        content.Headers.TryAddWithoutValidation("Content-Type", "multipart/mixed; boundary=batchresponse_b");
        return new HttpResponseMessage(HttpStatusCode.Accepted) { Content = content, Headers = { { "x-ms-request-id", "1" } } };
    }
}
