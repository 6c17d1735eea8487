using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using WixOAuth.Settings;

namespace WixOAuth.Processes;

/// <summary>A request to the storage, read to its end.</summary>
/// <param name="Method">Its method.</param>
/// <param name="Target">Path and query as they came.</param>
/// <param name="Headers">Its headers.</param>
/// <param name="Body">Its body.</param>
internal sealed record StorageRequest(string Method, string Target, IReadOnlyDictionary<string, string?[]> Headers, ReadOnlyMemory<byte> Body);

/// <summary>What Azurite answered.</summary>
/// <param name="Status">The status.</param>
/// <param name="Headers">Its headers.</param>
/// <param name="Body">Its body.</param>
internal sealed record StorageAnswer(int Status, IReadOnlyDictionary<string, string[]> Headers, ReadOnlyMemory<byte> Body);

/// <summary>Stands between a program and the proxy: may look, wait, and break the connection by answering null.</summary>
internal delegate Task<StorageAnswer?> StorageHook(StorageRequest request, Func<Task<StorageAnswer>> forward);

/// <summary>
/// Stands before Azurite and counts: one request is one transaction, as Azure bills it. What the SDK sends again, since
/// Azurite was too slow on a busy machine, is counted apart. A program that has its own proxy is counted by itself. A shared-key signature covers the account and the path, not the host, so it passes.
/// </summary>
internal sealed class CountingProxy : IAsyncDisposable
{
    private const string EndpointName = "TableEndpoint=";

    private static readonly HashSet<string> s_ownToConnection = new(StringComparer.OrdinalIgnoreCase) { "Host", "Connection", "Transfer-Encoding", "Keep-Alive" };

    private readonly WebApplication _app;
    private readonly HttpMessageInvoker _azurite = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        AutomaticDecompression = DecompressionMethods.None,
        ActivityHeadersPropagator = null,
    });

    private readonly ConcurrentDictionary<string, byte> _seen = new();
    private readonly StorageHook? _hook;
    private long _count;
    private long _retries;

    private CountingProxy(Uri target, StorageHook? hook)
    {
        (Target, _hook) = (target, hook);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        _app = builder.Build();
        _app.Run(HandleAsync);
    }

    /// <summary>Where Azurite is: another port after a restart.</summary>
    public Uri Target { get; set; }

    /// <summary>What the program is given as its connection string.</summary>
    public string ConnectionString { get; private set; } = "";

    /// <summary>How many transactions there were.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>How many of them were sent once more.</summary>
    public long Retries => Interlocked.Read(ref _retries);

    public static async Task<CountingProxy> StartAsync(ConnectionString azurite, CancellationToken cancellationToken, StorageHook? hook = null)
    {
        var endpoint = EndpointOf(azurite);
        var proxy = new CountingProxy(endpoint, hook);
        await proxy._app.StartAsync(cancellationToken);
        var own = new Uri(proxy._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        proxy.ConnectionString = string.Join(
            ';',
            azurite.Reveal().Split(';').Select(part => part.StartsWith(EndpointName, StringComparison.Ordinal) ? EndpointName + new Uri(own, endpoint.AbsolutePath) : part));
        return proxy;
    }

    /// <summary>The table service that a connection string names.</summary>
    public static Uri EndpointOf(ConnectionString azurite) =>
        new(azurite.Reveal().Split(';').Single(part => part.StartsWith(EndpointName, StringComparison.Ordinal))[EndpointName.Length..]);

    /// <summary>Waits until nothing has come for a while: for work that goes on after its answer.</summary>
    public async Task WhenQuietAsync(CancellationToken cancellationToken)
    {
        for (long seen = -1; seen != Count + Retries;)
        {
            seen = Count + Retries;
            await Task.Delay(TimeSpan.FromMilliseconds(400), TimeProvider.System, cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        // Without it Kestrel blocks a thread of the pool until its connections are gone.
        await _app.StopAsync(new CancellationToken(canceled: true));
        await _app.DisposeAsync();
        _azurite.Dispose();
    }

    private async Task HandleAsync(HttpContext context)
    {
        var from = context.Request;
        Interlocked.Increment(ref _seen.TryAdd(from.Headers["x-ms-client-request-id"].ToString(), 0) ? ref _count : ref _retries);
        using var body = new MemoryStream();
        await from.Body.CopyToAsync(body, context.RequestAborted);
        var request = new StorageRequest(
            from.Method,
            context.Features.Get<IHttpRequestFeature>()!.RawTarget,
            from.Headers.Where(header => !s_ownToConnection.Contains(header.Key)).ToDictionary(header => header.Key, header => header.Value.ToArray(), StringComparer.OrdinalIgnoreCase),
            body.ToArray());
        var answer = _hook is null ? await ForwardAsync(request) : await _hook(request, () => ForwardAsync(request));
        if (answer is null)
        {
            context.Abort();
            return;
        }

        context.Response.StatusCode = answer.Status;
        foreach (var (name, values) in answer.Headers)
        {
            context.Response.Headers[name] = values;
        }

        await context.Response.Body.WriteAsync(answer.Body, context.RequestAborted);
    }

    // Not cancelled by the program's end: what has left it arrives.
    private async Task<StorageAnswer> ForwardAsync(StorageRequest from)
    {
        using var request = new HttpRequestMessage(new HttpMethod(from.Method), new Uri(Target, from.Target))
        {
            Content = from.Body.Length == 0 && !from.Headers.ContainsKey("Content-Length") ? null : new ReadOnlyMemoryContent(from.Body),
        };
        foreach (var (name, values) in from.Headers)
        {
            if (!request.Headers.TryAddWithoutValidation(name, values))
            {
                request.Content?.Headers.TryAddWithoutValidation(name, values);
            }
        }

        using var response = await _azurite.SendAsync(request, CancellationToken.None);
        return new StorageAnswer(
            (int)response.StatusCode,
            response.Headers.Concat(response.Content.Headers).Where(header => !s_ownToConnection.Contains(header.Key)).ToDictionary(header => header.Key, header => header.Value.ToArray()),
            await response.Content.ReadAsByteArrayAsync(CancellationToken.None));
    }
}
