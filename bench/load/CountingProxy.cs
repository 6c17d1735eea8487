using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using WixOAuth.Settings;

namespace WixOAuth.Load;

/// <summary>
/// Stands before Azurite and counts: one request is one transaction, as Azure bills it. What the SDK sends again, since
/// Azurite was too slow on a busy machine, is counted apart. A program that has a proxy of its own is counted by itself. A shared-key signature covers the account and the path, not the host, so it passes.
/// </summary>
internal sealed class CountingProxy : IAsyncDisposable
{
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
    private readonly Uri _target;
    private long _count;
    private long _retries;

    private CountingProxy(Uri target)
    {
        _target = target;
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        _app = builder.Build();
        _app.Run(ForwardAsync);
    }

    /// <summary>What the program is given as its connection string.</summary>
    public string ConnectionString { get; private set; } = "";

    /// <summary>How many transactions there were.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>How many of them were sent once more.</summary>
    public long Retries => Interlocked.Read(ref _retries);

    public static async Task<CountingProxy> StartAsync(ConnectionString azurite, CancellationToken cancellationToken)
    {
        const string Name = "TableEndpoint=";
        var parts = azurite.Reveal().Split(';');
        var endpoint = new Uri(parts.Single(part => part.StartsWith(Name, StringComparison.Ordinal))[Name.Length..]);
        var proxy = new CountingProxy(endpoint);
        await proxy._app.StartAsync(cancellationToken);
        var own = new Uri(proxy._app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
        proxy.ConnectionString = string.Join(
            ';', parts.Select(part => part.StartsWith(Name, StringComparison.Ordinal) ? Name + new Uri(own, endpoint.AbsolutePath) : part));
        return proxy;
    }

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
        await _app.DisposeAsync();
        _azurite.Dispose();
    }

    private async Task ForwardAsync(HttpContext context)
    {
        var from = context.Request;
        Interlocked.Increment(ref _seen.TryAdd(from.Headers["x-ms-client-request-id"].ToString(), 0) ? ref _count : ref _retries);
        using var body = new MemoryStream();
        await from.Body.CopyToAsync(body, context.RequestAborted);
        using var request = new HttpRequestMessage(new HttpMethod(from.Method), new Uri(_target, from.HttpContext.Features.Get<Microsoft.AspNetCore.Http.Features.IHttpRequestFeature>()!.RawTarget))
        {
            Content = from.ContentLength is null && body.Length == 0 ? null : new ByteArrayContent(body.ToArray()),
        };
        foreach (var (name, values) in from.Headers.Where(header => !s_ownToConnection.Contains(header.Key)))
        {
            if (!request.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values))
            {
                request.Content?.Headers.TryAddWithoutValidation(name, (IEnumerable<string?>)values);
            }
        }

        using var response = await _azurite.SendAsync(request, context.RequestAborted);
        context.Response.StatusCode = (int)response.StatusCode;
        foreach (var (name, values) in response.Headers.Concat(response.Content.Headers).Where(header => !s_ownToConnection.Contains(header.Key)))
        {
            context.Response.Headers[name] = values.ToArray();
        }

        await response.Content.CopyToAsync(context.Response.Body, context.RequestAborted);
    }
}
