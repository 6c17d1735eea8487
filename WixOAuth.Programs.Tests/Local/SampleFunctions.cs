using System.Threading.Channels;
using Microsoft.AspNetCore.Http;
using Microsoft.Azure.Functions.Worker;

namespace WixOAuth.Programs.Tests.Local;

/// <summary>Functions as the real ones are written, to try the host with.</summary>
internal sealed class SampleFunctions(TimeProvider time)
{
    private int _calls;

    [Function("Open")]
    public IResult Open([HttpTrigger(AuthorizationLevel.Anonymous, "get")] HttpRequest request) =>
        Results.Text($"open {request.Query["q"]} {++_calls} {time.GetUtcNow().Year}");

    [Function("ReadThing")]
    public async Task<IResult> ReadThing(
        [HttpTrigger(AuthorizationLevel.Function, "get", Route = "things/{thingId}")] HttpRequest request,
        string thingId,
        CancellationToken cancellationToken)
    {
        await Task.Yield();
        return Results.Text($"{request.Method} {thingId} {cancellationToken == request.HttpContext.RequestAborted}");
    }

    [Function("ForgetThing")]
    public IResult ForgetThing([HttpTrigger(AuthorizationLevel.Admin, "delete", Route = "things/{thingId}")] HttpRequest request, string thingId) =>
        Results.Text($"{request.Method} {thingId}");

    [Function("Throws")]
    public IResult Throws([HttpTrigger(AuthorizationLevel.Anonymous, "get")] HttpRequest request)
    {
        request.HttpContext.Response.StatusCode = StatusCodes.Status418ImATeapot;
        request.HttpContext.Response.Headers["X-Left"] = "over";
        throw new InvalidOperationException("thrown on purpose");
    }

    [Function("SetsHeaders")]
    public IResult SetsHeaders([HttpTrigger(AuthorizationLevel.Anonymous)] HttpRequest request)
    {
        request.HttpContext.Response.Headers.CacheControl = "max-age=1";
        return Results.NoContent();
    }
}

/// <summary>A timer function that a test holds and lets go.</summary>
internal sealed class SampleTimers(TimerLog log)
{
    [Function("Tick")]
    public Task Tick([TimerTrigger("%TickSchedule%")] TimerInfo timer, CancellationToken cancellationToken) =>
        log.RunAsync(timer, cancellationToken);
}

/// <summary>What ran, and how many at a time.</summary>
internal sealed class TimerLog
{
    private readonly Channel<bool> _started = Channel.CreateUnbounded<bool>();
    private readonly Channel<bool> _mayEnd = Channel.CreateUnbounded<bool>();
    private int _running;

    public int Started { get; private set; }

    public int MostAtATime { get; private set; }

    public bool Throws { get; set; }

    public bool Cancelled { get; private set; }

    public async Task RunAsync(TimerInfo timer, CancellationToken cancellationToken)
    {
        Assert.False(timer.IsPastDue);
        MostAtATime = Math.Max(MostAtATime, Interlocked.Increment(ref _running));
        Started++;
        _started.Writer.TryWrite(true);
        try
        {
            await _mayEnd.Reader.ReadAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            Cancelled = true;
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }

        if (Throws)
        {
            throw new InvalidOperationException("thrown on purpose");
        }
    }

    public async Task WaitForStartAsync() => await _started.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromMinutes(3));

    public void LetEnd() => _mayEnd.Writer.TryWrite(true);
}
