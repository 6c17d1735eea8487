using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Http;

/// <summary>The contract as OpenAPI 3.1: docs/openapi.json, built into the assembly.</summary>
internal sealed class OpenApiEndpoint(ILogger<OpenApiEndpoint> logger)
{
    private static readonly Lazy<byte[]> s_document = new(Read);

    /// <summary><c>GET /api/openapi.json</c>: see the contract's <c>OpenApi</c>.</summary>
    public Task<IResult> OpenApi() => logger.GuardUnexpectedAsync(() => Task.FromResult<IResult>(new OpenApiAnswer(s_document.Value)));

    private static byte[] Read()
    {
        using var stream = typeof(OpenApiEndpoint).Assembly.GetManifestResourceStream("openapi.json")!;
        var document = new byte[stream.Length];
        stream.ReadExactly(document);
        return document;
    }
}

internal sealed class OpenApiAnswer(byte[] document) : Answer(200)
{
    protected override Task WriteAsync(HttpResponse response) => WriteAsync(response, "application/json; charset=utf-8", document);
}
