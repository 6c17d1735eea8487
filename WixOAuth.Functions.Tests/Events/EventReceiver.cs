using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace WixOAuth.Functions.Tests.Events;

/// <summary>A receiver of events over real HTTP.</summary>
internal sealed class EventReceiver : IAsyncDisposable
{
    public const string Secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";

    private readonly WebApplication _app;
    private readonly ConcurrentQueue<Received> _received = new();
    private readonly SemaphoreSlim _arrived = new(0);

    private EventReceiver(WebApplication app) => _app = app;

    public sealed record Received(string Id, string Type, string InstanceId, JsonElement Body, IHeaderDictionary Headers, string Text);

    /// <summary>What to answer; 204 by default. The body has been read and kept before.</summary>
    public Func<Received, HttpContext, Task> Answer { get; set; } = (_, context) => Status(context, 204);

    public Uri Url => new(_app.Urls.Single() + "/events");

    public IReadOnlyList<Received> All => [.. _received];

    public IEnumerable<string> TypesOf(string instanceId) => All.Where(each => each.InstanceId == instanceId).Select(each => each.Type);

    public static async Task<EventReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0));
        var receiver = new EventReceiver(builder.Build());
        receiver._app.Run(receiver.TakeAsync);
        await receiver._app.StartAsync();
        return receiver;
    }

    public static Task Status(HttpContext context, int status)
    {
        context.Response.StatusCode = status;
        return Task.CompletedTask;
    }

    /// <summary>Waits until so many requests have arrived since the last call.</summary>
    public async Task WaitForAsync(int count)
    {
        for (var each = 0; each < count; each++)
        {
            Assert.True(await _arrived.WaitAsync(TimeSpan.FromMinutes(3)), $"Only {All.Count} events arrived.");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _arrived.Dispose();
    }

    private async Task TakeAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        var text = await reader.ReadToEndAsync();
        var body = JsonDocument.Parse(text).RootElement;
        var received = new Received(
            body.GetProperty("id").GetString()!,
            body.GetProperty("type").GetString()!,
            body.GetProperty("subject").GetString()!,
            body,
            new HeaderDictionary(context.Request.Headers.ToDictionary(header => header.Key, header => header.Value)),
            text);
        // Read before the test learns of the event, and may set another.
        var answer = Answer;
        _received.Enqueue(received);
        _arrived.Release();
        await answer(received, context);
    }
}
