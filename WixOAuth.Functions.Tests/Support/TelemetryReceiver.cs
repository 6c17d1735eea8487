using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Functions.Tests.Support;

/// <summary>Takes what OTLP and Azure Monitor's exporter post, and keeps it as it came.</summary>
internal sealed class TelemetryReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ConcurrentQueue<(string Path, byte[] Body)> _received = new();

    private TelemetryReceiver(WebApplication app) => _app = app;

    public string Url => _app.Urls.First().TrimEnd('/');

    public IReadOnlyList<string> Paths => [.. _received.Select(each => each.Path).Distinct()];

    public static async Task<TelemetryReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var receiver = new TelemetryReceiver(builder.Build());
        receiver._app.Run(receiver.TakeAsync);
        await receiver._app.StartAsync();
        return receiver;
    }

    /// <summary>What was posted to a path, byte for byte: texts are UTF-8 in protobuf as in JSON.</summary>
    public string Of(string path) => string.Join('\n', _received.Where(each => each.Path == path).Select(each => Encoding.UTF8.GetString(each.Body)));

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task TakeAsync(HttpContext context)
    {
        var request = context.Request;
        await using var body = request.Headers.ContentEncoding == "gzip" ? new GZipStream(request.Body, CompressionMode.Decompress) : request.Body;
        using var bytes = new MemoryStream();
        await body.CopyToAsync(bytes);
        _received.Enqueue((request.Path, bytes.ToArray()));
        if (request.Path.StartsWithSegments("/v2.1", StringComparison.Ordinal))
        {
            await context.Response.WriteAsJsonAsync(new { itemsReceived = 1, itemsAccepted = 1, errors = Array.Empty<string>() });
        }
    }
}
