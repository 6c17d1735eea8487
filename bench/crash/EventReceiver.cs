using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;

namespace WixOAuth.Crash;

/// <summary>
/// The receiver of events: it writes every arrival down, and fails at random: answers 500, breaks the connection before or
/// after it has read the event, or answers too late.
/// </summary>
internal sealed class EventReceiver : IAsyncDisposable
{
    // Longer than the service waits.
    private static readonly TimeSpan s_tooLate = TimeSpan.FromSeconds(11);

    private readonly WebApplication _app;
    private readonly Journal _journal;

    private EventReceiver(Journal journal)
    {
        _journal = journal;
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        _app = builder.Build();
        _app.Run(TakeAsync);
    }

    /// <summary>The part of the requests that fail.</summary>
    public double TroublePart { get; set; }

    /// <summary>What the events are signed with.</summary>
    public string Secret { get; } = "whsec_" + Convert.ToBase64String(RandomNumberGenerator.GetBytes(32));

    public Uri Url => new(new Uri(_app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single()), "events");

    public static async Task<EventReceiver> StartAsync(Journal journal, CancellationToken cancellationToken)
    {
        var receiver = new EventReceiver(journal);
        await receiver._app.StartAsync(cancellationToken);
        return receiver;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task TakeAsync(HttpContext context)
    {
        var trouble = Random.Shared.NextDouble() < TroublePart ? (Trouble)Random.Shared.Next(1, 5) : Trouble.None;
        if (trouble == Trouble.BreaksBefore)
        {
            context.Abort();
            return;
        }

        using var body = await JsonDocument.ParseAsync(context.Request.Body, cancellationToken: context.RequestAborted);
        var root = body.RootElement;
        _journal.Add(new Arrival(
            Journal.Now,
            root.GetProperty("id").GetString()!,
            context.Request.Headers["webhook-id"].ToString(),
            root.GetProperty("subject").GetGuid(),
            root.GetProperty("type").GetString()!,
            root.GetProperty("time").GetDateTimeOffset(),
            IsAccepted: trouble == Trouble.None));
        switch (trouble)
        {
            case Trouble.BreaksAfter:
                context.Abort();
                return;
            case Trouble.TooLate:
                await Task.Delay(s_tooLate, TimeProvider.System, context.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                context.Abort();
                return;
            default:
                context.Response.StatusCode = trouble == Trouble.Fails ? StatusCodes.Status500InternalServerError : StatusCodes.Status204NoContent;
                return;
        }
    }

    private enum Trouble
    {
        None,
        Fails,
        BreaksBefore,
        BreaksAfter,
        TooLate,
    }
}
