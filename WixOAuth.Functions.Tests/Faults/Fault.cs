using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;

namespace WixOAuth.Functions.Tests.Faults;

/// <summary>A fault of one HTTP call.</summary>
/// <param name="Name">Its name in docs/faults.md.</param>
/// <param name="Acts">Whether the server processed the request.</param>
internal sealed record Fault(string Name, bool Acts)
{
    private static readonly byte[] s_tenMegabytes = Encoding.ASCII.GetBytes($"{{\"access_token\":\"{new string('x', 10_000_000)}\"}}");

    public int? Status { get; private init; }

    public string? RetryAfter { get; private init; }

    public string? Body { get; private init; }

    public string ContentType { get; private init; } = "application/json";

    public Kind Is { get; private init; }

    public enum Kind
    {
        Answer,
        Refused,
        Reset,
        Silence,
        BreaksOff,
        Huge,
        WrongCertificate,
    }

    /// <summary>Every fault that is injected into calls to Wix and to the storage.</summary>
    public static IReadOnlyList<Fault> All { get; } =
    [
        new("connection refused", false) { Is = Kind.Refused },
        new("invalid certificate", false) { Is = Kind.WrongCertificate },
        new("connection reset, not processed", false) { Is = Kind.Reset },
        new("connection reset, processed", true) { Is = Kind.Reset },
        new("timeout, not processed", false) { Is = Kind.Silence },
        new("timeout, processed", true) { Is = Kind.Silence },
        new("truncated response, processed", true) { Is = Kind.BreaksOff },
        Of(400),
        Of(401),
        Of(403),
        Of(404),
        Of(408),
        Of(409),
        Of(412),
        Of(429),
        Of(429, "0"),
        Of(429, "120"),
        Of(500),
        Of(500) with { Name = "500, processed", Acts = true },
        Of(503),
        Of(503, "120"),
        new("302 to another host", false) { Status = 302 },
        new("200, truncated JSON", true) { Status = 200, Body = "{\"access_token\":\"ac" },
        new("200, HTML page", false) { Status = 200, Body = "<html>Sign in to the Wi-Fi</html>", ContentType = "text/html" },
        new("200, empty object", false) { Status = 200, Body = "{}" },
        new("200, wrong types", false)
        {
            Status = 200,
            Body = """{"access_token":42,"refresh_token":[],"expires_in":"never","active":"perhaps","instance":7,"site":[[]],"PartitionKey":1,"Status":{},"value":"none"}""",
        },
        new("200, 10 MB", false) { Status = 200, Is = Kind.Huge },
    ];

    /// <summary>Whether a storage client gets the response from something in between, such as a proxy, and not from Azure Storage.</summary>
    public bool IsForeignToStorage => Status is 302 or 404 or 409 or 412 || (Status == 200 && !Acts);

    /// <summary>Whether the fault is also injected into every later call of its kind, until the operation ends.</summary>
    public static bool MayPersist(Fault fault) => fault is { Acts: false, RetryAfter: null } && (fault.Is is Kind.Refused or Kind.Silence || fault.Status is 400 or 500);

    /// <summary>Whether the fault is one of those that stand for all of their kind, in operations that share their calls with another one.</summary>
    public static bool IsOfEachKind(Fault fault) =>
        fault is { Acts: true, Is: Kind.Reset } or { Acts: false, Is: Kind.Silence } || fault.Name is "connection refused" or "400" or "412" or "503" or "503, Retry-After: 120" or "200, HTML page";

    /// <summary>As <see cref="HappenAsync"/>, in place of Azure Storage.</summary>
    public async Task<HttpResponseMessage> HappenToStorageAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        // The SDK's network timeout runs on the machine's clock, so this throws what the SDK would throw then.
        var answer = Is is Kind.Silence
            ? throw new TaskCanceledException("The network timed out.")
            : await HappenAsync(request, TimeProvider.System, cancellationToken);
        if (!IsForeignToStorage)
        {
            answer.Headers.Add("x-ms-request-id", "1");
        }

        return answer;
    }

    /// <summary>Throws or responds in place of the server. A wait ends by <paramref name="time"/> or by the token.</summary>
    public async Task<HttpResponseMessage> HappenAsync(HttpRequestMessage? request, TimeProvider time, CancellationToken cancellationToken)
    {
        switch (Is)
        {
            case Kind.Refused:
                throw new HttpRequestException(
                    HttpRequestError.ConnectionError, "refused", new SocketException((int)SocketError.ConnectionRefused));
            case Kind.WrongCertificate:
                throw new HttpRequestException(HttpRequestError.SecureConnectionError, "certificate", new AuthenticationException("certificate"));
            case Kind.Reset:
                throw new HttpRequestException(
                    HttpRequestError.Unknown, "reset", new IOException("reset", new SocketException((int)SocketError.ConnectionReset)));
            case Kind.Silence:
                await Task.Delay(Timeout.InfiniteTimeSpan, time, cancellationToken);
                break;
        }

        var answer = new HttpResponseMessage((HttpStatusCode)(Status ?? 200))
        {
            RequestMessage = request,
            Content = Is switch
            {
                Kind.BreaksOff => new BreakingOff(),
                Kind.Huge => new ByteArrayContent(s_tenMegabytes) { Headers = { ContentType = new MediaTypeHeaderValue(ContentType) } },
                _ => new StringContent(Body ?? """{"message":"no"}""", Encoding.UTF8, ContentType),
            },
        };
        if (Status == 302)
        {
            answer.Headers.Location = new Uri("https://elsewhere.example.com/");
        }

        if (RetryAfter is not null)
        {
            answer.Headers.TryAddWithoutValidation("Retry-After", RetryAfter);
        }

        return answer;
    }

    public override string ToString() => Name;

    private static Fault Of(int status, string? retryAfter = null) =>
        new(retryAfter is null ? $"{status}" : $"{status}, Retry-After: {retryAfter}", false) { Status = status, RetryAfter = retryAfter };

    /// <summary>A few bytes, then a closed connection.</summary>
    private sealed class BreakingOff : HttpContent
    {
        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync("{\"acc"u8.ToArray());
            throw new IOException("reset", new SocketException((int)SocketError.ConnectionReset));
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
